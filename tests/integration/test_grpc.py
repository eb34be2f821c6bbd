"""gRPC from outside, by reflection alone: what every server shows, and the public service through the same validator."""

import json
import pathlib
import subprocess
import sys

import pytest

BUF = pathlib.Path(sys.executable).with_name("buf")
OWN_SERVICE = {"gateway": "InferenceService", "tokenizer": "TokenizerService", "worker": "ModelWorkerService"}


def curl(url: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments, f"http://{url}"],
                          capture_output=True, text=True, timeout=60)


def call(address: str, method: str, body: dict) -> subprocess.CompletedProcess:
    return curl(f"{address}/{method}", "--data", json.dumps(body))


def messages(output: str) -> list[dict]:
    """The JSON objects that stand one after the other in `output`."""
    decoder, objects, text = json.JSONDecoder(), [], output.strip()
    while text:
        value, end = decoder.raw_decode(text)
        objects.append(value)
        text = text[end:].lstrip()
    return objects


@pytest.mark.parametrize("kind", OWN_SERVICE)
def test_every_server_has_reflection_and_health(cluster, kind):
    address = cluster.grpc_addresses[kind][0]
    listed = curl(address, "--list-methods")
    assert f"swiftlet.v1.{OWN_SERVICE[kind]}/" in listed.stdout, listed.stderr
    health = call(address, "grpc.health.v1.Health/Check", {"service": f"swiftlet.v1.{OWN_SERVICE[kind]}"})
    assert json.loads(health.stdout) == {"status": "SERVING"}, health.stderr


def test_chat_streams_what_the_openai_route_answers(cluster, client):
    question = [{"role": "user", "content": "What is 478 + 256?"}]
    streamed = call(cluster.grpc_addresses["gateway"][0], "swiftlet.v1.InferenceService/Chat",
                    {"model": "demo", "messages": question, "sampling": {"seed": 7}})
    parts = messages(streamed.stdout)
    deltas = [delta for part in parts for delta in part.get("deltas", [])]
    whole = client.chat.completions.create(model="demo", messages=question, seed=7)
    assert "".join(delta.get("text", "") for delta in deltas) == whole.choices[0].message.content
    assert "".join(delta.get("reasoning", "") for delta in deltas) == whole.choices[0].message.reasoning_content
    assert deltas[-1]["finishReason"] == "FINISH_REASON_STOP"
    assert parts[-1]["usage"]["completionTokens"] == whole.usage.completion_tokens


@pytest.mark.parametrize("method, body, code, named", [
    ("Chat", {"model": "demo", "messages": []}, "invalid_argument", "messages"),
    ("Chat", {"model": "demo", "messages": [{"role": "wizard", "content": "x"}]}, "invalid_argument", "role"),
    ("Chat", {"model": "other", "messages": [{"role": "user", "content": "x"}]}, "not_found", "other"),
    ("Generate", {"model": "demo", "text": "x", "sampling": {"temperature": "NaN"}}, "invalid_argument", "temperature"),
    ("Generate", {"model": "demo", "tokenIds": {"ids": [99999]}}, "invalid_argument", "99999"),
    ("Generate", {"model": "demo"}, "invalid_argument", "token_ids"),
])
def test_bad_requests_name_the_field(cluster, method, body, code, named):
    answer = call(cluster.grpc_addresses["gateway"][0], f"swiftlet.v1.InferenceService/{method}", body)
    error = json.loads(answer.stderr)
    assert answer.returncode != 0 and error["code"] == code and named in error["message"]
