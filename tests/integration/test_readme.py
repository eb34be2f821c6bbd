"""The examples of README.md do what it says: every curl line and every Python block is run against a service."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


CURLS = [block for block in blocks("sh") if block.startswith("curl")]
PYTHONS = blocks("python")


def test_readme_has_examples():
    assert len(CURLS) >= 2 and len(PYTHONS) >= 1


@pytest.mark.parametrize("example", CURLS, ids=range(len(CURLS)))
def test_curl_example(cluster, example):
    command = example.replace("127.0.0.1:8000", f"127.0.0.1:{cluster.port}")
    output = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, timeout=120)
    assert output.returncode == 0, output.stderr
    if '"stream": true' in example:
        events = [line for line in output.stdout.splitlines() if line.startswith("data: ")]
        # Tokens that come while the socket is busy share an event, so their number is not fixed.
        assert len(events) > 3 and events[-1] == "data: [DONE]"
        text = "".join(json.loads(event[6:])["choices"][0]["delta"].get("content", "") for event in events[:-1])
    else:
        text = json.loads(output.stdout)["choices"][0]["message"]["content"]
    assert re.search(r"\\boxed\{-?\d+\}", text)


@pytest.mark.parametrize("example", PYTHONS, ids=range(len(PYTHONS)))
def test_python_example(cluster, example):
    program = example.replace("127.0.0.1:8000", f"127.0.0.1:{cluster.port}")
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert output.returncode == 0, output.stderr
    assert re.search(r"\\boxed\{-?\d+\}", output.stdout)
