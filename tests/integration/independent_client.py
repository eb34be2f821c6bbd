"""A second load generator, to hold `swiftlet bench` against: httpx2 (it comes with openai), one task a request, every line parsed by `json`.

    python independent_client.py URL [--concurrency N | --rate R] [--requests N] [--output-tokens N]

Shares nothing with the other. Prints its percentiles as JSON.
"""

import argparse
import asyncio
import json
import math
import random
import time

import httpx2


class Times:
    def __init__(self):
        self.ms: dict[str, list[float]] = {"time_to_first_token": [], "inter_token": [], "time_per_output_token": [], "end_to_end": []}

    def percentile(self, kind: str, percent: float) -> float:
        """Nearest rank."""
        ordered = sorted(self.ms[kind])
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


class Answer:
    """One answer, by the lines of its stream. `begin`: from which its times count."""

    def __init__(self, begin: float):
        self.begin, self.seen, self.tokens = begin, [], 0

    def take(self, line: str, now: float) -> None:
        if not line.startswith("data: ") or line == "data: [DONE]":
            return
        event = json.loads(line[6:])
        if event.get("usage"):
            self.tokens = event["usage"]["completion_tokens"]
        elif any(choice["delta"].get("content") for choice in event["choices"]):
            self.seen.append(now)

    def end(self, now: float, times: Times) -> None:
        times.ms["time_to_first_token"].append((self.seen[0] - self.begin) * 1e3)
        times.ms["end_to_end"].append((now - self.begin) * 1e3)
        times.ms["time_per_output_token"].append((self.seen[-1] - self.seen[0]) / (self.tokens - 1) * 1e3)
        times.ms["inter_token"] += [(after - before) * 1e3 for before, after in zip(self.seen, self.seen[1:])]


async def ask(client: httpx2.AsyncClient, url: str, output_tokens: int, due: float | None, times: Times) -> None:
    """`due`: when the request is to be sent, from which its times count; None: now."""
    body = {"model": "events", "messages": [{"role": "user", "content": "word " * 128}], "max_tokens": output_tokens, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}}
    request = client.build_request("POST", url, json=body)
    if due is not None:
        await asyncio.sleep(max(0, due - time.perf_counter()))
    answer = Answer(time.perf_counter() if due is None else due)
    response = await client.send(request, stream=True)
    response.raise_for_status()
    async for line in response.aiter_lines():
        answer.take(line, time.perf_counter())
    end = time.perf_counter()
    await response.aclose()
    answer.end(end, times)


def client_of(connections: int | None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=120, limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections), trust_env=False)


async def closed_loop(url: str, concurrency: int, requests: int, output_tokens: int) -> Times:
    times, left = Times(), iter(range(requests))

    async def stream(client):
        for _ in left:
            await ask(client, url, output_tokens, None, times)

    async with client_of(concurrency) as client:
        await asyncio.gather(*(stream(client) for _ in range(concurrency)))
    return times


async def open_loop(url: str, rate: float, requests: int, output_tokens: int, seed: int = 1) -> Times:
    times, draw = Times(), random.Random(seed)

    async with client_of(None) as client:
        due = [time.perf_counter() + 0.5]
        while len(due) < requests:
            due.append(due[-1] + draw.expovariate(rate))
        await asyncio.gather(*(ask(client, url, output_tokens, one, times) for one in due))
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--output-tokens", type=int, default=128)
    options = parser.parse_args()
    if options.rate:
        taken = asyncio.run(open_loop(options.url, options.rate, options.requests, options.output_tokens))
    else:
        taken = asyncio.run(closed_loop(options.url, options.concurrency or 32, options.requests, options.output_tokens))
    print(json.dumps({kind: {f"p{percent}_ms": taken.percentile(kind, percent) for percent in (50, 90, 95, 99, 99.9)} for kind in taken.ms}))
