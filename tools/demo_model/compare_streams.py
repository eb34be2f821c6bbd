"""Asks a running service every question twice, streamed and not, `--concurrency` at a time, with the same seed and the
model's own sampling, and compares: 0 errors, 0 lost, every streamed text equal to the whole one.

Exits with 1 otherwise.
"""

import argparse
import concurrent.futures
import json
import sys
import time
import urllib.request

from evaluate import fetch
from questions import held_out_questions


def ask_streamed(url: str, body: dict) -> tuple[str, str, str]:
    """The reasoning, the answer and the finish reason put together from the events of a stream."""
    request = urllib.request.Request(url, json.dumps(body | {"stream": True}).encode(),
                                     {"Content-Type": "application/json"})
    reasoning, answer, finish, done = "", "", "", False
    with urllib.request.urlopen(request, timeout=300) as response:
        for line in response:
            if not line.startswith(b"data: "):
                continue
            if line.strip() == b"data: [DONE]":
                done = True
                continue
            choice = json.loads(line[6:])["choices"][0]
            reasoning += choice["delta"].get("reasoning_content") or ""
            answer += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
    return (reasoning, answer, finish) if done else ("", "", "no [DONE]")


def ask_whole(url: str, body: dict) -> tuple[str, str, str]:
    choice = fetch(url, body)["choices"][0]
    message = choice["message"]
    return message.get("reasoning_content") or "", message["content"] or "", choice["finish_reason"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="base URL, /v1 included")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--temperature", type=float, help="default: the model's own")
    arguments = parser.parse_args()
    base = arguments.url.rstrip("/")
    model = fetch(f"{base}/models")["data"][0]["id"]
    url = f"{base}/chat/completions"

    def body(number: int, question: str) -> dict:
        sampling = {} if arguments.temperature is None else {"temperature": arguments.temperature}
        return dict(model=model, messages=[dict(role="user", content=question)], max_tokens=256, seed=number, **sampling)

    def attempt(call, number_and_row) -> tuple[str, str, str] | str:
        number, row = number_and_row
        try:
            return call(url, body(number, row["question"]))
        except (OSError, ValueError, KeyError, IndexError) as error:
            return f"{type(error).__name__}: {error}"

    rows = held_out_questions(500, 1)
    rows = list(enumerate((rows * (arguments.requests // len(rows) + 1))[: arguments.requests]))
    results = []
    for name, call in (("streamed", ask_streamed), ("whole", ask_whole)):
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(arguments.concurrency) as pool:
            answers = list(pool.map(lambda row: attempt(call, row), rows))
        errors = [answer for answer in answers if isinstance(answer, str) or not answer[1]]
        print(f"{name}: {len(answers)} requests, {arguments.concurrency} at a time, {len(errors)} errors or lost, "
              f"{time.monotonic() - began:.1f} s")
        for error in errors[:5]:
            print(f"  {error}")
        results.append(answers)
    different = [row["question"] for (_, row), one, other in zip(rows, *results) if one != other]
    print(f"equal: {len(rows) - len(different)} of {len(rows)}")
    for question in different[:5]:
        print(f"  different: {question!r}")
    failed = different or any(isinstance(answer, str) or not answer[1] for answers in results for answer in answers)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
