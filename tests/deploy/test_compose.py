"""compose.yaml as far as it goes without a container engine: it is valid by the compose specification's own schema, its commands
start the real binaries, which find each other by the services' names, and the files that it mounts are there and good."""

import importlib.resources
import json
import re
import subprocess

import jsonschema
import pytest
import yaml
from processes import Program, get

from chart import ROOT, merged
from pods import RESOLVER, network
from prometheus import program

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
ADMIN_PORTS = {"gateway": 8002, "tokenizer": 8102, "worker": 8202}
ADDRESSES = {service: network.address() for service in ADMIN_PORTS}


def command(service: str, checkpoint) -> list[str]:
    """With compose's defaults, and the mounted folder where the test has it."""
    flags = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", flag) for flag in COMPOSE["services"][service]["command"]]
    return [flag.replace("/models/model", str(checkpoint)) for flag in flags]


def test_the_commands_make_a_service(binaries, checkpoint, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{address} {service}\n" for service, address in ADDRESSES.items()))
    programs = {service: Program(binaries / f"swiftlet-{service}", f"--host={address}", *command(service, checkpoint),
                                 log=tmp_path / f"{service}.log",
                                 environment={"LD_PRELOAD": RESOLVER, "NSS_WRAPPER_HOSTS": str(hosts)})
                for service, address in ADDRESSES.items()}
    try:
        for service, started in programs.items():
            started.wait_ready(ADMIN_PORTS[service], ADDRESSES[service])
        status, body = get(8000, "/v1/models", ADDRESSES["gateway"])
        assert status == 200 and '"model"' in body
        for started in programs.values():
            started.stop()
    finally:
        for started in programs.values():
            if started.running():
                started.process.kill()


@pytest.mark.parametrize("service", ADDRESSES)
def test_a_process_has_the_time_that_its_drain_takes_and_no_rights(service):
    entry = COMPOSE["services"][service]
    drain = next(int(flag.partition("=")[2]) for flag in entry["command"] if flag.startswith("--drain-seconds="))
    assert int(entry["stop_grace_period"].removesuffix("s")) >= drain + 5
    assert entry["read_only"] and entry["user"] == "65532:65532" and entry["cap_drop"] == ["ALL"]


SPECIFICATION = json.loads((importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
FOR_GPUS = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yaml").read_text())


@pytest.mark.parametrize("document", [COMPOSE, FOR_GPUS, merged(COMPOSE, **FOR_GPUS)], ids=["compose", "gpu", "both"])
def test_the_specification_takes_it(document):
    validator = jsonschema.validators.validator_for(SPECIFICATION)(SPECIFICATION)
    assert [error.message for error in validator.iter_errors(document)] == []
    wrong = merged(document, services={"worker": {"read_onli": True}})
    assert any("read_onli" in error.message for error in validator.iter_errors(wrong)), "takes everything"


def test_it_mounts_files_that_there_are():
    for service in ("prometheus", "grafana"):
        for volume in COMPOSE["services"][service]["volumes"]:
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / "deploy" / source).exists(), source


def test_prometheus_takes_its_configuration():
    checked = subprocess.run([program("promtool"), "check", "config", ROOT / "deploy" / "prometheus" / "prometheus.yml"],
                             capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
