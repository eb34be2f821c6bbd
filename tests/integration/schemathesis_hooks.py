"""Loaded by schemathesis (test_openapi.py): keeps the model's work small, and holds the parts of streams against their schema."""

import json
import zlib

import jsonschema_rs
import schemathesis

HELD_DOWN = {"n": 2, "num_choices": 2, "max_tokens": 4, "max_completion_tokens": 4, "min_tokens": 2}


def hold_down(body: dict) -> None:
    for name, most in HELD_DOWN.items():
        if type(body.get(name)) in (int, float) and body[name] > most:
            body[name] = most
    for inner in body.values():
        if isinstance(inner, dict):
            hold_down(inner)


@schemathesis.hook
def before_call(context, case, kwargs):
    """What is valid stays so; what is not goes out as it is."""
    if not case.meta.generation.mode.is_negative and isinstance(case.body, dict):
        hold_down(case.body)
        if "okenize" not in case.path:  # else it goes on to the end of the context
            rules = case.body
            if case.path.startswith("/swiftlet/"):
                rules = case.body["stop"] = case.body.get("stop") or {}
            if rules.get("max_tokens") is None:
                rules["max_tokens"] = 4
    if case.path.endswith((":stream", ":streamChat", ":streamGenerate")) and zlib.crc32(repr(case.body).encode()) % 2:
        case.headers["Accept"] = "text/event-stream"


@schemathesis.deserializer("application/x-ndjson")
def first_line(context, response):
    """The others are the check's below."""
    return json.loads(response.text.split("\n", 1)[0])


@schemathesis.check
def every_part_conforms(context, response, case):
    """Each event and each line is JSON by its schema, and only the last may be an error."""
    kind = response.headers.get("content-type", [""])[0].split(";")[0]
    if kind not in ("text/event-stream", "application/x-ndjson"):
        return
    document = case.operation.schema.raw_schema
    operation = document["paths"][case.operation.path][case.operation.method]
    schema = operation["responses"][str(response.status_code)]["content"][kind]["schema"]
    if kind == "text/event-stream":
        schema = schema["properties"]["data"]["contentSchema"]
        parts = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
        if parts and parts[-1] == "[DONE]":
            parts.pop()
    else:
        parts = [line for line in response.text.split("\n") if line]
    assert parts, "an empty stream"
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
    for index, part in enumerate(parts):
        value = json.loads(part)
        validator.validate(value)
        assert "error" not in value or index == len(parts) - 1, "something follows an error"
