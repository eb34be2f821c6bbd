"""What a worker says when it cannot serve, and two workers on one GPU."""

import os
import re
import subprocess
import tempfile
import time

from . import served
from .suite import Suite

WORKER_PORT = 18300  # its admin port is the next one


class Worker:
    """A model worker of its own, from exec until it is ready or gone, to the end of the `with`."""

    def __init__(self, suite: Suite, flags: list, number: int = 0, environment: dict[str, str] | None = None):
        self.admin_port = WORKER_PORT + 2 * number + 1
        self._log = tempfile.TemporaryFile("w+")
        command = [suite.binaries / "swiftlet-worker", "--model", suite.checkpoint(), "--device", suite.device, "--port", self.admin_port - 1,
                   "--admin-port", self.admin_port, *flags]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                        env=os.environ | suite.environment | (environment or {}))
        self.deadline = time.monotonic() + min(40, suite.left())

    def ready(self) -> bool:
        while self.process.poll() is None and time.monotonic() < self.deadline:
            try:
                if served.get(self.admin_port, "/readyz")[0] == 200:
                    return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    def last_line(self) -> str:
        self._log.seek(0)
        return (self._log.read().splitlines() or [""])[-1]

    def kv_bytes(self) -> float:
        lines = served.get(self.admin_port, "/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith('swiftlet_device_bytes{use="kv"}'))

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# (name, flags, environment, exit status, what the last line has to have): found, needed, flag.
REFUSALS = [
    ("no GPU is shown", [], {"CUDA_VISIBLE_DEVICES": ""}, 78, r"no GPU.*CUDA_VISIBLE_DEVICES.*--device cpu"),
    ("KV pool too small for one block", ["--gpu-memory-utilization", "0.001"], {}, 78, r"KV pool is too small.*needed.*raise --gpu-memory-utilization"),
    ("KV pool too small for --max-model-len", ["--kv-cache-memory-bytes", "1MiB", "--max-model-len", "8192"], {}, 78,
     r"KV pool is too small.*needed.*raise --kv-cache-memory-bytes or lower --max-model-len"),
    ("KV pool larger than the GPU", ["--kv-cache-memory-bytes", "4000GiB", "--max-num-seqs", "4096"], {}, 78,
     r"no memory on the GPU for the KV pool.*free.*lower --gpu-memory-utilization or --kv-cache-memory-bytes"),
    ("longer than the model was trained for", ["--max-model-len", "1000000"], {}, 78, r"--max-model-len is 1000000.*131072"),
    ("a type that a GPU does not compute in", ["--dtype", "float32"], {}, 78, r"--dtype.*float16"),
]


def refusals(suite: Suite) -> bool:
    passed = True
    for name, flags, environment, status, pattern in REFUSALS:
        with Worker(suite, flags, environment=environment) as worker:
            was_ready = worker.ready()
            found = worker.process.poll()
            line = worker.last_line()
        right = not was_ready and found == status and re.search(pattern, line) is not None
        suite.row("Refusals", what=name, status=found, expected=status, right=right, line=line.replace("|", "/")[:300])
        passed = passed and right
    return passed


def two_workers(suite: Suite) -> bool:
    """Two workers on one GPU: each takes what its share leaves, whoever else is there; a third finds nothing and says so."""
    with Worker(suite, ["--gpu-memory-utilization", "0.4"], 0) as first:
        ready = [first.ready()]
        with Worker(suite, ["--gpu-memory-utilization", "0.8"], 1) as second:
            ready.append(second.ready())
            sizes = [worker.kv_bytes() if is_ready else 0 for worker, is_ready in zip((first, second), ready)]
            with Worker(suite, ["--gpu-memory-utilization", "0.8"], 2) as third:
                refused = not third.ready() and third.process.poll() == 78
                line = third.last_line()
    right = all(ready) and refused and 0.5 < sizes[1] / max(1, sizes[0]) < 2
    suite.row("Workers on one GPU", **{"0.4: KV GB": sizes[0] / 1e9, "and 0.8: KV GB": sizes[1] / 1e9, "right": right, "a third of 0.8": line[:300]})
    return right
