"""What an answer tells of its tokens: log-probabilities, offsets, ids. All of it exact, streamed as whole."""

import math

import pytest

from processes import post

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
QUESTION = dict(model="demo", messages=[dict(role="user", content="What is 478 + 256?")], temperature=0, max_tokens=256)
TEXT = "What is 12 + 3？é 你好\n"


def ask(cluster, path: str, **body) -> dict:
    status, answer = post(cluster.port, path, body)
    assert status == 200, answer
    return answer


def streamed(client, path: str, **body) -> list[dict]:
    """The choices of a stream, each of its lists and texts joined."""
    extra = {name: body.pop(name) for name in ("prompt_logprobs", "return_token_ids", "ignore_eos") if name in body}
    create = client.chat.completions.create if path == CHAT else client.completions.create
    choices: dict[int, dict] = {}
    for chunk in create(stream=True, extra_body=extra, **body):
        for choice in (one.model_dump() for one in chunk.choices):
            into = choices.setdefault(choice["index"], dict(logprobs=None, token_ids=[], text=""))
            if path == CHAT:
                into["text"] += (choice["delta"].get("reasoning_content") or "") + (choice["delta"]["content"] or "")
            else:
                into["text"] += choice["text"]
            for name in ("prompt_token_ids", "prompt_logprobs"):
                if choice.get(name) is not None:
                    assert name not in into
                    into[name] = choice[name]
            into["token_ids"] += choice.get("token_ids") or []
            if choice["logprobs"] is None:
                continue
            if into["logprobs"] is None:
                into["logprobs"] = choice["logprobs"]
                continue
            for column, values in choice["logprobs"].items():
                into["logprobs"][column] = into["logprobs"][column] if values is None else into["logprobs"][column] + values
    return [choices[index] for index in sorted(choices)]


def test_chat_tells_each_token(cluster, client):
    answer = ask(cluster, CHAT, **QUESTION, logprobs=True, top_logprobs=3, return_token_ids=True)
    choice, entries = answer["choices"][0], answer["choices"][0]["logprobs"]["content"]
    assert len(entries) == answer["usage"]["completion_tokens"] == len(choice["token_ids"])
    assert len(answer["prompt_token_ids"]) == answer["usage"]["prompt_tokens"]
    for entry in entries:
        assert [one["logprob"] for one in entry["top_logprobs"]] == sorted((one["logprob"] for one in entry["top_logprobs"]), reverse=True)
        assert entry["logprob"] == entry["top_logprobs"][0]["logprob"] <= 0  # greedy
        assert entry["bytes"] == list(entry["token"].encode()) or entry["token"].startswith("bytes:")
    said = b"".join(bytes(entry["bytes"]) for entry in entries[:-1]).decode()  # the last one ends the answer
    reasoning, content = said.split("</think>")
    assert reasoning.strip("\n") == choice["message"]["reasoning_content"]
    assert content.lstrip("\n") == choice["message"]["content"]
    pieces = streamed(client, CHAT, **QUESTION, logprobs=True, top_logprobs=3, return_token_ids=True)[0]
    assert pieces["logprobs"]["content"] == entries
    assert pieces["token_ids"] == choice["token_ids"]
    plain = ask(cluster, CHAT, **QUESTION)["choices"][0]
    assert plain["message"] == choice["message"] and plain["logprobs"] is None and "token_ids" not in plain


@pytest.mark.parametrize("echo", [False, True])
def test_completion_offsets_are_exact(cluster, client, echo):
    body = dict(model="demo", prompt=TEXT, max_tokens=40, temperature=1.5, seed=4, n=2, echo=echo, logprobs=2,
                return_token_ids=True, ignore_eos=True)
    answer = ask(cluster, COMPLETIONS, **body)
    for choice in answer["choices"]:
        shown = choice["logprobs"]
        count = 40 + (answer["usage"]["prompt_tokens"] if echo else 0)
        assert {len(column) for column in shown.values()} == {count}
        assert choice["text"].startswith(TEXT) == echo
        ends = shown["text_offset"][1:] + [len(choice["text"])]
        for token, begin, end in zip(shown["tokens"], shown["text_offset"], ends):
            piece = choice["text"][begin:end]
            # Special tokens are left out of the text; a part of a character gives none or the whole of it.
            assert piece == token or (piece == "" and token.startswith(("<", "bytes:"))) or token.startswith("bytes:")
        assert (shown["token_logprobs"][0] is None) == echo
        for token, logprob, top in zip(shown["tokens"], shown["token_logprobs"], shown["top_logprobs"]):
            assert logprob is None or (top[token] == logprob and 2 <= len(top) <= 3)
    assert answer["choices"][0]["text"] != answer["choices"][1]["text"]
    for whole, pieces in zip(answer["choices"], streamed(client, COMPLETIONS, **body)):
        assert (pieces["text"], pieces["logprobs"], pieces["token_ids"]) == (whole["text"], whole["logprobs"], whole["token_ids"])
        assert pieces["prompt_token_ids"] == whole["prompt_token_ids"]


