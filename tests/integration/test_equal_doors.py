"""Equal requests have equal answers, and equal refusals, by OpenAI's routes, by REST to our methods, and by gRPC: all fields."""

import http.client
import json
import pathlib
import struct
import sys

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from processes import post

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "examples" / "python"))
import ask  # noqa: E402

QUESTION = [{"role": "user", "content": "What is 478 + 256?"}]
SAMPLING = {"temperature": 0.9, "top_p": 0.8, "top_k": 50, "min_p": 0.01, "repetition_penalty": 1.1, "presence_penalty": 0.2,
            "frequency_penalty": -0.1, "seed": 11, "logit_bias": {"5": 1.5}}

# OpenAI's route and body, the method and the message that says the same.
ANSWERED = {
    "plain chat": ("chat/completions", {"messages": QUESTION, "seed": 7}, "Chat", {"messages": QUESTION, "sampling": {"seed": 7}}),
    "chat with all there is": (
        "chat/completions",
        {"messages": QUESTION, "n": 3, "logprobs": True, "top_logprobs": 2, "prompt_logprobs": 1, "priority": -1, "cache_salt": "a",
         "max_tokens": 60, "min_tokens": 3, "stop": ["734", "q"], "include_stop_str_in_output": True, "stop_in_reasoning": True}
        | SAMPLING,
        "Chat",
        {"messages": QUESTION, "num_choices": 3, "logprobs": 2, "prompt_logprobs": 1, "priority": -1, "cache_salt": "a",
         "sampling": SAMPLING, "stop": {"max_tokens": 60, "min_tokens": 3, "stop": ["734", "q"], "include_stop_str_in_output": True,
                                        "stop_in_reasoning": True}}),
    "the beginning of an answer": (
        "chat/completions", {"messages": QUESTION + [{"role": "assistant", "content": "<think>\n4"}], "seed": 7},
        "Chat", {"messages": QUESTION + [{"role": "assistant", "content": "<think>\n4"}], "sampling": {"seed": 7}}),
    "completion": ("completions", {"prompt": "2 + 2 =", "seed": 7, "max_tokens": 12, "logprobs": 1, "n": 2},
                   "Generate", {"text": "2 + 2 =", "num_choices": 2, "logprobs": 1, "sampling": {"seed": 7},
                                "stop": {"max_tokens": 12}}),
    "completion of ids": ("completions", {"prompt": [7, 8, 9], "seed": 7, "max_tokens": 5, "ignore_eos": True, "logprobs": 0},
                          "Generate", {"token_ids": {"ids": [7, 8, 9]}, "logprobs": 0, "sampling": {"seed": 7},
                                       "stop": {"max_tokens": 5, "ignore_eos": True}}),
}
REFUSED = {
    "no messages": ("chat/completions", {"messages": []}, "Chat", {"messages": []}),
    "a role": ("chat/completions", {"messages": [{"role": "w", "content": "x"}]}, "Chat", {"messages": [{"role": "w", "content": "x"}]}),
    "a temperature": ("chat/completions", {"messages": QUESTION, "temperature": 2.5}, "Chat",
                      {"messages": QUESTION, "sampling": {"temperature": 2.5}}),
    "too many choices": ("completions", {"prompt": "x", "n": 129}, "Generate", {"text": "x", "num_choices": 129}),
    "a long output": ("completions", {"prompt": "x", "max_tokens": 100000}, "Generate", {"text": "x", "stop": {"max_tokens": 100000}}),
    "an id": ("completions", {"prompt": [99999]}, "Generate", {"token_ids": {"ids": [99999]}}),
    "another model": ("completions", {"prompt": "x", "model": "other"}, "Generate", {"text": "x", "model": "other"}),
    "a stop string": ("completions", {"prompt": "x", "stop": ["a", ""]}, "Generate", {"text": "x", "stop": {"stop": ["a", ""]}}),
}
# Where a field is spelled otherwise.
PARAMS = {"temperature": "sampling.temperature", "n": "num_choices", "max_tokens": "stop.max_tokens", "stop": "stop.stop"}
PATHS = {"Chat": "chat", "Generate": "generate"}


@pytest.fixture(scope="module")
def inference():
    return ask.inference_modules()


@pytest.fixture(scope="module")
def stub(cluster, inference):
    with grpc.insecure_channel(cluster.grpc_addresses["gateway"][0]) as channel:
        yield inference[1].InferenceServiceStub(channel)


def message_of(inference, method: str, body: dict):
    return json_format.ParseDict(body, getattr(inference[0], f"{method}Request")())


def plain(value):
    """Numbers as 32 bits hold them: each door prints them in its own way. And without what depends on who came first."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return struct.unpack("f", struct.pack("f", value))[0]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if key not in ("cached_tokens", "prompt_tokens_details")}
    return value


def merged(parts: list[dict]) -> dict:
    """A stream's messages as one: what the unary method answers."""
    choices, usage = {}, None
    for part in parts:
        usage = part.get("usage", usage)
        for delta in part.get("deltas", []):
            choice = choices.setdefault(delta.get("choice", 0), {})
            for key, value in delta.items():
                choice[key] = choice[key] + value if key in choice and key != "choice" else value
    return {"deltas": [choices[index] for index in sorted(choices)], "usage": usage}


