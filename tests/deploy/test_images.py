"""The images, built by buildah from the binaries under test (nothing is compiled): small, without a shell, not root."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from processes import Program, get

from chart import ROOT
from pods import network

IMAGES = {"gateway": "gateway", "tokenizer": "tokenizer", "worker-cpu": "worker", "worker-cuda": "worker"}  # target: program
ROOTS = {"gateway": "gateway", "tokenizer": "tokenizer", "worker-cpu": "worker", "worker-cuda": "worker-cuda"}  # below build/roots
LARGEST_TOGETHER = 100_000_000  # bytes, compressed; of the three that serve on a CPU
LARGEST_CUDA = 700_000_000

DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
CUBLASLT = pathlib.Path(re.search(r"/swiftlet-worker (/\S+/libcublasLt\S+)", DOCKERFILE)[1])  # opened by the worker, so that ldd shows none
CUDA_WORKER = ROOT / "build" / "cuda-release" / "bin" / "swiftlet-worker"
HAS_CUDA = CUDA_WORKER.exists() and CUBLASLT.exists()


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


# An image on top of another one, as ours are: to unpack the lower one takes more rights than to start from nothing.
LAYERED = """
FROM scratch AS below
COPY file /file
FROM below
ENV above=1
"""


@pytest.fixture(scope="module")
def buildah(tmp_path_factory) -> Buildah:
    built = Buildah(tmp_path_factory.mktemp("images"))
    context = tmp_path_factory.mktemp("layered")
    (context / "file").write_text("below")
    (context / "Dockerfile").write_text(LAYERED)
    try:
        built("bud", str(context))
    except AssertionError as failure:
        pytest.skip(f"buildah does not run here: {str(failure)[-300:]}")
    return built


@pytest.fixture(scope="module")
def cuda_files(binaries, tmp_path_factory) -> tuple[pathlib.Path, pathlib.Path]:
    """The worker and its cuBLASLt: where they were not built, the worker for the CPU and a library that is no package's either."""
    if HAS_CUDA:
        return CUDA_WORKER, CUBLASLT
    library = tmp_path_factory.mktemp("library") / CUBLASLT.name
    subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", library], check=True)
    return binaries / "swiftlet-worker", library


@pytest.fixture(scope="module")
def contexts(binaries, cuda_files, tmp_path_factory) -> dict[str, pathlib.Path]:
    """By target, what the Dockerfile copies from with ROOTS=made."""
    folders = {target: tmp_path_factory.mktemp(target) for target in IMAGES}
    for target, folder in folders.items():
        files = cuda_files if target == "worker-cuda" else [binaries / f"swiftlet-{IMAGES[target]}"]
        subprocess.run([ROOT / "deploy" / "docker" / "make_root", root_of(folder, target), *files], check=True)
    return folders


def root_of(context: pathlib.Path, target: str) -> pathlib.Path:
    return context / "build" / "roots" / ROOTS[target]


@pytest.fixture(scope="module")
def images(buildah, contexts, tmp_path_factory) -> dict[str, pathlib.Path]:
    """By target, the image as an OCI directory."""
    exported = {}
    for target in IMAGES:
        buildah("bud", "--build-arg", "ROOTS=made", "--target", target, "-t", f"localhost/swiftlet-{target}",
                "-f", str(ROOT / "deploy" / "docker" / "Dockerfile"), str(contexts[target]))
        exported[target] = tmp_path_factory.mktemp(target)
        buildah("push", f"localhost/swiftlet-{target}", f"oci:{exported[target]}")
    return exported


def blob(image: pathlib.Path, digest: str) -> dict:
    return json.loads((image / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_text())


def manifest(image: pathlib.Path) -> dict:
    return blob(image, json.loads((image / "index.json").read_text())["manifests"][0]["digest"])


@pytest.fixture(scope="module")
def sizes(images) -> dict[str, int]:
    """Bytes, compressed."""
    found = {target: sum(layer["size"] for layer in manifest(image)["layers"]) for target, image in images.items()}
    print("compressed:", {target: f"{size / 1e6:.1f} MB" for target, size in found.items()})
    return found


def test_they_are_small_together(sizes):
    assert sum(size for target, size in sizes.items() if target != "worker-cuda") <= LARGEST_TOGETHER, sizes


@pytest.mark.skipif(not HAS_CUDA, reason="no cuda-release build with cuBLASLt here: the image was made of stand-ins")
def test_the_image_for_gpus_is_small_enough(sizes):
    assert sizes["worker-cuda"] <= LARGEST_CUDA, sizes


def test_the_image_for_gpus_has_what_the_worker_opens(images, contexts):
    libraries = root_of(contexts["worker-cuda"], "worker-cuda") / "usr" / "lib"
    assert [path.name for path in libraries.glob("*-linux-gnu/libcublasLt*")] == [CUBLASLT.name]
    assert f'"{CUBLASLT.name}"' in (ROOT / "engine" / "kernels" / "cuda" / "cublaslt_library.cc").read_text()
    environment = blob(images["worker-cuda"], manifest(images["worker-cuda"])["config"]["digest"])["config"]["Env"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in environment and "NVIDIA_VISIBLE_DEVICES=all" in environment


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
    started = subprocess.run(buildah.command("run", container, "--", program, "--admin-port=0", "--port=none"),
                             env=buildah.environment, capture_output=True, text=True, timeout=60)
    assert started.returncode == 78 and "--port" in started.stderr, started.stderr  # its own line, not the loader's


# As a container has it: a read-only root of its own, the model mounted into it, nobody's user.
IN_A_READ_ONLY_ROOT = """
mount --bind "$0" "$0"
mount --bind "$1" "$0/models"
mount -o remount,ro,bind "$0"
shift
exec chroot --userspec=65532:65532 "$0" "$@"
"""


@pytest.mark.skipif(subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
                    reason="mounting takes root, and a root folder that is a mount itself")
def test_they_serve_from_read_only_roots_as_nobody(contexts, checkpoint, tmp_path):
    host, programs = network.address(), []
    flags = {"tokenizer": ["--model=demo=/models"],
             "worker": ["--model=/models", "--served-model-name=demo", "--kv-cache-memory-bytes=64MiB"],
             "gateway": [f"--tokenizer-endpoints={host}:8101", f"--worker-endpoints={host}:8201"]}
    try:
        for program, own in flags.items():
            target = "worker-cpu" if program == "worker" else program
            root = root_of(contexts[target], target)
            programs.append(Program(pathlib.Path("/usr/bin/unshare"), "--mount", "bash", "-ec", IN_A_READ_ONLY_ROOT, str(root),
                                    str(checkpoint), f"/usr/bin/swiftlet-{program}", f"--host={host}", *own,
                                    log=tmp_path / f"{program}.log"))
        for started, admin_port in zip(programs, (8102, 8202, 8002)):
            started.wait_ready(admin_port, host)
        assert '"demo"' in get(8000, "/v1/models", host)[1]
        for program in reversed(programs):
            program.stop()
    finally:
        for program in programs:
            if program.running():
                program.process.kill()
