"""Whatever the demo model writes under a random schema parses and fits it: alone, beside others, and when the worker that
began it is killed. The validator knows nothing of how the schema was compiled."""

import concurrent.futures
import json
import random

import pytest

from processes import Cluster, metric, post, wait_until

QUESTION = [dict(role="user", content="What is 478 + 256?")]


class Schemas:
    """Random schemas whose documents stay short."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def schema(self, depth: int = 0) -> dict:
        kinds = [self.integer, self.string, self.listed, self.boolean] + ([self.array, self.object, self.any_of] if depth < 2 else [])
        return self.random.choice(kinds)(depth)

    def integer(self, depth: int) -> dict:
        low = self.random.randint(-50, 50)
        return dict(type="integer", minimum=low, maximum=low + self.random.choice([0, 7, 1000]))

    def string(self, depth: int) -> dict:
        least = self.random.randint(0, 3)
        return self.random.choice([dict(type="string", minLength=least, maxLength=least + 5), dict(type="string", format="date"),
                                   dict(type="string", pattern="^[a-c]{2,4}$")])

    def listed(self, depth: int) -> dict:
        return dict(enum=self.random.sample(["a", "ab", "é", 12, None, True, [1], "\n"], 3))

    def boolean(self, depth: int) -> dict:
        return dict(type=["boolean", "null"])

    def array(self, depth: int) -> dict:
        least = self.random.randint(0, 2)
        return dict(type="array", items=self.schema(depth + 1), minItems=least, maxItems=least + 1)

    def object(self, depth: int) -> dict:
        names = self.random.sample(["a", "b", 'c"d', "é"], 2)
        return dict(type="object", properties={name: self.schema(depth + 1) for name in names}, required=names[:1],
                    additionalProperties=False)

    def any_of(self, depth: int) -> dict:
        return dict(anyOf=[self.schema(depth + 1), self.schema(depth + 1)])


def fits(value, schema: dict) -> bool:
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        return any(type(value) is type(one) and value == one for one in schema["enum"])
    match schema["type"]:
        case "integer":
            return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
        case "string":
            if not isinstance(value, str) or not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 99):
                return False
            if "pattern" in schema:
                return 2 <= len(value) <= 4 and set(value) <= set("abc")
            return "format" not in schema or (len(value) == 10 and value[4] == value[7] == "-" and value.replace("-", "").isdigit())
        case "array":
            return (isinstance(value, list) and schema["minItems"] <= len(value) <= schema["maxItems"]
                    and all(fits(one, schema["items"]) for one in value))
        case "object":
            return (isinstance(value, dict) and set(schema["required"]) <= set(value) <= set(schema["properties"])
                    and all(fits(value[name], schema["properties"][name]) for name in value))
        case _:
            return value is None or isinstance(value, bool)


def body_of(seed: int) -> dict:
    rooted = dict(type="object", properties=dict(answer=Schemas(seed).schema()), required=["answer"], additionalProperties=False)
    return dict(model="demo", messages=QUESTION, seed=seed, max_tokens=400, n=1 + seed % 3, temperature=(0, 0.7, 1.5)[seed % 3],
                thinking_token_budget=seed % 12,
                response_format=dict(type="json_schema", json_schema=dict(name="answer", strict=True, schema=rooted)))


def answers(cluster, seed: int) -> list[str]:
    """The contents of all choices, each of which fits."""
    body = body_of(seed)
    status, answer = post(cluster.port, "/v1/chat/completions", body)
    assert status == 200, answer
    contents = [choice["message"]["content"] for choice in answer["choices"]]
    schema = body["response_format"]["json_schema"]["schema"]
    for choice, content in zip(answer["choices"], contents, strict=True):
        if choice["finish_reason"] == "length":
            continue
        value = json.loads(content)
        assert set(value) == {"answer"} and fits(value["answer"], schema["properties"]["answer"]), (content, schema)
    assert any(choice["finish_reason"] == "stop" for choice in answer["choices"]), answer
    return contents


def test_random_schemas_are_fitted_alone_and_together(cluster):
    alone = [answers(cluster, seed) for seed in range(16)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda seed: answers(cluster, seed), range(16))) == alone


@pytest.fixture
def pair(binaries, checkpoint, tmp_path):
    running = Cluster(binaries, checkpoint, tmp_path / "logs", workers=2)
    yield running
    running.stop()


def test_an_answer_goes_on_in_its_grammar_at_another_worker(cluster, pair):
    """The worker that is at it is killed: what comes is what one worker alone says."""
    seeds = range(100, 110)
    alone = [answers(cluster, seed) for seed in seeds]

    def generated() -> list[float]:
        return [metric(port, "swiftlet_generated_tokens_total") for port in pair.worker_admin_ports]

    with concurrent.futures.ThreadPoolExecutor(len(seeds)) as pool:
        asked = [pool.submit(answers, pair, seed) for seed in seeds]
        wait_until(lambda: max(generated()) > 50, 60, "answers are being written")
        counts = generated()
        busy = pair.workers()[counts.index(max(counts))]
        busy.process.kill()
        pair.programs.remove(busy)
        assert [one.result() for one in asked] == alone
    busy.process.wait()
