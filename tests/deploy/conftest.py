"""Fixtures: the binaries under test and the demo model. The processes are started as tests/integration starts them."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))


def pytest_addoption(parser):
    parser.addoption("--binaries", type=pathlib.Path, default=ROOT / "build" / "cpu-release" / "bin")
    parser.addoption("--checkpoint", type=pathlib.Path, default=ROOT / "tools" / "demo_model" / "checkpoint")


@pytest.fixture(scope="session")
def binaries(request) -> pathlib.Path:
    return request.config.getoption("--binaries").resolve()


@pytest.fixture(scope="session")
def checkpoint(request) -> pathlib.Path:
    return request.config.getoption("--checkpoint").resolve()
