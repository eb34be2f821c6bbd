"""Section A: what requests mean. The demo model answers; only relations between its answers are checked."""

import json

from doors import GOOD, Grpc, chat, completions, http, merged
from processes import get, metric
from scripts import Service, script

STORY = [{"role": "user", "content": "Calculate 96 × 7."}]
CONTEXT = 2048  # of the demo model
BYTE_IDS = {}  # byte -> token id, filled from the tokenizer's vocabulary


def byte_id(service: Service, byte: int) -> int:
    """The token that stands for one byte, in the byte alphabet of GPT-2."""
    if not BYTE_IDS:
        vocabulary = json.loads((service.checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
        plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
        letters = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in plain)}
        BYTE_IDS.update({b: vocabulary[letter] for b, letter in letters.items()})
    return BYTE_IDS[byte]


def whole(service: Service, **change) -> dict:
    answer = chat(service.port, **({"messages": STORY} | change))
    assert answer.status == 200, answer
    return answer.json()


def text_of(message: dict) -> str:
    return (message.get("reasoning_content") or "") + (message.get("content") or "")


def texts(service: Service, **change) -> list[str]:
    return [text_of(choice["message"]) for choice in whole(service, **change)["choices"]]


def events(service: Service, **change) -> list[dict]:
    answer = chat(service.port, **({"messages": STORY} | change), stream=True)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream"), answer
    return answer.events()


def streamed(parts: list[dict], index: int = 0) -> str:
    deltas = [choice["delta"] for part in parts for choice in part["choices"] if choice["index"] == index]
    return "".join(d.get("reasoning_content") or "" for d in deltas) + "".join(d.get("content") or "" for d in deltas)


@script
def minimal_chat(service: Service) -> None:
    answer = http(service.port, "chat", dict(model="demo", messages=STORY))
    body = answer.json()
    assert answer.status == 200 and body["object"] == "chat.completion" and body["choices"][0]["message"]["role"] == "assistant"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] and usage["completion_tokens"] > 0


@script
def stream_equals_whole(service: Service) -> None:
    parts = events(service, seed=7, temperature=0.9, max_tokens=60)
    assert parts[0]["choices"][0]["delta"]["role"] == "assistant"
    assert len({(part["id"], part["created"], part["object"]) for part in parts}) == 1
    assert [streamed(parts)] == texts(service, seed=7, temperature=0.9, max_tokens=60)
    with Grpc(service.grpc) as door:
        over_grpc = door.call("Chat", dict(model="demo", messages=STORY, stop=dict(maxTokens=60), sampling=dict(seed="7", temperature=0.9)))
    assert over_grpc.code == "OK" and over_grpc.text == streamed(parts), over_grpc


@script
def usage_chunk(service: Service) -> None:
    *earlier, last = events(service, stream_options=dict(include_usage=True))
    assert last["choices"] == [] and last["usage"]["completion_tokens"] > 0
    assert all(part.get("usage") is None and part["choices"] for part in earlier)


@script
def no_usage_unasked(service: Service) -> None:
    assert all(not part.get("usage") for part in events(service))


@script
def three_choices(service: Service) -> None:
    change = dict(n=3, seed=7, temperature=1, max_tokens=20)
    once = whole(service, **change)
    assert [choice["index"] for choice in once["choices"]] == [0, 1, 2]
    assert once["usage"]["prompt_tokens"] == whole(service, max_tokens=1)["usage"]["prompt_tokens"]
    assert texts(service, **change) == [text_of(choice["message"]) for choice in once["choices"]]


@script
def three_choices_streamed(service: Service) -> None:
    change = dict(n=3, seed=7, temperature=1, max_tokens=20)
    parts = events(service, **change)
    ends = [choice["index"] for part in parts for choice in part["choices"] if choice["finish_reason"]]
    assert sorted(ends) == [0, 1, 2]
    assert [streamed(parts, index) for index in range(3)] == texts(service, **change)


