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


def test_the_other_door_says_the_same(cluster):
    ids = ask(cluster, "/tokenize", prompt="What is 478 + 256?")["tokens"]
    assert ask(cluster, "/swiftlet/v1/tokenize", text="What is 478 + 256?") == dict(token_ids=ids, max_model_len=2048)
    text = ask(cluster, "/detokenize", tokens=ids)["prompt"]
    status, answer = post(cluster.port, "/swiftlet/v1/models/demo:detokenize", dict(token_ids=ids))
    assert status == 200 and answer == dict(text=text)
    status, model = get(cluster.port, "/v1/models/demo")
    assert status == 200 and json.loads(model)["id"] == "demo"


def test_refusals_name_the_field(cluster):
    for path, body, param in (
        ("/tokenize", dict(prompt=["a", "b"]), "prompt"),
        ("/tokenize", dict(prompt="a", add_special_tokens=1), "add_special_tokens"),
        ("/tokenize", dict(messages=[dict(role="user", content="a")], chat_template_kwargs=dict(odd=1)), "chat_template_kwargs.odd"),
        ("/detokenize", dict(tokens=[1 << 30]), "tokens"),
        ("/detokenize", dict(tokens=[0] * 2049), "tokens"),
        ("/swiftlet/v1/detokenize", dict(token_ids=[-1]), "token_ids"),
    ):
        status, answer = post(cluster.port, path, dict(model="demo") | body)
        assert status == 400 and answer["error"]["param"] == param, (path, body, answer)


def test_version(cluster):
    status, text = get(cluster.port, "/version")
    assert status == 200 and json.loads(text)["version"]