def streamed_by_rest(cluster, method: str, body: dict, accept: str) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=120)
    try:
        connection.request("POST", f"/swiftlet/v1/{PATHS[method]}:stream", json.dumps(body),
                           {"Content-Type": "application/json", "Accept": accept})
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 200 and response.headers["Content-Type"].split(";")[0] == accept, text
    finally:
        connection.close()
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line and not line.startswith(":")]
    return merged([json.loads(line) for line in lines])


def told_by_openai(answer: dict) -> dict:
    """An answer of OpenAI's, spelled as ours; its tokens are spelled as ids."""
    def candidate(token: str, logprob: float) -> dict:
        index = int(token.removeprefix("token_id:"))
        return ({"token_id": index} if index else {}) | ({"logprob": logprob} if logprob else {})

    deltas = []
    for choice in answer["choices"]:
        delta = {"choice": choice["index"]} if choice["index"] else {}
        message = choice.get("message", {})
        for key, value in (("reasoning", message.get("reasoning_content")), ("text", message.get("content", choice.get("text")))):
            if value:
                delta[key] = value
        delta["token_ids"] = choice["token_ids"]
        delta["finish_reason"] = f"FINISH_REASON_{choice['finish_reason'].upper()}"
        logprobs = choice["logprobs"]
        if logprobs and "content" in logprobs:
            delta["logprobs"] = [{"chosen": candidate(one["token"], one["logprob"])}
                                 | ({"top": [candidate(other["token"], other["logprob"]) for other in one["top_logprobs"]]}
                                    if one["top_logprobs"] else {}) for one in logprobs["content"]]
        elif logprobs:
            delta["logprobs"] = [{"chosen": candidate(*one)} for one in zip(logprobs["tokens"], logprobs["token_logprobs"])]
        deltas.append(delta)
    usage = {key: value for key, value in answer["usage"].items() if key in ("prompt_tokens", "completion_tokens")}
    if reasoning := answer["usage"]["completion_tokens_details"]["reasoning_tokens"]:
        usage["reasoning_tokens"] = reasoning
    return {"deltas": deltas, "usage": usage}


@pytest.mark.parametrize("case", ANSWERED)
def test_answers_are_equal(cluster, inference, stub, case):
    route, openai_body, method, body = ANSWERED[case]
    body = body | {"model": "demo", "return_token_ids": True}
    openai_body = openai_body | {"model": "demo", "return_token_ids": True, "return_tokens_as_token_ids": True}
    message = message_of(inference, method, body)

    def dictionary(answer) -> dict:
        return plain(json_format.MessageToDict(answer, preserving_proto_field_name=True))

    by_grpc = dictionary(getattr(stub, f"{method}Once")(message, timeout=60))
    assert len(by_grpc["deltas"]) == body.get("num_choices", 1) and by_grpc["usage"]["completion_tokens"] > 3
    assert ("logprobs" in by_grpc["deltas"][0]) == ("logprobs" in body)
    assert plain(merged([dictionary(part) for part in getattr(stub, method)(message, timeout=60)])) == by_grpc
    status, by_rest = post(cluster.port, f"/swiftlet/v1/{PATHS[method]}", body)
    assert status == 200 and plain(by_rest) == by_grpc
    for accept in ("application/x-ndjson", "text/event-stream"):
        assert plain(streamed_by_rest(cluster, method, body, accept)) == by_grpc
    status, by_openai = post(cluster.port, f"/v1/{route}", openai_body)
    assert status == 200, by_openai
    if "prompt_logprobs" in body:  # id to log-probability, at each place of the prompt but the first
        told = [{key: one["logprob"] for key, one in place.items()} for place in by_openai["prompt_logprobs"][1:]]
        ours = [{str(one.get("token_id", 0)): one.get("logprob", 0) for one in [place["chosen"], *place.get("top", [])]}
                for place in by_grpc["deltas"][0].pop("prompt_logprobs")]
        assert plain(told) == ours
    if method == "Generate":
        for delta in by_grpc["deltas"]:
            for place in delta.get("logprobs", []):
                place.pop("top", None)  # there by spelling, in an object of their own
    assert plain(told_by_openai(by_openai)) == by_grpc


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_equal(cluster, inference, stub, case):
    route, openai_body, method, body = REFUSED[case]
    openai_status, openai_answer = post(cluster.port, f"/v1/{route}", {"model": "demo"} | openai_body)
    status, answer = post(cluster.port, f"/swiftlet/v1/{PATHS[method]}", {"model": "demo"} | body)
    told, error = openai_answer["error"], answer["error"]
    assert openai_status == status and told["code"] == error["code"] and told["type"] == error["type"]
    ours = "token_ids" if "token_ids" in body and told["param"] == "prompt" else PARAMS.get(told["param"], told["param"])
    assert error["param"] == ours
    assert told["message"].replace(f"`{told['param']}`", f"`{ours}`") == error["message"]
    with pytest.raises(grpc.RpcError) as raised:
        getattr(stub, f"{method}Once")(message_of(inference, method, {"model": "demo"} | body), timeout=60)
    assert raised.value.details() == error["message"]
    details = rpc_status.from_call(raised.value).details
    info = error_details_pb2.ErrorInfo()
    assert details[0].Unpack(info) and info.reason == error["code"] and info.metadata["param"] == error["param"]
