"""Asks an OpenAI-compatible server one question and prints its reasoning, its answer and its speed. Standard library only."""

import argparse
import json
import time
import urllib.request

from evaluate import boxed_answer


def post(url: str, body: dict):
    data = json.dumps(body).encode()
    return urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=120)


def streamed(url: str, body: dict) -> tuple[str, int]:
    """Prints the answer as it comes; the first line of each kind of text says which it is."""
    content, tokens, printing = "", 0, ""
    with post(url, body | dict(stream=True, stream_options=dict(include_usage=True))) as events:
        for line in events:
            if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
                continue
            event = json.loads(line[len(b"data: ") :])
            if "error" in event:
                raise SystemExit(f"the server broke off: {event['error']['message']}")
            if event.get("usage"):
                tokens = event["usage"]["completion_tokens"]
            for choice in event["choices"]:
                for kind in ("reasoning_content", "content"):
                    text = choice["delta"].get(kind) or ""
                    if text and printing != kind:
                        printing = kind
                        print("\n[answer] " if kind == "content" else "[reasoning]\n", end="")
                    print(text, end="", flush=True)
                    content += text if kind == "content" else ""
    print()
    return content, tokens


def whole(url: str, body: dict) -> tuple[str, int]:
    with post(url, body) as response:
        reply = json.load(response)
    message = reply["choices"][0]["message"]
    print(f"[reasoning]\n{(message.get('reasoning_content') or '').strip()}\n[answer] {message['content'].strip()}")
    return message["content"], reply["usage"]["completion_tokens"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="base URL, /v1 included")
    parser.add_argument("--stream", action="store_true")
    arguments = parser.parse_args()
    with urllib.request.urlopen(f"{arguments.url}/models", timeout=10) as response:
        model = json.load(response)["data"][0]["id"]
    body = dict(model=model, messages=[dict(role="user", content=arguments.question)], max_tokens=256, seed=1)
    print(f"[{'streamed' if arguments.stream else 'plain'}] {arguments.question}")
    began = time.monotonic()
    content, tokens = (streamed if arguments.stream else whole)(f"{arguments.url}/chat/completions", body)
    seconds = time.monotonic() - began
    print(f"boxed: {boxed_answer(content)}   {tokens} tokens in {seconds:.2f} s, {tokens / seconds:.0f} tokens/s")


if __name__ == "__main__":
    main()
