"""What the machine is, read only: nothing here changes a setting of a GPU."""

import os
import pathlib
import platform
import re
import subprocess
import sys

GPU_FIELDS = ["name", "driver_version", "memory.total", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "power.limit"]


def gpus() -> list[dict[str, str]]:
    try:
        output = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader"], capture_output=True,
                                text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [dict(zip(GPU_FIELDS, (field.strip() for field in line.split(",")))) for line in output.splitlines() if line.strip()]


def describe() -> dict:
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"gpus": gpus(), "cpu": cpu.group(1) if cpu else "unknown", "cores": os.cpu_count(), "kernel": platform.release(),
            "python": platform.python_version()}


def library_path() -> str:
    """Folders with cuBLASLt, NCCL and CUPTI: those of Python's nvidia packages, which stand beside torch."""
    folders = []
    for base in sys.path:
        for found in sorted(pathlib.Path(base).glob("nvidia/*/lib")) if base else []:
            folders.append(str(found))
    return ":".join(folders)
