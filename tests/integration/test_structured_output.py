"""response_format, tools and thinking budgets of the running service, as OpenAI's client sees them. The demo model was never
taught any of it: what it writes fits because it can write nothing else."""

import json
import shutil

import openai
import pytest

from conftest import client_of
from processes import Cluster, post

QUESTION = [dict(role="user", content="What is 478 + 256?")]
GREEDY = dict(model="demo", temperature=0, max_tokens=400)
NUMBER = dict(type="object", properties=dict(answer=dict(type="integer", minimum=0, maximum=9999)), required=["answer"],
              additionalProperties=False)
ADD = dict(type="function", function=dict(name="add", description="Adds two numbers.", parameters=dict(
    type="object", properties=dict(a=dict(type="integer", minimum=0, maximum=999), b=dict(enum=[1, 256])), required=["a", "b"],
    additionalProperties=False)))
TELL = dict(type="function", function=dict(name="tell", parameters=dict(
    type="object", properties=dict(unit=dict(enum=["one", "two"])), required=["unit"], additionalProperties=False)))

# As Qwen's: tools, calls and their answers in the prompt.
TEMPLATE = """
{%- if tools %}{{ 'Tools: ' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}
{{- ' Call them as <tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call>\\n' }}{% endif %}
{%- for message in messages %}
  {%- if message.role == 'user' %}{{ '<｜User｜>' + message.content }}
  {%- elif message.role == 'tool' %}{{ '<tool_response>' + message.content + '</tool_response>' }}
  {%- else %}{{ '<｜Assistant｜>' + (message.content or '') }}{% for call in message.tool_calls or [] %}
    {{- '<tool_call>' + call.function.name + call.function.arguments | tojson + '</tool_call>' }}{% endfor %}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"""


LLAMAS_TEMPLATE = TEMPLATE.replace('<tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call>',
                                   '{"name": function name, "parameters": dictionary of argument name and its value}')


def with_template(binaries, checkpoint, folder, template: str) -> Cluster:
    """The demo model with a chat template that knows tools."""
    model = folder / "demo"
    shutil.copytree(checkpoint, model)
    (model / "chat_template.jinja").write_text(template)
    return Cluster(binaries, model, folder / "logs")


@pytest.fixture(scope="module")
def tools_cluster(binaries, checkpoint, tmp_path_factory):
    running = with_template(binaries, checkpoint, tmp_path_factory.mktemp("tools"), TEMPLATE)
    yield running
    running.wait_idle()
    running.stop()


@pytest.fixture(scope="module")
def tools_client(tools_cluster) -> openai.OpenAI:
    return client_of(tools_cluster.port)


def streamed(stream) -> list[dict]:
    """The choices that the chunks join to."""
    choices: dict[int, dict] = {}
    for chunk in stream:
        for choice in chunk.choices:
            into = choices.setdefault(choice.index, dict(content="", reasoning="", calls=[], finish=None))
            delta = choice.delta
            into["content"] += delta.content or ""
            into["reasoning"] += getattr(delta, "reasoning_content", None) or ""
            for call in delta.tool_calls or []:
                if call.id is not None:
                    assert call.index == len(into["calls"]) and call.type == "function" and call.id.startswith("call_")
                    into["calls"].append(dict(name=call.function.name, arguments=""))
                into["calls"][call.index]["arguments"] += call.function.arguments
            into["finish"] = choice.finish_reason or into["finish"]
    return [choices[index] for index in sorted(choices)]


def whole(answer) -> list[dict]:
    return [dict(content=choice.message.content or "", reasoning=choice.message.reasoning_content or "",
                 calls=[call.function.model_dump() for call in choice.message.tool_calls or []], finish=choice.finish_reason)
            for choice in answer.choices]


def ask(client, **body) -> list[dict]:
    """The choices of the answer, which are the same streamed as whole."""
    choices = whole(client.chat.completions.create(**GREEDY | body))
    assert choices == streamed(client.chat.completions.create(**GREEDY | body, stream=True))
    return choices


def schema_format(schema: dict) -> dict:
    return dict(type="json_schema", json_schema=dict(name="answer", strict=True, schema=schema))


