"""/tokenize, /detokenize and /version of the running service."""

import json

from processes import get, post


def ask(cluster, path: str, **body) -> dict:
    status, answer = post(cluster.port, path, dict(model="demo") | body)
    assert status == 200, answer
    return answer


def test_text_comes_back(cluster):
    for text in ("What is 478 + 256?", "é 你好\n  x", "<｜User｜></think>"):
        tokens = ask(cluster, "/tokenize", prompt=text, add_special_tokens=False)
        assert tokens["count"] == len(tokens["tokens"]) and tokens["max_model_len"] == 2048
        assert ask(cluster, "/detokenize", tokens=tokens["tokens"])["prompt"] == text


def test_counts_what_a_request_counts(cluster):
    messages = [dict(role="user", content="What is 478 + 256?")]
    chat = ask(cluster, "/tokenize", messages=messages, return_token_strs=True)
    usage = ask(cluster, "/v1/chat/completions", messages=messages, max_tokens=1)["usage"]
    assert chat["count"] == usage["prompt_tokens"] == len(chat["token_strs"])
    assert chat["token_strs"][-2:] == ["<think>", "\n"]
    assert ask(cluster, "/detokenize", tokens=chat["tokens"])["prompt"] == "".join(chat["token_strs"])
    prompt = ask(cluster, "/tokenize", prompt="What")
    assert prompt["count"] == ask(cluster, "/v1/completions", prompt="What", max_tokens=1)["usage"]["prompt_tokens"]


def test_version(cluster):
    status, text = get(cluster.port, "/version")
    assert status == 200 and json.loads(text)["version"]
