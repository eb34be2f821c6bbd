"""The OpenAI routes, driven by OpenAI's own client."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from answers import ask
from questions import held_out_questions

AT_A_TIME = 32


def test_models_lists_the_served_model(client):
    models = client.models.list().data
    assert [model.id for model in models] == ["demo"]
    assert models[0].max_model_len > 0
    assert client.models.retrieve("demo").id == "demo"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


@pytest.mark.parametrize("stream", [False, True])
def test_chat_reasons_and_answers(client, stream):
    answer = ask(client, "What is 478 + 256?", stream, temperature=0)
    assert answer.boxed == 734
    assert "8 + 6 = 14" in answer.reasoning
    assert "<think>" not in answer.reasoning + answer.content and "</think>" not in answer.reasoning + answer.content
    assert "｜" not in answer.content  # no special token leaks
    assert answer.finish_reason == "stop"
    assert answer.prompt_tokens > 0 and answer.completion_tokens > 20


def test_chat_answers_in_chinese(client):
    answer = ask(client, "计算 123 加 456 等于多少？", temperature=0)
    assert answer.boxed == 579
    assert "答案" in answer.content


def test_conversation_and_system_prompt_do_not_disturb(client):
    messages = [dict(role="system", content="You are a helpful assistant."), dict(role="user", content="What is 5 + 6?"),
                dict(role="assistant", content="The answer is \\boxed{11}."), dict(role="user", content="计算 99 - 100")]
    assert ask(client, messages, temperature=0).boxed == -1


def test_thirty_two_at_a_time_are_right_and_streamed_equals_whole(client, cluster):
    rows = held_out_questions(96)

    def both(index: int):
        # Greedy, and drawn at the model's own defaults: a seed makes the draw the same again.
        parameters = dict(temperature=0) if index % 2 == 0 else dict(seed=index)
        question = rows[index]["question"]
        return ask(client, question, False, **parameters), ask(client, question, True, **parameters)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        pairs = list(pool.map(both, range(len(rows))))
    for row, (whole, streamed) in zip(rows, pairs):
        assert whole == streamed, row["question"]
    right = sum(whole.boxed == row["answer"] for row, (whole, _) in zip(rows, pairs))
    assert right >= 0.97 * len(rows)
    cluster.wait_idle()


# Text outside any turn, of which the model is never sure: what is drawn differs from seed to seed.
UNSURE = dict(model="demo", prompt="The weather in the garden", temperature=2, top_p=1, max_tokens=40,
              extra_body=dict(ignore_eos=True))


def test_equal_seeds_draw_equally_whatever_runs_beside(client):
    def draw(seed: int) -> str:
        return client.completions.create(seed=seed, **UNSURE).choices[0].text

    alone = draw(7)
    with ThreadPoolExecutor(16) as pool:
        beside = list(pool.map(lambda i: draw(7 if i % 2 == 0 else i), range(16)))
    assert all(text == alone for text in beside[::2])
    assert len(set(beside)) == 8


def test_max_tokens_ends_with_length(client):
    for name in ("max_tokens", "max_completion_tokens"):
        answer = ask(client, "What is 478 + 256?", temperature=0, **({"max_tokens": openai.NOT_GIVEN} | {name: 5}))
        assert (answer.finish_reason, answer.completion_tokens) == ("length", 5)
        assert answer.content == ""  # still in its reasoning


@pytest.mark.parametrize("stream", [False, True])
def test_stop_string_cuts_the_answer_and_leaves_the_reasoning(client, stream):
    whole = ask(client, "What is 478 + 256?", temperature=0)
    cut = ask(client, "What is 478 + 256?", stream, temperature=0, stop=["boxed{7"])
    assert cut.reasoning == whole.reasoning
    assert cut.content == whole.content[: whole.content.index("boxed{7")]
    assert cut.finish_reason == "stop"
    assert ask(client, "What is 478 + 256?", stream, temperature=0, stop="hundreds").boxed == 734  # in the reasoning only


def test_ignore_eos_goes_on_to_the_limit(client):
    answer = ask(client, "What is 1 + 1?", temperature=0, max_tokens=200, extra_body=dict(ignore_eos=True))
    assert (answer.finish_reason, answer.completion_tokens) == ("length", 200)


def test_parameters_without_effect_are_accepted(client):
    plain = ask(client, "What is 12 + 34?", temperature=0)
    decorated = ask(client, "What is 12 + 34?", temperature=0, n=1, presence_penalty=0, frequency_penalty=0, user="me",
                    metadata={"a": "b"}, store=False, service_tier="auto",
                    extra_body=dict(top_k=50, min_p=0.0, tools=None, some_new_parameter=1))
    assert decorated == plain


def test_several_choices_first_equals_single(client):
    single = client.completions.create(seed=3, **UNSURE).choices[0].text
    several = client.completions.create(seed=3, n=4, **UNSURE).choices
    assert [choice.index for choice in several] == [0, 1, 2, 3]
    assert several[0].text == single
    assert len({choice.text for choice in several}) == 4


def test_completions_take_text_and_token_ids(client):
    prompt = "<｜User｜>What is 478 + 256?<｜Assistant｜><think>\n"
    reply = client.completions.create(model="demo", prompt="ones: 8 + 6 =", max_tokens=8, temperature=0)
    assert reply.choices[0].finish_reason in ("stop", "length") and reply.usage.prompt_tokens > 3
    # In a prompt of text the markers are text: not the tokens that open a turn.
    as_text = client.completions.create(model="demo", prompt=prompt, max_tokens=1, temperature=0).usage.prompt_tokens
    as_chat = ask(client, "What is 478 + 256?", max_tokens=1).prompt_tokens
    assert as_text > as_chat
    ids = [1203, 1201, 17, 10, 17, 1202, 1205, 198]
    by_ids = client.completions.create(model="demo", prompt=ids, max_tokens=40, temperature=0)
    assert by_ids.usage.prompt_tokens == len(ids)
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(
        model="demo", prompt=ids, max_tokens=40, temperature=0, stream=True) if chunk.choices)
    assert streamed == by_ids.choices[0].text