def test_echo_with_nothing_generated_scores_the_prompt(cluster):
    said = ask(cluster, COMPLETIONS, model="demo", prompt=TEXT, max_tokens=24, temperature=0, logprobs=0, return_token_ids=True,
               ignore_eos=True)
    ids = said["choices"][0]["prompt_token_ids"] + said["choices"][0]["token_ids"]
    scored = ask(cluster, COMPLETIONS, model="demo", prompt=ids, max_tokens=0, logprobs=0, echo=True, prompt_logprobs=1)
    choice = scored["choices"][0]
    assert scored["usage"]["completion_tokens"] == 0 and choice["finish_reason"] == "length"
    assert choice["text"] == TEXT + said["choices"][0]["text"]
    # What was drawn and what is read have the same log-probabilities, bit for bit.
    assert choice["logprobs"]["token_logprobs"][-24:] == said["choices"][0]["logprobs"]["token_logprobs"]
    assert choice["prompt_logprobs"][0] is None and len(choice["prompt_logprobs"]) == len(ids)
    for token_id, logprob, entry in list(zip(ids, choice["logprobs"]["token_logprobs"], choice["prompt_logprobs"]))[1:]:
        assert entry[str(token_id)]["logprob"] == logprob
        assert math.isclose(max(one["logprob"] for one in entry.values()), next(one["logprob"] for one in entry.values() if one["rank"] == 1))


def test_prompt_logprobs_of_a_chat(cluster):
    answer = ask(cluster, CHAT, **QUESTION, prompt_logprobs=0, return_token_ids=True)
    assert len(answer["prompt_logprobs"]) == answer["usage"]["prompt_tokens"]
    for token_id, entry in list(zip(answer["prompt_token_ids"], answer["prompt_logprobs"]))[1:]:
        assert list(entry) == [str(token_id)]
    again = ask(cluster, CHAT, **QUESTION, prompt_logprobs=0, return_token_ids=True)  # the prefix is cached now
    assert again["prompt_logprobs"] == answer["prompt_logprobs"]


def test_stop_string_in_the_echoed_prompt_cuts_nothing(cluster):
    body = dict(model="demo", prompt=TEXT, max_tokens=30, temperature=0, echo=True, ignore_eos=True)
    plain = ask(cluster, COMPLETIONS, **body)["choices"][0]["text"]
    assert ask(cluster, COMPLETIONS, **body, stop=["12 + 3"])["choices"][0]["text"] == plain


def test_stop_string_is_kept_where_asked_for(cluster):
    whole = ask(cluster, CHAT, **QUESTION)["choices"][0]["message"]["content"]
    for keep in (False, True):
        choice = ask(cluster, CHAT, **QUESTION, stop=["boxed{7"], include_stop_str_in_output=keep)["choices"][0]
        assert choice["message"]["content"] == whole[: whole.index("boxed{7")] + ("boxed{7" if keep else "")


def test_tokens_are_spelled_as_ids_where_asked_for(cluster):
    choice = ask(cluster, COMPLETIONS, model="demo", prompt=TEXT, max_tokens=8, temperature=0, logprobs=1, return_token_ids=True,
                 return_tokens_as_token_ids=True)["choices"][0]
    assert choice["logprobs"]["tokens"] == [f"token_id:{token_id}" for token_id in choice["token_ids"]]


def test_answer_too_large_to_hold_is_refused_by_name(cluster):
    status, answer = post(cluster.port, COMPLETIONS, dict(model="demo", prompt="x" * 500, n=128, echo=True, logprobs=20, max_tokens=400))
    assert status == 400 and answer["error"]["param"] in ("logprobs", "prompt_logprobs"), answer