@script
def prompts_times_choices(service: Service) -> None:
    answer = completions(service.port, prompt=["1 + 1 =", "2 + 2 =", "3 + 3 ="], n=2, temperature=1, seed=3)
    choices = answer.json()["choices"]
    assert [choice["index"] for choice in choices] == list(range(6))
    for index in range(3):
        alone = completions(service.port, prompt=f"{index + 1} + {index + 1} =", n=2, temperature=1, seed=3).json()["choices"]
        assert [c["text"] for c in alone] == [c["text"] for c in choices[2 * index:2 * index + 2]]


@script
def greedy_repeats(service: Service) -> None:
    assert len({texts(service, max_tokens=40)[0] for _ in range(10)}) == 1


@script
def no_number_over_grpc(service: Service) -> None:
    fields = ("temperature", "topP", "minP", "repetitionPenalty", "presencePenalty", "frequencyPenalty")
    with Grpc(service.grpc) as door:
        for field in fields:
            for value in ("NaN", "Infinity", "-Infinity"):
                ended = door.call("Chat", merged(GOOD["Chat"], dict(sampling={field: value})))
                assert ended.code == "INVALID_ARGUMENT" and "sampling." in ended.details, f"{field} {value}: {ended}"


@script
def every_penalty_with_every_draw(service: Service) -> None:
    for penalty in ("presence_penalty", "frequency_penalty", "repetition_penalty"):
        for draw in (dict(temperature=0), dict(temperature=1), dict(top_k=3, temperature=1), dict(top_p=0.5, temperature=1),
                     dict(min_p=0.2, temperature=1), dict(logit_bias={"5": 10}), dict(min_tokens=3), dict(stop=["7"]), dict(n=2)):
            for value in (2, -2 if penalty != "repetition_penalty" else 0.1):
                assert chat(service.port, seed=1, **{penalty: value}, **draw).status == 200, (penalty, draw)


@script
def seeds(service: Service) -> None:
    drawn = [texts(service, seed=5, temperature=1, max_tokens=30)[0] for _ in range(10)]
    assert len(set(drawn)) == 1
    different = {completions(service.port, prompt="qx zr", seed=seed, temperature=1, top_p=1, top_k=0, min_p=0, ignore_eos=True,
                             max_tokens=60).json()["choices"][0]["text"] for seed in range(10)}
    assert len(different) >= 9, different


@script
def one_token(service: Service) -> None:
    answer = whole(service, max_tokens=1)
    assert answer["usage"]["completion_tokens"] == 1 and answer["choices"][0]["finish_reason"] == "length"


@script
def max_completion_tokens(service: Service) -> None:
    assert whole(service, max_tokens=None, max_completion_tokens=3)["usage"]["completion_tokens"] == 3
    assert whole(service, max_tokens=9, max_completion_tokens=3)["usage"]["completion_tokens"] == 3


@script
def bounded_by_the_context(service: Service) -> None:
    used = completions(service.port, prompt=[5] * (CONTEXT - 100), max_tokens="$absent", ignore_eos=True).json()
    assert used["usage"]["total_tokens"] == CONTEXT and used["choices"][0]["finish_reason"] == "length", used["usage"]


@script
def one_token_left(service: Service) -> None:
    for length, status in ((CONTEXT - 1, 200), (CONTEXT, 400)):
        answer = completions(service.port, prompt=[5] * length, max_tokens="$absent", ignore_eos=True)
        assert answer.status == status, answer
        if status == 200:
            assert answer.json()["usage"]["completion_tokens"] == 1 and answer.json()["choices"][0]["finish_reason"] == "length"


def continued(service: Service, **change) -> dict:
    return completions(service.port, prompt="The answer to 478 + 256 is", max_tokens=40, ignore_eos=True, **change).json()["choices"][0]


@script
def stop_over_tokens(service: Service) -> None:
    text = continued(service)["text"]
    stop = text[8:20]
    stopped = completions(service.port, prompt="The answer to 478 + 256 is", max_tokens=40, ignore_eos=True, stop=stop).json()
    assert stopped["choices"][0]["text"] == text[:text.find(stop)] and stopped["choices"][0]["finish_reason"] == "stop"
    assert stopped["usage"]["completion_tokens"] > 0


