"""Fixtures: the binaries under test, a running service of one process of each kind, and OpenAI's client in front of it."""

import sys

import openai
import pytest

from options import ROOT, binaries, checkpoint, pytest_addoption  # noqa: F401
from processes import Cluster

sys.path.insert(0, str(ROOT / "tools" / "demo_model"))  # the questions


@pytest.fixture(scope="session")
def cluster(binaries, checkpoint, tmp_path_factory):
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("logs"))
    yield running
    running.wait_idle()
    running.stop()


def client_of(port: int) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.fixture(scope="session")
def client(cluster) -> openai.OpenAI:
    return client_of(cluster.port)
