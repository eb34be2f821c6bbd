"""The folder that carries a build to a machine with a GPU: one compressed archive, and the suite that unpacks it."""

import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

MAX_BYTES = 60 << 20
PROGRAMS = ["swiftlet", "swiftlet-gateway", "swiftlet-tokenizer", "swiftlet-worker", "scripted_worker", "golden_check", "engine_bench",
            "synth_checkpoint", "logits_dump"]
OPTIONAL = ["*cuda*_test", "kernel_bench*"]
# Part of every Linux that runs programs of this age.
SYSTEM_LIBRARIES = re.compile(r"^(libc|libm|libgcc_s|libstdc\+\+|libdl|libpthread|librt|ld-linux.*|libz|linux-vdso)\.so")
ARCHIVE = "bundle.tar.xz"


class BundleError(Exception):
    pass


def libraries(program: pathlib.Path) -> dict[str, pathlib.Path]:
    lines = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for name, _, path in (re.match(r"\s*(\S+)( => (\S+))?", line).groups() for line in lines):
        if SYSTEM_LIBRARIES.match(pathlib.Path(name).name):
            continue
        if path is None or path == "not":
            raise BundleError(f"{program}: {name} is not on this machine")
        found[name] = pathlib.Path(path)
    return found


def commit_of(root: pathlib.Path) -> str:
    def git(*command: str) -> str:
        return subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True).stdout.strip()

    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("+changes" if git("status", "--porcelain", "-uno") else "")


def make(root: pathlib.Path, build: pathlib.Path, target: pathlib.Path) -> None:
    programs = [build / "bin" / name for name in PROGRAMS]
    if missing := [path.name for path in programs if not path.exists()]:
        raise BundleError(f"{build}/bin lacks {', '.join(missing)}: build them first (ninja -C {build})")
    for pattern in OPTIONAL:
        programs += sorted((build / "bin").glob(pattern))
    with tempfile.TemporaryDirectory() as folder:
        stage = pathlib.Path(folder)
        for name in ("bin", "lib"):
            (stage / name).mkdir()
        for program in programs:
            subprocess.run(["strip", "-o", str(stage / "bin" / program.name), str(program)], check=True)
            for name, path in libraries(program).items():
                shutil.copyfile(path, stage / "lib" / name)
        shutil.copyfile(root / "tools" / "compare_float32.py", stage / "compare_float32.py")
        for name in ("golden", "model_dirs"):
            source = root.parent / "shared" / name
            if source.exists():
                shutil.copytree(source, stage / name, copy_function=shutil.copyfile)
            else:
                print(f"bundle: {source} is not there, and what needs it will be left out")
        (stage / "bundle.json").write_text(json.dumps({"commit": commit_of(root), "programs": [path.name for path in programs]}))
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "tools" / "device_suite", target / "device_suite")
        (target / "device_suite").chmod(0o755)
        shutil.copytree(root / "tools" / "suite", target / "suite", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 64 << 20}]
        with lzma.open(target / ARCHIVE, "wb", filters=filters) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(stage, arcname=".")
    total = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {total / 1e6:.1f} MB, {len(programs)} programs, commit {commit_of(root)}")
    if total > MAX_BYTES:
        raise BundleError(f"{target} has {total} bytes, more than {MAX_BYTES}")


def unpack(here: pathlib.Path) -> pathlib.Path:
    """Where the archive beside the suite is unpacked: in memory, once for each content."""
    archive = here / ARCHIVE
    if not archive.exists():
        raise BundleError(f"{archive} is not there: run --part from a folder that --bundle made")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:12]
    base = pathlib.Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
    place = base / f"swiftlet_suite_{digest}"
    if not place.exists():
        partial = pathlib.Path(tempfile.mkdtemp(dir=base))
        with lzma.open(archive) as packed, tarfile.open(fileobj=packed, mode="r|") as files:
            files.extractall(partial)
        partial.rename(place)
    return place
