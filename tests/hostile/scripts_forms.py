"""Section A where the form of an answer is asked for: tools and schemas. The demo model was taught neither; what it writes
fits because it can write nothing else."""

import concurrent.futures
import contextlib
import json

from doors import GOOD, Ended, Grpc, completions, http, merged
from processes import metric
from scripts import Service, at_once, own_gateway, script

WEATHER = dict(type="function", function=dict(name="get_weather", parameters=dict(
    type="object", properties=dict(city=dict(type="string", maxLength=12)), required=["city"], additionalProperties=False)))
TIME = dict(type="function", function=dict(name="get.time", parameters=dict(
    type="object", properties=dict(zone=dict(enum=["utc", "cet"])), required=["zone"], additionalProperties=False)))
BOMB = "(a+)+$"
CYCLE = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
REFUSED_WITHIN_S = 10  # beside 31 streams
GRAMMAR_CACHE_BYTES = 128 << 20  # the worker's default


@contextlib.contextmanager
def with_tools(service: Service):
    """A gateway that takes tools: the demo model's template tells of no format of theirs."""
    with own_gateway(service, "tools.log", "--tool-call-parser", "hermes") as gateway, Grpc(f"127.0.0.1:{gateway.grpc_port}") as door:
        yield gateway.port, door


def check_calls(calls: list[dict]) -> None:
    for call in calls:
        arguments = json.loads(call["arguments"])
        if call["name"] == "get_weather":
            assert set(arguments) == {"city"} and isinstance(arguments["city"], str), call
        else:
            assert call["name"] == "get.time" and arguments["zone"] in ("utc", "cet") and len(arguments) == 1, call


def joined_calls(pieces: list[dict]) -> list[dict]:
    """Each call begins with its id and name, under the next index; its arguments follow under the same one."""
    calls: list[dict] = []
    for piece in pieces:
        if piece.get("id"):
            assert piece["index"] == len(calls) and piece["name"], piece
            calls.append(dict(name=piece["name"], arguments=""))
        assert piece["index"] == len(calls) - 1, f"a call that was over goes on: {piece}"
        calls[-1]["arguments"] += piece["arguments"]
    return calls


def rest_calls(answer) -> tuple[list[dict], list[str]]:
    pieces, ends = [], []
    for event in answer.events():
        for choice in event["choices"]:
            for call in choice["delta"].get("tool_calls") or []:
                pieces.append(dict(index=call["index"], id=call.get("id"), name=call["function"].get("name"), arguments=call["function"].get("arguments", "")))
            if choice["finish_reason"]:
                ends.append(choice["finish_reason"])
    return joined_calls(pieces), ends


def grpc_calls(ended: Ended) -> tuple[list[dict], list[int]]:
    deltas = [delta for part in ended.messages for delta in part.deltas]
    pieces = [dict(index=call.index, id=call.id, name=call.name, arguments=call.arguments) for delta in deltas for call in delta.tool_calls]
    return joined_calls(pieces), [delta.finish_reason for delta in deltas if delta.finish_reason]


def together(*actions) -> list:
    """What each of them returns: beside the streams a token takes long, whoever waits for it."""
    with concurrent.futures.ThreadPoolExecutor(len(actions)) as pool:
        return [result.result() for result in [pool.submit(action) for action in actions]]


@script
def tools(service: Service) -> None:
    named = dict(type="function", function=dict(name="get.time"))
    asked = dict(tools=[WEATHER, TIME], parallel_tool_calls=False, max_tokens=100, thinking_token_budget=0)
    door_asked = dict(tools=json.dumps([WEATHER, TIME]), parallelToolCalls=False, stop=dict(maxTokens=100), thinkingTokenBudget=0)
    free = dict(type="function", function=dict(name="write", parameters=dict(type="object", properties=dict(text=dict(type="string", minLength=5000)),
                                                                             required=["text"])))
    with with_tools(service) as (port, door):
        def ask(**change):
            answer = http(port, "chat", merged(GOOD["chat"], asked | change))
            assert answer.status == 200, answer
            return answer

        def check_alike(whole, streamed) -> list[dict]:
            [choice] = whole.json()["choices"]
            calls = [call["function"] for call in choice["message"].get("tool_calls") or []]
            assert rest_calls(streamed) == (calls, [choice["finish_reason"]]), (choice, streamed)
            return calls

        def both(**change) -> tuple:
            return (lambda: ask(**change)), (lambda: ask(**change, stream=True))

        required, required_streamed, chosen, chosen_streamed, required_grpc, chosen_grpc, none, auto, many, many_streamed, long = together(
            *both(tool_choice="required"), *both(tool_choice=named),
            lambda: door.call("Chat", merged(GOOD["Chat"], door_asked | dict(toolChoice="TOOL_CHOICE_REQUIRED"))),
            lambda: door.call("Chat", merged(GOOD["Chat"], door_asked | dict(toolName="get.time"))),
            lambda: ask(tool_choice="none"), lambda: ask(tool_choice="auto"),
            *both(tool_choice="required", parallel_tool_calls=True, temperature=1, seed=3),
            lambda: ask(tools=[free], tool_choice="required", max_tokens=60))
        for whole, streamed, ended in ((required, required_streamed, required_grpc), (chosen, chosen_streamed, chosen_grpc)):
            calls = check_alike(whole, streamed)
            check_calls(calls)
            [choice] = whole.json()["choices"]
            assert len(calls) == 1 and choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None, choice
            assert ended.code == "OK" and grpc_calls(ended)[0] == calls, ended
        assert check_alike(chosen, chosen_streamed)[0]["name"] == "get.time"
        assert not none.json()["choices"][0]["message"].get("tool_calls") and auto.json()["choices"]
        calls = check_alike(many, many_streamed)
        assert calls, many
        check_calls(calls if many.json()["choices"][0]["finish_reason"] == "tool_calls" else calls[:-1])
        # A tool that does not stop writing is bounded by the answer's length, as every text is, and a call that is cut
        # off is the beginning of one: nothing is held back until it is whole.
        assert long.json()["choices"][0]["finish_reason"] == "length", long
        length = chosen.json()["usage"]["completion_tokens"]
        early, early_streamed, late, late_streamed = together(*both(tool_choice=named, max_tokens=3), *both(tool_choice=named, max_tokens=length - 10))
        assert not check_alike(early, early_streamed) and check_alike(late, late_streamed)
        assert {answer.json()["choices"][0]["finish_reason"] for answer in (early, late)} == {"length"}