@script
def stop_streamed(service: Service) -> None:
    text = continued(service)["text"]
    for stop in (text[8:20], text[8:20] + "\u0007", text[-3:] + "\u0007"):  # the last two never complete
        answer = completions(service.port, prompt="The answer to 478 + 256 is", max_tokens=40, ignore_eos=True, stop=stop, stream=True)
        got = "".join(choice["text"] for event in answer.events() for choice in event["choices"])
        assert got == (text[:text.find(stop)] if stop in text else text), (stop, got, text)


@script
def first_completed_stop(service: Service) -> None:
    text = continued(service)["text"]
    begin = next(i for i in range(2, len(text) - 5) if text.find(text[i + 1:i + 3]) == i + 1 and text.find(text[i:i + 4]) == i)
    got = continued(service, stop=[text[begin + 1:begin + 3], text[begin:begin + 4]])
    assert got["text"] == text[:begin + 1] and got["finish_reason"] == "stop", (text, begin, got)


def forced(service: Service, data: bytes, max_tokens: int, **change):
    """Makes the model emit different bytes in a row: the repetition penalty halves those that were drawn."""
    bias = {str(byte_id(service, byte)): 100 - 12 * place for place, byte in enumerate(data)}
    return completions(service.port, prompt="x", logit_bias=bias, repetition_penalty=2, ignore_eos=True, max_tokens=max_tokens, **change)


@script
def stop_of_byte_tokens(service: Service) -> None:
    answer = forced(service, "。".encode(), 3, stop="。").json()
    assert answer["choices"][0]["text"] == "" and answer["choices"][0]["finish_reason"] == "stop", answer
    assert answer["usage"]["completion_tokens"] == 3


@script
def character_of_byte_tokens(service: Service) -> None:
    character = "👨"
    assert forced(service, character.encode(), 4).json()["choices"][0]["text"] == character
    parts = [choice["text"] for event in forced(service, character.encode(), 4, stream=True).events() for choice in event["choices"]]
    assert "".join(parts) == character and not any("\ufffd" in part for part in parts), parts


@script
def length_inside_a_character(service: Service) -> None:
    cut = forced(service, "👨".encode(), 3)
    assert cut.status == 200 and cut.json()["choices"][0]["text"] == "\ufffd", cut
    parts = [choice["text"] for event in forced(service, "👨".encode(), 3, stream=True).events() for choice in event["choices"]]
    assert "".join(parts) == "\ufffd", parts


@script
def no_character_a_thousand_times(service: Service) -> None:
    bias = {str(byte_id(service, 0xFF)): 100}
    answer = completions(service.port, prompt="x", logit_bias=bias, ignore_eos=True, max_tokens=1000, stream=True)
    assert answer.status == 200, answer.body[:200]
    choices = [event["choices"][0] for event in answer.events()]
    assert "".join(choice["text"] for choice in choices) == "\ufffd" * 1000, answer.body[:200]
    assert choices[-1]["finish_reason"] == "length", choices[-1]


@script
def echo_with_stop(service: Service) -> None:
    answer = completions(service.port, prompt="one two three", echo=True, stop=["two"])
    assert answer.status == 200 and answer.json()["choices"][0]["text"].startswith("one two three"), answer


@script
def chat_logprobs(service: Service) -> None:
    change = dict(logprobs=True, top_logprobs=5, max_tokens=12)
    choice = whole(service, **change)["choices"][0]
    content = choice["logprobs"]["content"]
    assert len(content) == whole(service, **change)["usage"]["completion_tokens"]
    assert all(set(one) >= {"token", "logprob", "bytes", "top_logprobs"} and len(one["top_logprobs"]) == 5 for one in content)
    parts = [c["logprobs"]["content"] for part in events(service, **change) for c in part["choices"] if c.get("logprobs")]
    assert [one for part in parts for one in part] == content


