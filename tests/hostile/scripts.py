"""Cases that take more than requests: functions by the names that the data gives. Each takes the Service under test."""

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

from processes import Cluster, Program, free_port

SCRIPTS = {}


@dataclass
class Service:
    """What a script may use."""
    cluster: Cluster  # open to everybody
    keyed_port: int  # a gateway before the same worker: --strict-parameters, KEYS, at most 200 connections and 8 requests
    keyed: Program
    keyed_grpc: str
    keyed_admin_port: int
    binaries: Path
    checkpoint: Path
    logs: Path
    full: bool  # the long forms
    notes: list[str] = field(default_factory=list)  # printed below the table

    @property
    def port(self) -> int:
        return self.cluster.port

    @property
    def grpc(self) -> str:
        return self.cluster.grpc_addresses["gateway"][0]

    @property
    def gateway(self) -> Program:
        return self.cluster.gateways()[0]

    def programs(self) -> list[Program]:
        return self.cluster.programs + [self.keyed]


KEYS = ("hostile-key-one", "hostile-key-two")


def script(function):
    assert function.__name__ not in SCRIPTS, function
    SCRIPTS[function.__name__] = function
    return function


def at_once(count: int, action) -> list:
    results: list = []
    threads = [threading.Thread(target=lambda place=place: results.append(action(place))) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert len(results) == count, f"{len(results)} of {count} ended"
    return results


@dataclass
class Gateway:
    """One more gateway before the processes of a cluster."""
    program: Program
    port: int
    grpc_port: int
    admin_port: int


def start_gateway(cluster: Cluster, binaries: Path, log: Path, *flags: str) -> Gateway:
    port, grpc_port, admin_port = free_port(), free_port(), free_port()
    program = Program(binaries / "swiftlet-gateway", "--host", "127.0.0.1", "--drain-seconds", "20", "--port", str(port), "--grpc-port", str(grpc_port),
                      "--admin-port", str(admin_port), "--tokenizer-endpoints", cluster.grpc_addresses["tokenizer"][0],
                      "--worker-endpoints", cluster.grpc_addresses["worker"][0], *flags, log=log)
    program.wait_ready(admin_port)
    return Gateway(program, port, grpc_port, admin_port)


@contextlib.contextmanager
def own_gateway(service: Service, log: str, *flags: str):
    """A gateway for one script, which does not outlive it when it fails either."""
    gateway = start_gateway(service.cluster, service.binaries, service.logs / log, *flags)
    try:
        yield gateway
    except BaseException:
        gateway.program.process.kill()
        gateway.program.process.wait()
        raise
    gateway.program.stop()
