"""A worker that cannot serve ends with 78, and its last line says what was found, what is needed and which flag changes it."""

import os
import re
import subprocess

import pytest

from processes import free_port


@pytest.mark.parametrize("flags, line", [
    (["--device", "cuda"], r"--device cuda: (no NVIDIA driver|the NVIDIA driver|this program was built without CUDA).*"),
    (["--device", "cpu", "--block-size", "32"], r"--block-size is 32; it must be 64.*"),
    (["--device", "cpu", "--max-model-len", "100000000"], r"--max-model-len is 100000000; this model was trained for \d+ positions"),
    (["--device", "cpu", "--kv-cache-memory-bytes", "1KiB"], r".*holds no block.*raise --kv-cache-memory-bytes"),
    (["--device", "cpu", "--tensor-parallel-size", "2"], r".*--tensor-parallel-size.*"),
])
def test_a_worker_that_cannot_serve_says_why(binaries, checkpoint, flags, line):
    command = [binaries / "swiftlet-worker", "--model", checkpoint, "--port", str(free_port()), "--admin-port", str(free_port()), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    assert ended.returncode == 78, ended.stderr
    assert re.fullmatch("swiftlet-worker: " + line, ended.stderr.splitlines()[-1]), ended.stderr