@script
def masked_logprob(service: Service) -> None:
    answer = chat(service.port, logprobs=True, top_logprobs=20, logit_bias={"5": -100}, min_tokens=3)
    assert answer.status == 200, answer
    for one in answer.json()["choices"][0]["logprobs"]["content"]:
        assert all(isinstance(top["logprob"], (int, float)) and top["logprob"] >= -9999 for top in one["top_logprobs"])


@script
def completion_logprobs(service: Service) -> None:
    answer = completions(service.port, logprobs=5, max_tokens=12)
    assert answer.status == 200, answer
    found, text = answer.json()["choices"][0]["logprobs"], answer.json()["choices"][0]["text"]
    assert len({len(found[key]) for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")}) == 1
    assert all(text[offset:].startswith(token) for token, offset in zip(found["tokens"], found["text_offset"]) if "\ufffd" not in token)


@script
def echoed_logprobs(service: Service) -> None:
    answer = completions(service.port, prompt="one two three", echo=True, max_tokens=0, logprobs=1)
    assert answer.status == 200, answer
    choice = answer.json()["choices"][0]
    assert choice["text"] == "one two three" and choice["logprobs"]["token_logprobs"][0] is None
    assert all(value <= 0 for value in choice["logprobs"]["token_logprobs"][1:])


@script
def logit_bias_forces_and_bans(service: Service) -> None:
    id_of_seven = byte_id(service, ord("7"))
    assert completions(service.port, prompt="x", logit_bias={str(id_of_seven): 100}, max_tokens=5).json()["choices"][0]["text"] == "77777"
    banned = completions(service.port, prompt="7 7 7 7 7 7 7 7", logit_bias={str(id_of_seven): -100}, max_tokens=30, ignore_eos=True)
    assert "7" not in banned.json()["choices"][0]["text"], banned
    many = http(service.port, "chat", merged(GOOD["chat"], dict(logit_bias={str(i): 1 for i in range(1025)})))
    assert many.status == 400 and many.error["param"] == "logit_bias"


@script
def parts_are_joined(service: Service) -> None:
    parts = [dict(type="text", text="Calculate 96"), dict(type="text", text=" × 7.")]
    assert texts(service, messages=[dict(role="user", content=parts)]) == texts(service)


@script
def model_names_are_no_labels(service: Service) -> None:
    chat(service.port, model="odd-model-name")
    assert "odd-model-name" not in get(service.cluster.gateway_admin_ports[0], "/metrics")[1]


@script
def unknown_parameters(service: Service) -> None:
    admin = service.cluster.gateway_admin_ports[0]
    before = metric(admin, "swiftlet_gateway_unknown_parameters_total")
    assert chat(service.port, foo=1, messages=[dict(role="user", content="x", bar=1)]).status == 200
    assert metric(admin, "swiftlet_gateway_unknown_parameters_total") >= before + 2
    strict = http(service.keyed_port, "chat", merged(GOOD["chat"], dict(foo=1)), headers={"Authorization": "Bearer hostile-key-one"})
    assert strict.status == 400 and strict.error["param"] == "foo", strict


@script
def models(service: Service) -> None:
    listed = http(service.port, "/v1/models", method="GET").json()
    assert listed["object"] == "list" and [one["id"] for one in listed["data"]] == ["demo"]
    assert http(service.port, "/v1/models/demo", method="GET").json()["object"] == "model"
    with Grpc(service.grpc) as door:
        names = door.channel.unary_unary("/swiftlet.v1.InferenceService/ListModels")(b"", timeout=20)
    assert b"demo" in names


@script
def notes_are_not_logged(service: Service) -> None:
    secret = "canary-of-case-53"
    assert texts(service, user=secret, metadata=dict(a=secret), store=True, service_tier="auto") == texts(service)
    assert not any(secret in program.output() for program in service.programs())


@script
def end_at_the_limit(service: Service) -> None:
    free = whole(service, max_tokens=400)
    assert free["choices"][0]["finish_reason"] == "stop", free
    exact = whole(service, max_tokens=free["usage"]["completion_tokens"])
    assert exact["choices"][0]["finish_reason"] == "stop" and exact["usage"] == free["usage"] | {
        key: exact["usage"][key] for key in exact["usage"] if key.endswith("_details")}
