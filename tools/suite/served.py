"""Serves a model with `swiftlet serve`, loads it with `swiftlet bench`, and reads what each process took."""

import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
READY_SECONDS = 120


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def metric(port: int, name: str) -> float | None:
    """The sum over the series of `name`; None when there is none."""
    found = [float(line.rpartition(" ")[2]) for line in get(port, "/metrics")[1].splitlines()
             if line.partition(" ")[0].partition("{")[0] == name]
    return sum(found) if found else None


def cpu_seconds(stat: pathlib.Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def children(pid: int) -> dict[str, int]:
    """Process id by name, "gateway" for swiftlet-gateway."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                program = (stat.parent / "cmdline").read_bytes().split(b"\0")[0].decode()
                found[pathlib.Path(program).name.removeprefix("swiftlet-")] = int(stat.parent.name)
        except (OSError, ValueError):  # gone meanwhile
            continue
    return found


class Service:
    """`swiftlet serve` and its three processes, from exec to the end of the `with`."""

    def __init__(self, binaries: pathlib.Path, model: pathlib.Path, flags: list[str], environment: dict[str, str],
                 first_port: int = 18000):
        self.binaries, self.environment = binaries, environment
        self.port, self.admin_port = first_port, first_port + 2
        self.worker_admin_port = first_port + 6
        self._log = tempfile.NamedTemporaryFile(prefix="serve", suffix=".log")
        command = [str(binaries / "swiftlet"), "serve", "--model", str(model), "--served-model-name", "served", "--port", str(first_port)]
        names = ["grpc-port", "admin-port", "tokenizer-port", "tokenizer-admin-port", "worker-port", "worker-admin-port"]
        for offset, name in enumerate(names, start=1):
            command += [f"--{name}", str(first_port + offset)]
        self.begin = time.monotonic()
        self.process = subprocess.Popen(command + flags, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                        env=os.environ | environment)
        self.ready_s = None
        self._runs = 0

    def log(self) -> str:
        return pathlib.Path(self._log.name).read_text(errors="replace")

    def __enter__(self) -> "Service":
        while True:
            try:
                if get(self.admin_port, "/readyz")[0] == 200:
                    self.ready_s = time.monotonic() - self.begin
                    return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - self.begin > READY_SECONDS:
                self.__exit__()
                raise RuntimeError(f"swiftlet serve is not ready; its log ends:\n{self.log()[-3000:]}")
            time.sleep(0.01)

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def wait_captured(self, seconds: float = 20) -> None:
        """Until the worker has captured its graphs, which takes a thread of its own some time: not the load's."""
        begin = time.monotonic()
        while (metric(self.worker_admin_port, "swiftlet_graphs_total") or 0) == 0 and time.monotonic() - begin < seconds:
            time.sleep(0.05)

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far: of each process, and of the worker's threads as "worker/NAME-ID"."""
        taken = {}
        for name, pid in children(self.process.pid).items():
            taken[name] = cpu_seconds(pathlib.Path(f"/proc/{pid}/stat"))
            if name != "worker":
                continue
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    taken[f"worker/{(task / 'comm').read_text().strip()}-{task.name}"] = cpu_seconds(task / "stat")
                except OSError:  # the thread has ended
                    continue
        return taken

    def bench(self, concurrency: int, requests: int, warmup: int, input_tokens: int = 128, output_tokens: int = 128,
              more: tuple[str, ...] = ("--temperature", "0.6", "--top-p", "0.95"), seconds: float = 180) -> dict:
        """One closed-loop run: `swiftlet bench`'s JSON, and "cpu_s", "gpu_busy", "steps" over the same time."""
        if warmup > 0:
            self._run_bench(concurrency, warmup, input_tokens, output_tokens, more, seconds)
        before, busy_before = self.cpu(), self._busy()
        result = self._run_bench(concurrency, requests, input_tokens, output_tokens, more, seconds)
        after, busy_after = self.cpu(), self._busy()
        result["cpu_s"] = {name: after[name] - before.get(name, 0) for name in after}
        if busy_after["ratio"] is not None:
            result["gpu_busy"] = busy_after["ratio"]
        result["steps"] = busy_after["steps"] - busy_before["steps"]
        return result

    def load(self, concurrency: int, requests: int, input_tokens: int, output_tokens: int, more: tuple[str, ...],
             seconds: float = 120) -> dict:
        """`swiftlet bench`'s JSON of one run, for runs beside others."""
        return self._run_bench(concurrency, requests, input_tokens, output_tokens, more, seconds)

    def _busy(self) -> dict:
        return {"ratio": metric(self.worker_admin_port, "swiftlet_gpu_busy_ratio"),
                "steps": metric(self.worker_admin_port, "swiftlet_steps_total") or 0}

    def _run_bench(self, concurrency: int, requests: int, input_tokens: int, output_tokens: int, more: tuple[str, ...],
                   seconds: float) -> dict:
        self._runs += 1  # a seed for each: the prompts of the run before would be in the prefix cache
        seed = () if "--seed" in more else ("--seed", str(self._runs))
        with tempfile.NamedTemporaryFile(suffix=".json") as output:
            command = [str(self.binaries / "swiftlet"), "bench", "--quiet", "--url", f"http://127.0.0.1:{self.port}",
                       "--concurrency", str(concurrency), "--requests", str(requests), "--input-tokens", str(input_tokens),
                       "--output-tokens", str(output_tokens), "--json", output.name, *seed, *more]
            ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
                                   env=os.environ | self.environment)
            text = pathlib.Path(output.name).read_text()
            if not text:
                raise RuntimeError(f"swiftlet bench ended with {ended.returncode}:\n{ended.stdout[-2000:]}\nserve's log ends:\n"
                                   f"{self.log()[-2000:]}")
            return json.loads(text) | {"status": ended.returncode}


def per_million(result: dict, name: str) -> float:
    """Core-seconds of process `name` for a million output tokens."""
    return 1e6 * result["cpu_s"].get(name, 0) / max(1, result["output_tokens_total"])
