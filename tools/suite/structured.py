"""Masks and forced tokens on the device: what a grammar and a thinking budget promise, of weights that know nothing of either, and
that ordinary streams beside them keep every character."""

import concurrent.futures
import http.client
import json

from . import served
from .suite import Suite

PLACES = 24  # of each kind at once
UNITS = ["mm", "cm", "m"]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["length", "unit", "exact"], "properties": {
    "length": {"type": "integer", "minimum": 0, "maximum": 9999}, "unit": {"enum": UNITS}, "exact": {"type": "boolean"},
    "marks": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3}}}
BUDGET = 12  # tokens of reasoning


def fits(answer: object) -> bool:
    if not isinstance(answer, dict) or not {"length", "unit", "exact"} <= answer.keys() <= {"length", "unit", "exact", "marks"}:
        return False
    marks = answer.get("marks", [])
    return (type(answer["length"]) is int and 0 <= answer["length"] <= 9999 and answer["unit"] in UNITS and type(answer["exact"]) is bool
            and isinstance(marks, list) and len(marks) <= 3 and all(isinstance(mark, str) and len(mark) <= 8 for mark in marks))


def ask(port: int, seed: int, **more) -> dict:
    body = {"model": "served", "seed": seed, "temperature": 1.0, "messages": [{"role": "user", "content": f"Measure {seed}."}], **more}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {text[:500]}")
        return json.loads(text)
    finally:
        connection.close()


def held_to(answer: dict) -> str:
    """What of the schema and the budget an answer broke; "" for nothing."""
    message = answer["choices"][0]["message"]
    reasoning = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
    try:
        right = fits(json.loads(message["content"]))
    except (TypeError, ValueError):
        right = False
    if not right:
        return f"not of the schema: {message['content']!r}"
    return "" if reasoning <= BUDGET else f"{reasoning} tokens of reasoning"


def structured(suite: Suite) -> bool:
    flags = ["--log-level", "warning", "--device", suite.device, "--deterministic"]
    with served.Service(suite.binaries, suite.checkpoint(), flags, suite.environment, first_port=18100) as service:
        plain = lambda seed: ask(service.port, seed, max_tokens=64, ignore_eos=True)["choices"][0]["message"]  # noqa: E731
        bound = lambda seed: ask(service.port, seed, max_tokens=256, thinking_token_budget=BUDGET,  # noqa: E731
                                 response_format={"type": "json_schema", "json_schema": {"name": "measure", "schema": SCHEMA}})
        with concurrent.futures.ThreadPoolExecutor(2 * PLACES) as threads:
            alone = list(threads.map(plain, range(PLACES)))
            beside = [threads.submit(plain, seed) for seed in range(PLACES)]
            answers = [threads.submit(bound, seed) for seed in range(PLACES)]
            equal = sum(one.result() == other for one, other in zip(beside, alone))
            wrong = [broken for broken in (held_to(answer.result()) for answer in answers) if broken]
    suite.row("Grammars and thinking budgets", **{"answers": PLACES, "of the schema, within the budget": PLACES - len(wrong),
              "streams beside them": PLACES, "equal to alone": equal, "first that was not": wrong[0] if wrong else "–"})
    return not wrong and equal == PLACES
