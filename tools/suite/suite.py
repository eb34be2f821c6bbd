"""What every part of the device suite works with: a bundle's programs, a checkpoint, the time that is left, and tables."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

from . import machine

MODEL = "DeepSeek-R1-Distill-Qwen-1.5B"
SAMPLING = ("--temperature", "0.6", "--top-p", "0.95")


class Suite:
    def __init__(self, place: pathlib.Path, deadline: float, device: str, only: str):
        self.place, self.deadline, self.device, self.only = place, deadline, device, only
        self.binaries = place / "bin"
        self.commit = json.loads((place / "bundle.json").read_text())["commit"]
        self.tables: dict[str, list[dict]] = {}
        self.details: dict[str, object] = {}
        inherited = os.environ.get("LD_LIBRARY_PATH")
        self.environment = {"LD_LIBRARY_PATH": ":".join(filter(None, [str(place / "lib"), machine.library_path(), inherited]))}

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def wanted(self, name: str) -> bool:
        """Whether a step is to run: --only is a part of its name, or several parts with commas between. Numbers are whole."""
        return any(re.search(re.escape(word) + r"(?!\d)", name) for word in self.only.split(","))

    def row(self, table: str, **columns) -> None:
        self.tables.setdefault(table, []).append(columns)
        print("  ".join(f"{key}: {value}" for key, value in columns.items()), flush=True)

    def programs(self, pattern: str) -> list[pathlib.Path]:
        return sorted(self.binaries.glob(pattern))

    def run(self, command: list, seconds: float | None = None, environment: dict[str, str] | None = None) -> tuple[int, str]:
        """Exit status and output of a program of the bundle; 124 when its time, or the part's, was over."""
        limit = min(self.left() - 5, seconds or self.left())
        if limit <= 0:
            return 124, "no time was left\n"
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                   env=os.environ | self.environment | (environment or {}), cwd=self.place, start_new_session=True)
        try:
            output = process.communicate(timeout=limit)[0]
            return process.returncode, output
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started: a tool's target goes on without it
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return 124, process.communicate()[0] + f"\ntimed out after {limit:.0f} s\n"

    def config(self, source: pathlib.Path) -> pathlib.Path:
        """The model's configuration; on the CPU of a much smaller one, because only the suite itself is tried there."""
        if self.device != "cpu":
            return source / "config.json"
        small = json.loads((source / "config.json").read_text())
        small |= {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        path = self.place / "small_config.json"
        path.write_text(json.dumps(small))
        return path

    def checkpoint(self, peaked: bool = False) -> pathlib.Path:
        """Random weights of the model's shape, with the model's own tokenizer; written once."""
        source = self.place / "model_dirs" / MODEL
        target = self.place / (("peaked" if peaked else "flat") + ("_small" if self.device == "cpu" else "")) / MODEL
        if not (target / "config.json").exists():
            flags = ["--config", self.config(source), "--tokenizer", source, "--out", target]
            begin = time.monotonic()
            status, output = self.run([self.binaries / "synth_checkpoint", *flags, *(["--peaked"] if peaked else [])], 120)
            if status != 0:
                raise OSError(f"synth_checkpoint ended with {status}: {output[-500:]}")
            self.details[f"seconds to write the {target.parent.name} checkpoint"] = round(time.monotonic() - begin, 2)
        return target
