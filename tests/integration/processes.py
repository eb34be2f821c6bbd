"""Starts the real binaries on free ports, and stops them. One folder of logs a test run; a failure shows their ends."""

import http.client
import itertools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

READY_SECONDS = 120  # a sanitizer build on a busy machine


def is_sanitized(binaries: pathlib.Path) -> bool:
    """Named as the preset: everything takes ten times as long there, and memory tells nothing."""
    return binaries.parent.name in ("asan", "tsan")


def bound_by_rights(binary: pathlib.Path) -> tuple[str, ...]:
    """The command of a process that may read only what the rights of a file say. Of root that is not true by itself; the folders
    of a test are root's own, so that another user could not get to them."""
    if os.geteuid() != 0:
        return (str(binary),)
    taken = "-dac_override,-dac_read_search"
    return ("setpriv", f"--inh-caps={taken}", f"--bounding-set={taken}", str(binary))


_ports = itertools.cycle(random.sample(range(12000, 32000), 2000))


def free_port() -> int:
    """Below the range from which the kernel takes ports for outgoing connections, so that none takes it before its owner."""
    for port in _ports:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable")


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def exchange(port: int, path: str, body: bytes | dict, headers: dict | None = None) -> tuple[int, dict[str, str], dict]:
    """Status, headers (names in small letters) and JSON body of the answer to a POST; `body` as it is when bytes, so that it may
    be no JSON at all."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(response.read())
    finally:
        connection.close()


def post(port: int, path: str, body: bytes | dict, headers: dict | None = None) -> tuple[int, dict]:
    status, _, answer = exchange(port, path, body, headers)
    return status, answer


def metric(port: int, name: str, **labels: str) -> float:
    """The sum over the series of `name` whose labels include `labels`; fails when there is none."""
    status, text = get(port, "/metrics")
    assert status == 200, text
    found = []
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(f'{key}="{wanted}"' in series for key, wanted in labels.items()):
            found.append(float(value))
    assert found, f"{name} {labels} is not among the metrics of port {port}"
    return sum(found)


def wait_until(condition, seconds: float = 20, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what or condition}"
        time.sleep(0.02)


class Program:
    """One process. Its output goes to a file, which `output()` reads."""

    def __init__(self, binary: pathlib.Path | str, *flags: str, log: pathlib.Path, environment: dict[str, str] | None = None):
        self.name, self.log = pathlib.Path(binary).name, log
        self._file = log.open("wb")
        self.process = subprocess.Popen([str(binary), *flags], env=environment, stdin=subprocess.DEVNULL, stdout=self._file,
                                        stderr=self._file)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        return self.process.poll() is None

    def wait(self, seconds: float = 60) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds} s; its log ends:\n{self.output()[-3000:]}") from None

    def resident_bytes(self) -> int:
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} has no VmRSS")

    def wait_ready(self, admin_port: int, host: str = "127.0.0.1") -> None:
        def ready() -> bool:
            assert self.running(), f"{self.name} ended with {self.process.returncode}; its log ends:\n{self.output()[-3000:]}"
            try:
                return get(admin_port, "/readyz", host)[0] == 200
            except OSError:
                return False

        wait_until(ready, READY_SECONDS, f"{self.name} is ready")

    def terminate(self) -> None:
        if self.running():
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """SIGTERM, and a clean exit: whatever a test did, no process may have a fault (or a sanitizer a finding)."""
        self.terminate()
        try:
            status = self.wait()
        finally:
            if self.running():
                self.process.kill()
            self._file.close()
        assert status == 0, f"{self.name} ended with {status}; its log ends:\n{self.output()[-6000:]}"


class Cluster:
    """Some gateways in front of some tokenizers and workers, by a static list of addresses."""

    def __init__(self, binaries: pathlib.Path, checkpoint: pathlib.Path, logs: pathlib.Path, gateways: int = 1, tokenizers: int = 1,
                 workers: int = 1, gateway_flags: tuple[str, ...] = (), worker_flags: tuple[str, ...] = (),
                 tokenizer_flags: tuple[str, ...] = ()):
        logs.mkdir(parents=True, exist_ok=True)
        self.programs: list[Program] = []
        self.gateway_ports: list[int] = []
        self.gateway_admin_ports: list[int] = []
        self.worker_admin_ports: list[int] = []
        self.tokenizer_admin_ports: list[int] = []
        model = ("--model", str(checkpoint), "--served-model-name", "demo")
        common = ("--host", "127.0.0.1", "--drain-seconds", "20")
        admin_ports: list[int] = []
        self.grpc_addresses = {"gateway": [], "tokenizer": [], "worker": []}

        def start(kind: str, index: int, *flags: str) -> int:
            admin_ports.append(free_port())
            log = logs / f"{kind}-{index}.log"
            program = Program(binaries / f"swiftlet-{kind}", *common, "--admin-port", str(admin_ports[-1]), *flags, log=log)
            self.programs.append(program)
            return admin_ports[-1]

        addresses = self.grpc_addresses
        try:
            for kind, count, flags in (("tokenizer", tokenizers, tokenizer_flags), ("worker", workers, worker_flags)):
                for index in range(count):
                    port = free_port()
                    addresses[kind].append(f"127.0.0.1:{port}")
                    admin_port = start(kind, index, *model, "--port", str(port), *flags)
                    (self.worker_admin_ports if kind == "worker" else self.tokenizer_admin_ports).append(admin_port)
            for index in range(gateways):
                self.gateway_ports.append(free_port())
                grpc_port = free_port()
                addresses["gateway"].append(f"127.0.0.1:{grpc_port}")
                self.gateway_admin_ports.append(
                    start("gateway", index, "--port", str(self.gateway_ports[-1]), "--grpc-port", str(grpc_port), "--grpc-reflection",
                          "--tokenizer-endpoints", ",".join(addresses["tokenizer"]),
                          "--worker-endpoints", ",".join(addresses["worker"]), *gateway_flags))
            for program, admin_port in zip(self.programs, admin_ports):
                program.wait_ready(admin_port)
        except BaseException:
            for program in self.programs:
                program.process.kill()
            raise

    @property
    def port(self) -> int:
        return self.gateway_ports[0]

    def gateways(self) -> list[Program]:
        return [program for program in self.programs if program.name == "swiftlet-gateway"]

    def workers(self) -> list[Program]:
        return [program for program in self.programs if program.name == "swiftlet-worker"]

    def stop(self) -> None:
        failures = []
        for program in reversed(self.programs):  # gateways first: their callers' requests end before the workers go
            try:
                program.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        assert not failures, "\n".join(failures)

    def wait_idle(self) -> None:
        """Nothing runs and nothing is held: every block is free or only cached."""
        for port in self.worker_admin_ports:
            wait_until(lambda: metric(port, "swiftlet_kv_use_ratio") == 0, what=f"KV use of the worker at {port} is 0")
            wait_until(lambda: metric(port, "swiftlet_running_sequences") + metric(port, "swiftlet_waiting_sequences") == 0,
                       what=f"the worker at {port} has no sequence")
        for port in self.gateway_admin_ports:
            wait_until(lambda: metric(port, "swiftlet_gateway_requests_running") == 0, what=f"gateway {port} has no request")


class Background:
    """Runs `action` in a thread and raises here what it raised there."""

    def __init__(self, action):
        self._error: BaseException | None = None
        self.result = None

        def run() -> None:
            try:
                self.result = action()
            except BaseException as error:  # handed to the caller of join
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self, seconds: float):
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"still busy after {seconds} s"
        if self._error is not None:
            raise self._error
        return self.result
