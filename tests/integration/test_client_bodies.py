"""Requests as well-known clients send them, byte for byte of the kind, read back as those clients read."""

import http.client
import json

import pytest

from processes import get

PROMPT = "What is 478 + 256?"


def send(cluster, path: str, body: dict, headers: dict | None = None) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        return response.status, dict(response.headers.items()), response.read()
    finally:
        connection.close()


def events(raw: bytes) -> list[dict]:
    """As benchmark clients do: split at blank lines, skip comments, end at [DONE], where nothing may follow."""
    messages = [message for message in raw.decode().split("\n\n") if message and not message.startswith(":")]
    assert messages.pop() == "data: [DONE]"
    assert all(message.startswith("data: ") and "\n" not in message for message in messages)
    return [json.loads(message.removeprefix("data: ")) for message in messages]


def check_stream(chunks: list[dict], tokens: int) -> str:
    """The usage comes last, in a chunk with empty choices, and no other chunk lacks a choice."""
    *pieces, last = chunks
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == tokens
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + tokens
    assert all(len(chunk["choices"]) == 1 for chunk in pieces)
    assert [chunk["choices"][0]["finish_reason"] for chunk in pieces][-1] in ("stop", "length")
    return "".join((choice.get("delta", {}).get("content") or choice.get("text") or "") for choice in
                   (chunk["choices"][0] for chunk in pieces))


def test_vllm_bench_serve_chat(cluster):
    body = {"model": "demo", "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}], "temperature": 0.0,
            "max_completion_tokens": 128, "stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True}
    status, headers, raw = send(cluster, "/v1/chat/completions", body, {"Authorization": "Bearer None", "x-request-id": "benchmark-serving0"})
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
    assert headers["X-Request-Id"] == "benchmark-serving0"
    assert "734" in check_stream(events(raw), 128)


@pytest.mark.parametrize("logprobs", [None, 1])
def test_vllm_bench_serve_completions(cluster, logprobs):
    body = {"model": "demo", "prompt": PROMPT, "temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 32, "logprobs": logprobs,
            "stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True}
    status, _, raw = send(cluster, "/v1/completions", body)
    assert status == 200
    chunks = events(raw)
    assert check_stream(chunks, 32)
    assert sum(len(chunk["choices"][0]["logprobs"]["tokens"]) for chunk in chunks[:-1] if logprobs) == (32 if logprobs else 0)


def test_vllm_bench_serve_asks_for_the_first_model(cluster):
    status, text = get(cluster.port, "/v1/models")
    assert status == 200
    first = json.loads(text)["data"][0]
    assert first["id"] == "demo" and first["object"] == "model"


def test_open_webui(cluster):
    headers = {"Authorization": "Bearer none", "HTTP-Referer": "https://openwebui.com/", "X-Title": "Open WebUI",
               "X-OpenWebUI-User-Name": "A%20B", "X-OpenWebUI-User-Role": "admin"}
    history = [{"role": "user", "content": "What is 1 + 2?"},
               {"role": "assistant", "content": "<details type=\"reasoning\" done=\"true\">\n> 1 + 2\n</details>\nThe answer is \\boxed{3}."},
               {"role": "user", "content": PROMPT}]
    chat = {"stream": True, "model": "demo", "messages": history, "stream_options": {"include_usage": True}, "temperature": 0.6,
            "max_tokens": 256, "seed": 3, "stop": ["Observation:"]}
    status, _, raw = send(cluster, "/v1/chat/completions", chat, headers)
    assert status == 200
    chunks = events(raw)
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 10
    assert "reasoning_content" in json.dumps(chunks)
    title = {"model": "demo", "messages": [{"role": "user", "content": "### Task:\nGenerate a concise, 3-5 word title."}], "stream": False,
             "max_completion_tokens": 100, "user": {"name": "A B", "id": "1", "email": "a@b", "role": "admin"}}
    status, _, raw = send(cluster, "/v1/chat/completions", title, headers)
    assert status == 200 and json.loads(raw)["choices"][0]["message"]["role"] == "assistant"


def test_guidellm(cluster):
    for path, input_ in (("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]}),
                         ("/v1/completions", {"prompt": PROMPT})):
        body = {"model": "demo"} | input_ | {"max_tokens": 24, "max_completion_tokens": 24, "stop": None, "ignore_eos": True, "stream": True,
                                             "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
        status, _, raw = send(cluster, path, body)
        assert status == 200, raw
        chunks = events(raw)
        check_stream(chunks, 24)
        told = [chunk["usage"]["completion_tokens"] for chunk in chunks]
        assert told == sorted(told) and told[0] <= 24 and told[-1] == 24
        assert len({chunk["usage"]["prompt_tokens"] for chunk in chunks}) == 1
    assert get(cluster.port, "/health")[0] == 200


def test_locust(cluster):
    headers = {"User-Agent": "python-requests/2.32.3", "Accept-Encoding": "gzip, deflate", "Accept": "*/*", "Connection": "keep-alive"}
    body = {"model": "demo", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 128, "temperature": 0.6, "stop": ["\n\nObservation:"]}
    status, answered, raw = send(cluster, "/v1/chat/completions", body, headers)
    assert status == 200 and "Content-Encoding" not in answered
    assert json.loads(raw)["usage"]["completion_tokens"] > 0
