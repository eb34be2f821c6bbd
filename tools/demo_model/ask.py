"""Asks an OpenAI-compatible server one question and prints its reasoning, its answer and its speed. Standard library only."""

import argparse
import json
import time
import urllib.error
import urllib.request

from evaluate import boxed_answer


def call(url: str, key: str, body: dict | None = None):
    """GET, or POST of a body; the server's own words if it refuses."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = json.dumps(body).encode() if body is not None else None
    try:
        return urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=120)
    except urllib.error.HTTPError as refusal:
        raise SystemExit(f"{url}: {refusal.code} {refusal.read(2000).decode(errors='replace')}") from None


def streamed(url: str, key: str, body: dict) -> tuple[str, int]:
    """Prints the answer as it comes; the first line of each kind of text says which it is."""
    content, tokens, printing = "", 0, ""
    with call(url, key, body | dict(stream=True, stream_options=dict(include_usage=True))) as events:
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


def whole(url: str, key: str, body: dict) -> tuple[str, int]:
    with call(url, key, body) as response:
        reply = json.load(response)
    message = reply["choices"][0]["message"]
    print(f"[reasoning]\n{(message.get('reasoning_content') or '').strip()}\n[answer] {message['content'].strip()}")
    return message["content"], reply["usage"]["completion_tokens"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="base URL, /v1 included")
    parser.add_argument("--api-key", default="", help="of a server that asks for one")
    parser.add_argument("--stream", action="store_true")
    arguments = parser.parse_args()
    with call(f"{arguments.url}/models", arguments.api_key) as response:
        model = json.load(response)["data"][0]["id"]
    body = dict(model=model, messages=[dict(role="user", content=arguments.question)], max_tokens=256, seed=1)
    print(f"[{'streamed' if arguments.stream else 'plain'}] {arguments.question}")
    began = time.monotonic()
    content, tokens = (streamed if arguments.stream else whole)(f"{arguments.url}/chat/completions", arguments.api_key, body)
    seconds = time.monotonic() - began
    print(f"boxed: {boxed_answer(content)}   {tokens} tokens in {seconds:.2f} s, {tokens / seconds:.0f} tokens/s")


if __name__ == "__main__":
    main()