@script
def tool_schemas(service: Service) -> None:
    def tool(parameters, **more) -> list:
        return [dict(type="function", function=dict(name="f", parameters=parameters, **more))]

    string = dict(type="object", properties=dict(a=dict(type="string", pattern=BOMB)))
    slowest = 0.0
    with with_tools(service) as (port, door):
        for tools in (tool(dict(type=123)), tool(dict(type="object", properties=dict(a=dict(type=123)))), tool(string),
                      tool(dict(type="object"), description="x" * 5_000_000), tool(dict(type="object", properties={"x" * 5_000_000: {}})), tool(CYCLE),
                      tool(dict(type="object", properties=dict(a={"$ref": "#/$defs/a"}), **{"$defs": CYCLE["$defs"]}))):
            sent = json.dumps(tools)
            answer = http(port, "chat", merged(GOOD["chat"], dict(tools=tools, tool_choice="required")))
            assert answer.status == 400 and answer.error["param"] and answer.seconds < REFUSED_WITHIN_S, (sent[:200], answer)
            ended = door.call("Chat", merged(GOOD["Chat"], dict(tools=sent, toolChoice="TOOL_CHOICE_REQUIRED")))
            assert ended.code == "INVALID_ARGUMENT" and ended.details and ended.seconds < REFUSED_WITHIN_S, (sent[:200], ended)
            slowest = max(slowest, answer.seconds, ended.seconds)
    service.notes.append(f"case 48: the slowest refusal took {slowest * 1000:.0f} ms beside the streams")


@script
def json_schema(service: Service) -> None:
    good = dict(type="object", properties=dict(a=dict(type="integer", minimum=0, maximum=9), b=dict(enum=["x", None])), required=["a", "b"], additionalProperties=False)

    def form(schema) -> dict:
        return dict(type="json_schema", json_schema=dict(name="x", schema=schema))

    def check(text: str) -> None:
        value = json.loads(text)
        assert set(value) == {"a", "b"} and value["a"] in range(10) and value["b"] in ("x", None), text

    answer = http(service.port, "chat", merged(GOOD["chat"], dict(response_format=form(good), max_tokens=100, thinking_token_budget=0)))
    assert answer.status == 200, answer
    check(answer.json()["choices"][0]["message"]["content"])
    deep = dict(type="string")
    for _ in range(200):
        deep = dict(type="array", items=deep)
    with Grpc(service.grpc) as door:
        ended = door.call("Chat", merged(GOOD["Chat"], dict(responseFormat=dict(jsonSchema=json.dumps(good)), stop=dict(maxTokens=100), thinkingTokenBudget=0)))
        check("".join(delta.text for part in ended.messages for delta in part.deltas))
        for schema in (deep, dict(type="string", pattern=BOMB), dict(type="string", pattern="a(?=x)"), dict(enum=[]), dict(anyOf=[]), dict(type=123), CYCLE,
                       dict(type="string", **{"$ref": "#/x"}), dict(type="string", pattern="(" * 5000), dict(type="string", pattern="[a-z]{1000}{1000}")):
            answer = http(service.port, "chat", merged(GOOD["chat"], dict(response_format=form(schema))))
            assert answer.status == 400 and answer.seconds < REFUSED_WITHIN_S, (str(schema)[:100], answer)
            ended = door.call("Chat", merged(GOOD["Chat"], dict(responseFormat=dict(jsonSchema=json.dumps(schema)))))
            assert ended.code == "INVALID_ARGUMENT" and ended.seconds < REFUSED_WITHIN_S, (str(schema)[:100], ended)
    for change, param in ((dict(response_format=dict(type="xgrammar")), "response_format.type"), (dict(guided_choice=[]), None),
                          (dict(guided_regex=BOMB), "guided_regex"), (dict(structured_outputs=dict(regex=BOMB)), "structured_outputs"),
                          (dict(guided_decoding_backend="wonder"), None)):
        answer = http(service.port, "chat", merged(GOOD["chat"], change))
        assert answer.status == (200 if param is None else 400), (change, answer)
        assert param is None or answer.error["param"] == param, (change, answer)
    rounds = 1250 if service.full else 16

    def unlike(place: int) -> None:
        for turn in range(rounds):
            schema = dict(type="object", properties={f"p{place}_{turn}": dict(type="string", maxLength=50)}, additionalProperties=False)
            assert completions(service.port, response_format=form(schema), max_tokens=1).status == 200

    at_once(8, unlike)
    admin = service.cluster.worker_admin_ports[0]
    assert metric(admin, "swiftlet_grammars_cached") > 0 and metric(admin, "swiftlet_grammar_cache_bytes") <= GRAMMAR_CACHE_BYTES
    service.notes.append(f"case 49: {8 * rounds} schemas, {metric(admin, 'swiftlet_grammar_cache_bytes') / 2**20:.1f} MiB of grammars kept")
