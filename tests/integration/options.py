"""Where the binaries under test and the demo model are: what each conftest.py of the service's tests has in common."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    parser.addoption("--binaries", type=pathlib.Path, default=ROOT / "build" / "cpu-release" / "bin")
    parser.addoption("--checkpoint", type=pathlib.Path, default=ROOT / "tools" / "demo_model" / "checkpoint")


@pytest.fixture(scope="session")
def binaries(request) -> pathlib.Path:
    return request.config.getoption("--binaries").resolve()


@pytest.fixture(scope="session")
def checkpoint(request) -> pathlib.Path:
    return request.config.getoption("--checkpoint").resolve()