def test_answer_fits_the_schema_after_the_reasoning(client):
    plain = ask(client, messages=QUESTION)[0]
    [choice] = ask(client, messages=QUESTION, response_format=schema_format(NUMBER))
    answer = json.loads(choice["content"])
    assert list(answer) == ["answer"] and 0 <= answer["answer"] <= 9999
    assert choice["finish"] == "stop"
    assert choice["reasoning"] == plain["reasoning"], "the form begins after the reasoning"


def test_every_choice_fits(client):
    choices = ask(client, messages=QUESTION, response_format=schema_format(NUMBER), n=4, temperature=1, seed=5)
    assert len(choices) == 4
    for choice in choices:
        assert choice["finish"] == "stop" and isinstance(json.loads(choice["content"])["answer"], int)


def test_json_object(client):
    for seed in range(3):
        [choice] = ask(client, messages=QUESTION, response_format=dict(type="json_object"), temperature=1, seed=seed, max_tokens=300)
        if choice["finish"] == "stop":
            assert isinstance(json.loads(choice["content"]), dict)
        else:
            assert choice["finish"] == "length" and choice["content"].lstrip()[:1] in ("", "{")


def test_the_end_of_the_document_ends_the_answer(client):
    [choice] = ask(client, messages=QUESTION, response_format=schema_format(NUMBER), extra_body=dict(ignore_eos=True, min_tokens=300))
    assert choice["finish"] == "stop" and isinstance(json.loads(choice["content"])["answer"], int)


def test_completions_take_a_form_from_the_first_token(client):
    answer = client.completions.create(model="demo", prompt="478 + 256 =", max_tokens=60, temperature=0,
                                       extra_body=dict(response_format=schema_format(NUMBER)))
    assert answer.choices[0].finish_reason == "stop" and isinstance(json.loads(answer.choices[0].text)["answer"], int)


def check_one_call(choice: dict) -> str:
    """The name of the tool, whose arguments fit."""
    assert choice["finish"] == "tool_calls" and choice["content"] == "" and choice["reasoning"]
    [call] = choice["calls"]
    arguments = json.loads(call["arguments"])
    if call["name"] == "add":
        assert set(arguments) == {"a", "b"} and 0 <= arguments["a"] <= 999 and arguments["b"] in (1, 256)
    else:
        assert call["name"] == "tell" and arguments["unit"] in ("one", "two")
    return call["name"]


NAMED = dict(type="function", function=dict(name="tell"))


def test_required_calls_are_calls_that_fit(tools_client):
    check_one_call(*ask(tools_client, messages=QUESTION, tools=[ADD, TELL], tool_choice="required", parallel_tool_calls=False))


def test_named_tool_is_called_once(tools_client):
    assert check_one_call(*ask(tools_client, messages=QUESTION, tools=[ADD, TELL], tool_choice=NAMED)) == "tell"


def test_llama_3_writes_one_call_as_its_template_says(binaries, checkpoint, tmp_path):
    running = with_template(binaries, checkpoint, tmp_path, LLAMAS_TEMPLATE)
    try:
        client = client_of(running.port)
        check_one_call(*ask(client, messages=QUESTION, tools=[ADD, TELL], tool_choice="required"))
        assert check_one_call(*ask(client, messages=QUESTION, tools=[ADD, TELL], tool_choice=NAMED)) == "tell"
        told = client.chat.completions.create(**GREEDY, messages=QUESTION, tools=[TELL], tool_choice=NAMED, logprobs=True)
        written = "".join(one.token for one in told.choices[0].logprobs.content)
        assert '"parameters"' in written and "<tool_call>" not in written, written
        [answer] = ask(client, messages=QUESTION, tools=[ADD], tool_choice="auto")
        assert answer["content"] or answer["calls"]
    finally:
        running.stop()


def test_auto_and_none_let_the_model_talk(tools_client):
    for choice in ("auto", "none"):
        [answer] = ask(tools_client, messages=QUESTION, tools=[ADD], tool_choice=choice)
        assert answer["finish"] in ("stop", "tool_calls") if choice == "auto" else answer["calls"] == []
        assert answer["content"] or answer["calls"]


