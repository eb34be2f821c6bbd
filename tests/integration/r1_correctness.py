"""Whether an answer depends on how it is asked for. Each question is asked once, alone, with a seed; then in each of the ways
below, 32 requests at a time. On the CPU backend every way must give the same reasoning, the same answer and the same end.

    python tests/integration/r1_correctness.py --url http://127.0.0.1:8000/v1 --model demo --questions 500
"""

import argparse
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import openai

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "demo_model"))
from questions import held_out_questions  # noqa: E402

AT_A_TIME = 32
# Words of the demo model's reasoning, never of its answer; then the article's, which R1 models write between the two.
IN_THE_REASONING = [" = ", "carry", "result", "\n\n"]
WAYS = {
    "beside 31 others": {},
    "streamed": dict(stream=True),
    "first of n = 4": dict(n=4),
    "stop strings in the reasoning": dict(stop=IN_THE_REASONING),
    "logprobs": dict(logprobs=True, top_logprobs=5),
    "streamed, logprobs": dict(stream=True, logprobs=True),
    "return_token_ids": dict(extra_body=dict(return_token_ids=True)),
    "streamed, n = 4, all of it": dict(stream=True, n=4, stop=IN_THE_REASONING, logprobs=True, extra_body=dict(return_token_ids=True)),
}


def ask(client: openai.OpenAI, model: str, question: str, seed: int, **way) -> tuple[str, str, str]:
    """Reasoning, answer and finish reason of choice 0."""
    arguments = dict(model=model, messages=[dict(role="user", content=question)], max_tokens=512, seed=seed) | way
    reply = client.chat.completions.create(**arguments)
    if not way.get("stream"):
        choice = reply.choices[0]
        return getattr(choice.message, "reasoning_content", None) or "", choice.message.content, choice.finish_reason
    reasoning = content = finish_reason = ""
    for chunk in reply:
        for choice in chunk.choices:
            if choice.index != 0:
                continue
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            content += choice.delta.content or ""
            finish_reason = choice.finish_reason or finish_reason
    return reasoning, content, finish_reason


def compare(client: openai.OpenAI, model: str, count: int) -> dict[str, int]:
    """How many of `count` answers each way gave exactly."""
    questions = [row["question"] for row in held_out_questions(count)]
    alone = [ask(client, model, question, seed) for seed, question in enumerate(questions)]
    touched = sum(any(word in reasoning for word in IN_THE_REASONING) for reasoning, _, _ in alone)
    assert touched > count / 2, f"the stop strings occur in {touched} of {count} reasonings"
    print(f"stop strings occur in {touched} of {count} reasonings")
    equal = {}
    for name, way in WAYS.items():
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            given = list(pool.map(lambda row: ask(client, model, row[1], row[0], **way), enumerate(questions)))
        equal[name] = sum(one == other for one, other in zip(alone, given))
        print(f"{name}: {equal[name]} of {count}", flush=True)
    return equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--questions", type=int, default=500)
    arguments = parser.parse_args()
    client = openai.OpenAI(base_url=arguments.url, api_key="none", max_retries=0, timeout=600)
    equal = compare(client, arguments.model, arguments.questions)
    sys.exit(0 if set(equal.values()) == {arguments.questions} else 1)


if __name__ == "__main__":
    main()
