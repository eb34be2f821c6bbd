"""Fixtures: the binaries under test and the demo model. The processes are started as tests/integration starts them."""

import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from options import binaries, checkpoint, pytest_addoption  # noqa: E402, F401

from pods import RESOLVER  # noqa: E402
from prometheus import program  # noqa: E402


def pytest_sessionstart():
    """None of what these tests stand on is optional: a run without it would say little and be green."""
    missing = [package for package, there in {
        "libnss-wrapper": any(pathlib.Path("/usr/lib").glob(f"*-linux-gnu/{RESOLVER}")),
        "buildah": shutil.which("buildah"),
    }.items() if not there]
    if missing:
        pytest.exit(f"{', '.join(missing)} not installed: run tools/setup --tests", returncode=1)
    if program("promtool") is None:
        pytest.exit("prometheus is neither installed nor unpacked: run tests/deploy/make_prometheus build/.prometheus", returncode=1)