def test_calls_and_their_answers_go_into_the_prompt(tools_cluster, tools_client):
    call = dict(id="call_1", type="function", function=dict(name="add", arguments='{"b": 256, "a": 478.0}'))
    messages = QUESTION + [dict(role="assistant", content=None, tool_calls=[call]), dict(role="tool", tool_call_id="call_1", content="734")]
    status, tokens = post(tools_cluster.port, "/tokenize", dict(model="demo", messages=messages, tools=[TELL]))
    assert status == 200, tokens
    text = post(tools_cluster.port, "/detokenize", dict(model="demo", tokens=tokens["tokens"]))[1]["prompt"]
    assert text == ("Tools: " + json.dumps(TELL) + ' Call them as <tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call>\n'
                    '<｜User｜>What is 478 + 256?<｜Assistant｜><tool_call>add{"b": 256, "a": 478.0}</tool_call>'
                    "<tool_response>734</tool_response><｜Assistant｜><think>\n")
    [choice] = ask(tools_client, messages=messages, tools=[TELL], tool_choice="required", parallel_tool_calls=False)
    assert choice["calls"]
    # What the client got goes back as it came.
    answer = tools_client.chat.completions.create(**GREEDY, messages=messages, tools=[TELL], tool_choice="required",
                                                  parallel_tool_calls=False)
    again = messages + [answer.choices[0].message] + [dict(role="tool", tool_call_id=call.id, content="ok")
                                                      for call in answer.choices[0].message.tool_calls]
    assert tools_client.chat.completions.create(**GREEDY, messages=again).choices


def test_thinking_ends_within_its_budget(client):
    def reasoning_tokens(**extra) -> int:
        answer = client.chat.completions.create(**GREEDY, messages=QUESTION, extra_body=extra)
        assert answer.choices[0].message.content, "an answer follows"
        return answer.usage.completion_tokens_details.reasoning_tokens

    free = reasoning_tokens()
    assert free > 8
    assert reasoning_tokens(thinking_token_budget=5) == 5
    assert reasoning_tokens(thinking_token_budget=0) == 0
    assert reasoning_tokens(reasoning_effort="none") == 0
    assert reasoning_tokens(reasoning_effort="high") == reasoning_tokens(thinking_token_budget=free + 1) == free
    [choice] = ask(client, messages=QUESTION, response_format=schema_format(NUMBER), extra_body=dict(thinking_token_budget=4))
    assert isinstance(json.loads(choice["content"])["answer"], int)


def test_what_is_not_understood_is_refused_by_name(client, tools_client):
    bad_tool = dict(type="function", function=dict(name="f", parameters=dict(type="object", properties=dict(a=dict(type="string", pattern="(a+)+$")))))
    recursive = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    for which, body, param, word in (
        (client, dict(tools=[ADD]), "tools", "template"),  # the demo model's template knows none
        (client, dict(response_format=schema_format(dict(type="object", patternProperties={}))), "response_format.json_schema.schema",
         "patternProperties"),
        (client, dict(response_format=schema_format(recursive)), "response_format.json_schema.schema", ""),
        (client, dict(response_format=schema_format(dict(type="odd"))), "response_format.json_schema.schema", "type"),
        (tools_client, dict(tools=[bad_tool], tool_choice="required"), "tools", "pattern"),
        (tools_client, dict(tools=[ADD], response_format=dict(type="json_object")), "response_format", ""),
        (client, dict(reasoning_effort="odd"), "reasoning_effort", ""),
    ):
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as refusal:
                list(which.chat.completions.create(**GREEDY, messages=QUESTION, stream=stream, **body))
            assert refusal.value.param == param and word in str(refusal.value), refusal.value


def test_the_other_door_says_the_same(tools_cluster, tools_client):
    [choice] = ask(tools_client, messages=QUESTION, tools=[ADD, TELL], tool_choice=dict(type="function", function=dict(name="add")))
    body = dict(model="demo", messages=QUESTION, tools=json.dumps([ADD, TELL]), tool_name="add", sampling=dict(temperature=0),
                stop=dict(max_tokens=400))
    status, answer = post(tools_cluster.port, "/swiftlet/v1/chat", body)
    assert status == 200, answer
    [delta] = answer["deltas"]
    assert delta["finish_reason"] == "FINISH_REASON_TOOL_CALLS" and delta["reasoning"] == choice["reasoning"]
    assert [dict(name=call["name"], arguments=call["arguments"]) for call in delta["tool_calls"]] == choice["calls"]
    status, answer = post(tools_cluster.port, "/swiftlet/v1/chat", body | dict(tool_name="", tools="", response_format=dict(json_schema='{"not": {}}')))
    assert status == 400 and answer["error"]["param"] == "response_format.json_schema", answer
