"""gRPC from outside, by reflection alone: what every server shows, and the public service through the same validator; and
that REST gives the same."""

import json
import pathlib
import struct
import subprocess
import sys

import pytest

from processes import get, post

BUF = pathlib.Path(sys.executable).with_name("buf")
OWN_SERVICE = {"gateway": "InferenceService", "tokenizer": "TokenizerService", "worker": "ModelWorkerService"}


def curl(url: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments, f"http://{url}"],
                          capture_output=True, text=True, timeout=60)


def call(address: str, method: str, body: dict, *more: str) -> subprocess.CompletedProcess:
    return curl(f"{address}/{method}", "--data", json.dumps(body), *more)


def messages(output: str) -> list[dict]:
    """The JSON objects that stand one after the other in `output`."""
    decoder, objects, text = json.JSONDecoder(), [], output.strip()
    while text:
        value, end = decoder.raw_decode(text)
        objects.append(value)
        text = text[end:].lstrip()
    return objects


@pytest.fixture(scope="session")
def health_schema(tmp_path_factory) -> pathlib.Path:
    """For servers that do not tell it themselves."""
    schema = tmp_path_factory.mktemp("schema") / "health.binpb"
    subprocess.run(["protoc", "-I", "/usr/share/grpc-proto", f"--descriptor_set_out={schema}", "grpc/health/v1/health.proto"],
                   check=True)
    return schema


@pytest.mark.parametrize("kind", OWN_SERVICE)
def test_every_server_has_health_and_the_public_one_reflection(cluster, kind, health_schema):
    address = cluster.grpc_addresses[kind][0]
    listed = curl(address, "--list-methods")
    assert (f"swiftlet.v1.{OWN_SERVICE[kind]}/" in listed.stdout) == (kind == "gateway"), listed.stderr
    health = curl(f"{address}/grpc.health.v1.Health/Check", "--schema", str(health_schema), "--data",
                  json.dumps({"service": f"swiftlet.v1.{OWN_SERVICE[kind]}"}))
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


REQUESTS = [  # method, its REST path, and a body
    ("ChatOnce", "chat", {"model": "demo", "messages": [{"role": "user", "content": "What is 478 + 256?"}], "sampling": {"seed": 7},
                          "num_choices": 2, "logprobs": 1, "return_token_ids": True}),
    ("GenerateOnce", "generate", {"model": "demo", "text": "2 + 2 =", "sampling": {"seed": 7}, "stop": {"max_tokens": 8}}),
    ("GenerateOnce", "generate", {"model": "demo", "text": "x", "stop": {"max_tokens": 100000}}),
    ("GenerateOnce", "generate", {"model": "demo", "token_ids": {"ids": [99999]}}),
    ("ChatOnce", "chat", {"model": "demo", "messages": []}),
    ("ChatOnce", "chat", {"model": "other", "messages": [{"role": "user", "content": "x"}]}),
]


@pytest.mark.parametrize("method, path, body", REQUESTS)
def test_rest_answers_what_grpc_answers(cluster, method, path, body):
    by_grpc = call(cluster.grpc_addresses["gateway"][0], f"swiftlet.v1.InferenceService/{method}", body)
    status, by_rest = post(cluster.port, f"/swiftlet/v1/{path}", body)
    if status == 200:
        def camel(value):
            if isinstance(value, list):
                return [camel(one) for one in value]
            if isinstance(value, float):  # two printers of 32-bit numbers
                return struct.unpack("f", struct.pack("f", value))[0]
            if not isinstance(value, dict):
                return value
            return {key.split("_")[0] + "".join(word.title() for word in key.split("_")[1:]): camel(one)
                    for key, one in value.items()}

        answer = json.loads(by_grpc.stdout)
        for usage in (answer["usage"], by_rest["usage"]):
            usage.pop("cachedTokens", None), usage.pop("cached_tokens", None)  # the second finds the first's prompt
        assert camel(by_rest) == camel(answer)
    else:
        assert by_rest["error"]["message"] == json.loads(by_grpc.stderr)["message"]


def test_rest_streams_lines_and_lists_models(cluster):
    body = {"messages": [{"role": "user", "content": "What is 478 + 256?"}], "sampling": {"seed": 7}}
    answer = subprocess.run(["curl", "--silent", "--fail", f"http://127.0.0.1:{cluster.port}/swiftlet/v1/models/demo:streamChat",
                             "--json", json.dumps(body)], capture_output=True, text=True, timeout=60)
    parts = [json.loads(line) for line in answer.stdout.splitlines() if line]
    _, whole = post(cluster.port, "/swiftlet/v1/chat", body | {"model": "demo"})
    assert "".join(delta.get("text", "") for part in parts for delta in part.get("deltas", [])) == whole["deltas"][0]["text"]
    assert parts[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    status, models = get(cluster.port, "/swiftlet/v1/models")
    assert status == 200 and [model["name"] for model in json.loads(models)["models"]] == ["demo"]
    assert json.loads(get(cluster.port, "/swiftlet/v1/models/demo")[1])["name"] == "demo"
