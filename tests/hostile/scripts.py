"""Cases that take more than requests: functions by the names that the data gives. Each takes the Service under test."""

from dataclasses import dataclass, field
from pathlib import Path

from processes import Cluster, Program

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


def resident_bytes(program: Program) -> int:
    for line in Path(f"/proc/{program.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{program.name} has no VmRSS")
