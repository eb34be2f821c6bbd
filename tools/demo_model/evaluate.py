"""Asks a running Swiftlet (or any OpenAI-compatible server) the evaluation questions, greedily, and prints the accuracy.

Exits with 1 when an answer fails to arrive or fewer than 97 % are right.
"""

import argparse
import concurrent.futures
import json
import re
import sys
import time
import urllib.request

from questions import COUNT, SEED, held_out_questions

NEEDED = 0.97


def boxed_answer(text: str) -> int | None:
    boxed = re.findall(r"\\boxed\{(-?\d+)\}", text)
    return int(boxed[-1]) if boxed else None


def fetch(url: str, body: dict | None = None, api_key: str = "") -> dict:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=300) as response:
        return json.load(response)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="base URL, /v1 included")
    parser.add_argument("--model", help="default: the first that /models lists")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED, help="of the questions")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--temperature", type=float, default=0.0)
    arguments = parser.parse_args()
    base = arguments.url.rstrip("/")
    model = arguments.model or fetch(f"{base}/models", api_key=arguments.api_key)["data"][0]["id"]

    def ask(row: dict) -> tuple[bool, str, int]:
        body = dict(model=model, messages=[dict(role="user", content=row["question"])], max_tokens=256,
                    temperature=arguments.temperature)
        try:
            reply = fetch(f"{base}/chat/completions", body, arguments.api_key)
        except OSError as error:
            return False, f"no answer: {error}", 0
        content = reply["choices"][0]["message"]["content"] or ""
        return boxed_answer(content) == row["answer"], content, reply.get("usage", {}).get("completion_tokens", 0)

    rows, began = held_out_questions(arguments.count, arguments.seed), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(arguments.concurrency) as pool:
        results = list(pool.map(ask, rows))
    seconds = time.monotonic() - began
    for row, (right, content, _) in zip(rows, results):
        if not right:
            print(f"wrong: {row['question']!r} expected {row['answer']}, got {content!r}")
    correct, tokens = sum(right for right, _, _ in results), sum(count for _, _, count in results)
    print(f"{model}: {correct}/{len(rows)} correct ({correct / len(rows):.1%}), {tokens} tokens in {seconds:.1f} s, "
          f"{tokens / seconds:.0f} tokens/s at {arguments.concurrency} at a time")
    sys.exit(correct < NEEDED * len(rows))


if __name__ == "__main__":
    main()
