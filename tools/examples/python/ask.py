#!/usr/bin/env python3
"""Asks a model one question through every door of a gateway, and prints the answers: they are the same.

    pip install grpcio grpcio-tools grpcio-status openai requests
    python3 tools/examples/python/ask.py --http 127.0.0.1:8000 --grpc 127.0.0.1:8001 --model demo 'What is 478 + 256?'

The exit status is 0 when all doors answer alike, 1 when they do not, 2 when one refuses (the reason is printed).
"""

import argparse
import importlib
import json
import pathlib
import sys
import tempfile

import google.api.annotations_pb2  # brings google/api/*.proto, which ours import
import grpc
import grpc_tools
import openai
import requests
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[3] / "proto"


def inference_modules():
    """inference_pb2 and inference_pb2_grpc, generated from the .proto files."""
    google_protos = pathlib.Path(google.api.annotations_pb2.__file__).parents[2]
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = [f"swiftlet/v1/{name}.proto" for name in ("common", "tokenizer", "inference")]
    with tempfile.TemporaryDirectory(prefix="swiftlet-") as folder:
        status = protoc.main(["protoc", f"-I{PROTO}", f"-I{google_protos}", f"-I{well_known}", f"--python_out={folder}",
                              f"--grpc_python_out={folder}", *files])
        if status != 0:
            raise SystemExit("protoc failed")
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("swiftlet.v1.inference_pb2"), importlib.import_module("swiftlet.v1.inference_pb2_grpc")
        finally:
            sys.path.remove(folder)


def by_openai(arguments) -> str:
    client = openai.OpenAI(base_url=f"http://{arguments.http}/v1", api_key=arguments.key or "none", timeout=arguments.timeout)
    stream = client.chat.completions.create(model=arguments.model, messages=[{"role": "user", "content": arguments.question}],
                                            seed=arguments.seed, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def by_rest(arguments) -> str:
    body = {"messages": [{"role": "user", "content": arguments.question}], "sampling": {"seed": arguments.seed}}
    headers = {"Grpc-Timeout": f"{arguments.timeout}S"} | ({"Authorization": f"Bearer {arguments.key}"} if arguments.key else {})
    text = ""
    with requests.post(f"http://{arguments.http}/swiftlet/v1/models/{arguments.model}:streamChat", json=body, headers=headers,
                       stream=True) as answer:
        if answer.status_code != 200:
            raise SystemExit(refused("REST", answer.json()["error"]["message"]))
        for line in answer.iter_lines():
            part = json.loads(line or b"{}")  # an empty line keeps a quiet stream open
            if "error" in part:
                raise SystemExit(refused("REST", part["error"]["message"]))
            text += "".join(delta.get("text", "") for delta in part.get("deltas", []))
    return text


def by_grpc(arguments) -> str:
    messages, services = inference_modules()
    request = messages.ChatRequest(model=arguments.model)
    request.messages.add(role="user", content=arguments.question)
    request.sampling.seed = arguments.seed
    metadata = [("authorization", f"Bearer {arguments.key}")] if arguments.key else []
    with grpc.insecure_channel(arguments.grpc) as channel:
        try:
            answer = services.InferenceServiceStub(channel).Chat(request, timeout=arguments.timeout, metadata=metadata)
            return "".join(delta.text for part in answer for delta in part.deltas)
        except grpc.RpcError as error:
            raise SystemExit(refused("gRPC", explained(error))) from None


def explained(error: grpc.RpcError) -> str:
    """The message, and what the google.rpc details add to it."""
    parts = [f"{error.code().name}: {error.details()}"]
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else []:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            if not detail.Is(kind.DESCRIPTOR):
                continue
            value = kind()
            detail.Unpack(value)
            if kind is error_details_pb2.ErrorInfo:
                parts.append(f"reason {value.reason}")
            elif kind is error_details_pb2.BadRequest:
                parts += [f"field {violation.field}" for violation in value.field_violations]
            else:
                parts.append(f"try again in {value.retry_delay.ToMilliseconds()} ms")
    return ", ".join(parts)


def refused(door: str, message: str) -> int:
    print(f"{door} refused: {message}", file=sys.stderr)
    return 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--http", default="127.0.0.1:8000")
    parser.add_argument("--grpc", default="127.0.0.1:8001")
    parser.add_argument("--model", required=True)
    parser.add_argument("--key", default="", help="where the gateway asks for one")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--timeout", type=int, default=60, help="seconds")
    parser.add_argument("question")
    arguments = parser.parse_args()
    answers = {}
    for door, ask in (("gRPC", by_grpc), ("REST", by_rest), ("OpenAI", by_openai)):
        try:
            answers[door] = ask(arguments)
        except openai.APIError as error:
            return refused(door, str(error))
        except requests.RequestException as error:
            return refused(door, str(error))
        print(f"{door}: {answers[door]}")
    return 0 if len(set(answers.values())) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
