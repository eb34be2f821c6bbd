"""The demo model through the running service: it answers what it was not trained on, and streams what it answers."""

import subprocess
import sys
from pathlib import Path

DEMO_MODEL = Path(__file__).resolve().parents[2] / "tools" / "demo_model"


def run(script: str, *arguments: str) -> str:
    output = subprocess.run([sys.executable, DEMO_MODEL / script, *arguments], capture_output=True, text=True, timeout=600)
    assert output.returncode == 0, output.stdout + output.stderr
    return output.stdout


def test_answers_unseen_questions(cluster):
    run("evaluate.py", "--url", f"http://127.0.0.1:{cluster.port}/v1", "--count", "100")  # fails below 97 %


def test_streams_are_what_whole_answers_are(cluster):
    assert "equal: 64 of 64" in run("compare_streams.py", "--url", f"http://127.0.0.1:{cluster.port}/v1",
                                    "--requests", "64")
