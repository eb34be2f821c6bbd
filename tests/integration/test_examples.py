"""The callers in tools/examples do what they say."""

import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "tools" / "examples"
QUESTION = "What is 478 + 256?"


def ask_python(cluster, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, EXAMPLES / "python" / "ask.py", "--http", f"127.0.0.1:{cluster.port}",
                           "--grpc", cluster.grpc_addresses["gateway"][0], *arguments],
                          capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def answer(client) -> str:
    return client.chat.completions.create(model="demo", messages=[{"role": "user", "content": QUESTION}],
                                          seed=7).choices[0].message.content


def test_python_has_one_answer_from_all_doors(cluster, answer):
    asked = ask_python(cluster, "--model", "demo", QUESTION)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert [line.split(": ", 1) for line in asked.stdout.splitlines()] == [["gRPC", answer], ["REST", answer], ["OpenAI", answer]]


def test_python_says_why_it_was_refused(cluster):
    asked = ask_python(cluster, "--model", "other", QUESTION)
    assert asked.returncode == 2 and "NOT_FOUND" in asked.stderr and "reason model_not_found, field model" in asked.stderr


def test_cc_prints_the_answer(cluster, binaries, answer):
    program = binaries / "swiftlet-example-ask"
    asked = subprocess.run([program, cluster.grpc_addresses["gateway"][0], "demo", QUESTION], capture_output=True, text=True,
                           timeout=120)
    assert asked.returncode == 0 and asked.stdout == answer + "\n", asked.stderr
    refused = subprocess.run([program, cluster.grpc_addresses["gateway"][0], "other", QUESTION], capture_output=True, text=True,
                             timeout=120)
    assert refused.returncode == 2 and "reason: model_not_found\n  field: model\n" in refused.stderr
    assert subprocess.run([program], capture_output=True, timeout=60).returncode == 64
