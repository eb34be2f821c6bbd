"""`swiftlet serve`: one command, three processes, one clean end."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from answers import ask
from conftest import client_of
from processes import READY_SECONDS, Background, Program, free_port, get, wait_until


class Serve(Program):
    def __init__(self, binaries: pathlib.Path, model: pathlib.Path, log: pathlib.Path, *flags: str, port: int | None = None):
        self.port = port if port is not None else free_port()
        ports = [f"--{name}port={free_port()}" for name in ("grpc-", "admin-", "tokenizer-", "tokenizer-admin-", "worker-", "worker-admin-")]
        super().__init__(binaries / "swiftlet", "serve", "--model", str(model), "--served-model-name", "demo", "--host", "127.0.0.1",
                         "--port", str(self.port), *ports, *flags, log=log)

    def wait_url(self) -> str:
        def printed() -> bool:
            assert self.running(), f"it ended with {self.process.returncode}: {self.output()[-3000:]}"
            return bool(self.urls())

        wait_until(printed, READY_SECONDS, "the URL is printed")
        return self.urls()[0]

    def urls(self) -> list[str]:
        return re.findall(rf"http://[^\s]*:{self.port}/v1", self.output())

    def children(self) -> dict[str, int]:
        """Program name to process id."""
        found = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                arguments = (stat.parent / "cmdline").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue
            if parent == self.process.pid:
                found[os.path.basename(arguments[0].decode())] = int(stat.parent.name)
        return found


@pytest.fixture
def serve(binaries, checkpoint, tmp_path):
    running = Serve(binaries, checkpoint, tmp_path / "serve.log")
    yield running
    if running.running():
        running.stop()


def test_request_is_served_at_once_when_the_url_is_printed(serve):
    serve.wait_url()
    assert ask(client_of(serve.port), "What is 478 + 256?", temperature=0).boxed == 734
    assert get(serve.port, "/readyz")[0] == 200 and get(serve.port, "/livez")[0] == 200
    assert set(serve.children()) == {"swiftlet-gateway", "swiftlet-tokenizer", "swiftlet-worker"}


def test_sigterm_lets_running_answers_end(serve):
    serve.wait_url()
    client = client_of(serve.port)
    body = dict(model="demo", messages=[dict(role="user", content="Tell me a story.")], max_tokens=1000,
                extra_body=dict(ignore_eos=True), stream_options=dict(include_usage=True))
    events = client.chat.completions.create(stream=True, **body)
    next(iter(events))  # it runs
    rest = Background(lambda: list(events))
    serve.terminate()
    last = rest.join(60)[-1]
    assert last.usage.completion_tokens == 1000
    assert serve.wait() == 0
    assert not serve.children()


def test_children_do_not_outlive_serve(serve):
    serve.wait_url()
    children = serve.children()
    assert len(children) == 3
    serve.process.kill()
    serve.wait()
    for name, pid in children.items():
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), what=f"{name} has ended with it")


FLAG = re.compile(r"^ +--(?P<name>[a-z0-9-]+)(?P<switch>,--no-\S+)?(?: VALUE(?: \.\.\.)?(?:=(?P<default>\S+))?)?\s+(?P<text>\S.*)", re.MULTILINE)


def flags_of(binaries: pathlib.Path, *command: str) -> dict[str, re.Match]:
    """Of --help: what stands there of each flag."""
    text = subprocess.run([binaries / command[0], *command[1:], "--help"], check=True, capture_output=True, text=True).stdout
    return {flag["name"]: flag for flag in FLAG.finditer(text)}


def test_every_flag_handed_on_is_one_of_its_child(binaries, checkpoint, tmp_path):
    handed_on = []
    for name, flag in flags_of(binaries, "swiftlet", "serve").items():
        if (child := re.match(r"(gateway|tokenizer|worker): ", flag["text"])) is None:
            continue
        theirs = flags_of(binaries, f"swiftlet-{child[1]}")
        own = theirs.get(name) or theirs.get(name.removeprefix(f"{child[1]}-"))
        assert own is not None, f"swiftlet-{child[1]} has no --{name}"
        assert bool(own["switch"]) == bool(flag["switch"]), f"--{name} takes a value on one side alone"
        handed_on.append(f"--no-{name}" if flag["switch"] else f"--{name}={own['default'] or ''}")  # empty, as paths are unless given
    assert len(handed_on) >= 15, handed_on
    serve = Serve(binaries, checkpoint, tmp_path / "serve.log", *handed_on)  # and each child takes what it is handed
    serve.wait_url()
    serve.stop()


# Not handed on: what serve itself says to its children, and what concerns but services on several machines.
SAID_BY_SERVE = {"host", "port", "grpc-port", "admin-port", "model", "served-model-name", "tokenizer-endpoints", "worker-endpoints", "api-key", "log-level",
                 "log-format", "drain-seconds", "metrics-compat"}
ELSEWHERE = {"help", "version", "config", "endpoint-refresh-seconds", "internal-ssl-certfile", "internal-ssl-keyfile", "internal-ssl-ca-certs",
             "internal-ssl-server-name"}


@pytest.mark.parametrize("child", ["gateway", "tokenizer", "worker"])
def test_every_flag_of_a_child_is_handed_on(binaries, child):
    handed_on = {name for name, flag in flags_of(binaries, "swiftlet", "serve").items() if flag["text"].startswith(f"{child}: ")}
    theirs = flags_of(binaries, f"swiftlet-{child}").keys()
    assert "config" in theirs
    missing = {name for name in theirs - SAID_BY_SERVE - ELSEWHERE if not handed_on & {name, f"{child}-{name}"}}
    assert not missing, f"swiftlet serve does not hand on {missing}"


@pytest.mark.parametrize("child", ["swiftlet-worker", "swiftlet-tokenizer", "swiftlet-gateway"])
def test_killed_child_is_named(serve, child):
    serve.wait_url()
    others = [pid for name, pid in serve.children().items() if name != child]
    os.kill(serve.children()[child], signal.SIGKILL)
    assert serve.wait() != 0
    lines = [line for line in serve.output().splitlines() if child.removeprefix("swiftlet-") in line]
    assert "Its last lines:\n" in serve.output()
    assert any("signal 9" in line.lower() or "sigkill" in line.lower() or "killed" in line.lower() for line in lines), serve.output()[-2000:]
    for pid in others:
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), what=f"process {pid} has ended too")


def test_busy_port_is_one_line_that_names_the_flag(binaries, checkpoint, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        serve = Serve(binaries, checkpoint, tmp_path / "serve.log", port=port)
        assert serve.wait() != 0
    assert any(str(port) in line and "--port" in line for line in serve.output().splitlines()), serve.output()[-2000:]


def write_tensors(path: pathlib.Path, change) -> None:
    """Rewrites a safetensors file with its header changed by `change`."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


