"""The images, built by buildah from the binaries under test (nothing is compiled): small, without a shell, not root."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
import yaml
from processes import free_port, get, wait_until

from chart import ROOT

IMAGES = {"gateway": "gateway", "tokenizer": "tokenizer", "worker-cpu": "worker"}  # target: program
LARGEST_TOGETHER = 100_000_000  # bytes, compressed
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


class Buildah:
    def __init__(self, folder: pathlib.Path):
        self._store = ["buildah", "--storage-driver", "vfs", "--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self.environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(folder)}

    def command(self, *words: str) -> list[str]:
        return [*self._store, *words]

    def __call__(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), env=self.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"buildah {' '.join(words)}\n{done.stderr[-3000:]}"
        return done.stdout.strip()


@pytest.fixture(scope="module")
def buildah(tmp_path_factory) -> Buildah:
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed")
    built = Buildah(tmp_path_factory.mktemp("images"))
    try:
        built("rm", built("from", "scratch"))
    except AssertionError as failure:
        pytest.skip(f"buildah does not run here: {str(failure)[-300:]}")
    return built


@pytest.fixture(scope="module")
def images(buildah, binaries, tmp_path_factory) -> dict[str, pathlib.Path]:
    """By target, the image as an OCI directory."""
    context = tmp_path_factory.mktemp("context")
    for program in IMAGES.values():
        subprocess.run([ROOT / "deploy" / "docker" / "make_root", context / "build" / "roots" / program, binaries / f"swiftlet-{program}"],
                       check=True)
    exported = {}
    for target in IMAGES:
        buildah("bud", "--build-arg", "ROOTS=made", "--target", target, "-t", f"localhost/swiftlet-{target}",
                "-f", str(ROOT / "deploy" / "docker" / "Dockerfile"), str(context))
        exported[target] = tmp_path_factory.mktemp(target)
        buildah("push", f"localhost/swiftlet-{target}", f"oci:{exported[target]}")
    return exported


def blob(image: pathlib.Path, digest: str) -> dict:
    return json.loads((image / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_text())


def manifest(image: pathlib.Path) -> dict:
    return blob(image, json.loads((image / "index.json").read_text())["manifests"][0]["digest"])


def test_they_are_small_together(images):
    sizes = {target: sum(layer["size"] for layer in manifest(image)["layers"]) for target, image in images.items()}
    print("compressed:", {target: f"{size / 1e6:.1f} MB" for target, size in sizes.items()})
    assert sum(sizes.values()) <= LARGEST_TOGETHER, sizes


@pytest.mark.parametrize("target", IMAGES)
def test_it_is_one_program_of_nobody(images, buildah, target):
    program = f"/usr/bin/swiftlet-{IMAGES[target]}"
    config = blob(images[target], manifest(images[target])["config"]["digest"])["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == [program]
    container = buildah("from", f"localhost/swiftlet-{target}")
    root = pathlib.Path(buildah("mount", container))
    assert [f"/usr/bin/{path.name}" for path in (root / "usr" / "bin").iterdir()] == [program]
    assert not any((root / folder).exists() for folder in ("bin", "sbin", "usr/sbin"))
    if target == "gateway":
        serves(buildah, container, program)
    else:  # its own line, not the loader's
        started = subprocess.run(buildah.command("run", container, "--", program, "--admin-port=0", "--port=0", "--model=/models/absent"),
                                 env=buildah.environment, capture_output=True, text=True, timeout=60)
        assert started.returncode == 78 and f"swiftlet-{IMAGES[target]}: --model: " in started.stderr, started.stderr


def serves(buildah: Buildah, container: str, program: str) -> None:
    port = free_port()
    process = subprocess.Popen(buildah.command("run", container, "--", program, "--host=127.0.0.1", f"--admin-port={port}", "--port=0",
                                               "--grpc-port=0", "--tokenizer-endpoints=localhost:9", "--worker-endpoints=localhost:9"),
                               env=buildah.environment, stdin=subprocess.DEVNULL)

    def says_why() -> bool:
        assert process.poll() is None, "the gateway ended in its image"
        try:
            return get(port, "/livez")[0] == 200 and "no model is ready" in get(port, "/readyz")[1]
        except OSError:
            return False

    try:
        wait_until(says_why, 60, "the gateway in its image says why it is not ready")
    finally:
        process.terminate()  # buildah hands no signal on: it ends the program at once
        process.wait(60)


@pytest.mark.parametrize("service", ["gateway", "tokenizer", "worker"])
def test_compose_gives_flags_that_there_are(binaries, service):
    shown = subprocess.run([binaries / f"swiftlet-{service}", "--help"], capture_output=True, text=True, check=True).stdout
    entry = COMPOSE["services"][service]
    for flag in entry["command"]:
        assert f" {flag.partition('=')[0]} " in shown, flag
    drain = next(int(flag.partition("=")[2]) for flag in entry["command"] if flag.startswith("--drain-seconds="))
    assert int(entry["stop_grace_period"].removesuffix("s")) >= drain + 5
    assert entry["read_only"] and entry["user"] == "65532:65532" and entry["cap_drop"] == ["ALL"]


def test_compose_mounts_files_that_there_are():
    for service in ("prometheus", "grafana"):
        for volume in COMPOSE["services"][service]["volumes"]:
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / "deploy" / source).exists(), source