NORM = "model.layers.0.input_layernorm.weight"


def truncate(folder: pathlib.Path) -> None:
    os.truncate(folder / "model.safetensors", 1_000_000)


def wrong_shape(folder: pathlib.Path) -> None:
    def change(header):
        header["model.norm.weight"]["shape"] = [128, 2]

    write_tensors(folder / "model.safetensors", change)


def overlap(folder: pathlib.Path) -> None:
    def change(header):
        header["model.norm.weight"]["data_offsets"] = header[NORM]["data_offsets"]

    write_tensors(folder / "model.safetensors", change)


def missing_tensor(folder: pathlib.Path) -> None:
    write_tensors(folder / "model.safetensors", lambda header: header.__setitem__("another.weight", header.pop(NORM)))


def unknown_architecture(folder: pathlib.Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | dict(architectures=["FooForCausalLM"], model_type="foo")))


def no_config(folder: pathlib.Path) -> None:
    (folder / "config.json").unlink()


def no_tokenizer(folder: pathlib.Path) -> None:
    (folder / "tokenizer.json").unlink()


BROKEN = [(truncate, ["model.safetensors"]), (wrong_shape, ["model.norm.weight", "256"]), (overlap, ["model.safetensors", "model.norm.weight"]),
          (missing_tensor, [NORM]), (unknown_architecture, ["FooForCausalLM"]), (no_config, ["config.json"]),
          (no_tokenizer, ["tokenizer.json"])]


@pytest.mark.parametrize("damage, named", BROKEN, ids=[damage.__name__ for damage, _ in BROKEN])
def test_broken_model_is_refused_before_the_port_opens(binaries, checkpoint, tmp_path, damage, named):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    damage(folder)
    serve = Serve(binaries, folder, tmp_path / "serve.log")
    opened = False
    while serve.running():
        with socket.socket() as probe:
            opened = opened or probe.connect_ex(("127.0.0.1", serve.port)) == 0 and get(serve.port, "/readyz")[0] == 200
        time.sleep(0.05)
    assert serve.wait() != 0 and not opened and not serve.urls()
    for text in named:
        assert text in serve.output(), serve.output()[-2000:]
