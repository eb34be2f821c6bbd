"""The doors of the gateway, as a hostile caller uses them: HTTP requests byte by byte, and gRPC messages of any bytes.

Entries of a case's "rest":    to ("chat", "completions" or a path), method, headers, and the body: `with` changes our good
                               request, `tail` replaces its closing brace, `bytes` is the whole body; `each` = one request
                               for each of several `with` (or, with "tails", of several `tail`)
              of its "grpc":   method, `with` or `each` likewise, `hex` = the message's bytes
              of its "sockets": `bytes` sent as they are; `each` likewise
Expectations: status (one or several; 0 = closed without an answer), param, code, grpc status name, within_s, closed.
"""

import functools
import json
import pathlib
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from corpus import expanded, joined

GOOGLEAPIS = "/usr/share/gocode/src/github.com/gogo/googleapis"  # as proto/CMakeLists.txt
ROOT = pathlib.Path(__file__).resolve().parents[2]
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
GOOD = {
    "chat": {"model": "demo", "messages": [{"role": "user", "content": "What is 1 + 2?"}], "max_tokens": 6, "temperature": 0},
    "completions": {"model": "demo", "prompt": "What is 1 + 2?", "max_tokens": 6, "temperature": 0},
    "Chat": {"model": "demo", "messages": [{"role": "user", "content": "What is 1 + 2?"}], "stop": {"maxTokens": 6},
             "sampling": {"temperature": 0}},
    "Generate": {"model": "demo", "text": "What is 1 + 2?", "stop": {"maxTokens": 6}, "sampling": {"temperature": 0}},
}
DEFAULT_WITHIN_S = 20  # beside 31 streams on two busy cores, under a sanitizer


def merged(good: dict, change: dict) -> dict:
    """`good` with `change`; an object replaces only its own members where both are objects, "$absent" takes one away."""
    result = dict(good)
    for key, value in change.items():
        if value == "$absent":
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


@dataclass
class Answer:
    status: int  # 0: closed without one
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    closed: bool = False
    seconds: float = 0

    def json(self):
        return json.loads(self.body)

    @property
    def error(self) -> dict:
        return self.json()["error"]

    def events(self) -> list[dict]:
        lines = [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]
        assert lines and lines[-1] == "[DONE]", self.body[-300:]
        return [json.loads(line) for line in lines[:-1]]


class Connection:
    """One TCP connection to an HTTP port."""

    def __init__(self, port: int, timeout_s: float = 60, receive_buffer: int | None = None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout_s)
        self.socket.connect(("127.0.0.1", port))
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data: bytes) -> None:
        """As far as the other side takes it: a refusal may come while the rest is still being sent."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self._received += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._received:
            if not self._more():
                return None
        head, _, self._received = self._received.partition(mark)
        return head

    def _bytes(self, count: int) -> bytes:
        while len(self._received) < count and self._more():
            pass
        data, self._received = self._received[:count], self._received[count:]
        return data

    def answer(self, head_only: bool = False) -> Answer:
        start = time.monotonic()
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return Answer(0, body=self._received, closed=True, seconds=time.monotonic() - start)
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status != 100:
                break
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = b""
        if head_only:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while (size := self._until(b"\r\n")) is not None and int(size, 16) > 0:
                body += self._bytes(int(size, 16))
                self._bytes(2)
            if size is not None:
                self._bytes(2)
        else:
            body = self._bytes(int(headers["content-length"]))
        return Answer(status, headers, body, headers.get("connection") == "close", time.monotonic() - start)

    def ends(self, seconds: float) -> bool:
        """Whether the other side closes within this time."""
        self.socket.settimeout(seconds)
        try:
            while self._more():
                pass
        except TimeoutError:
            return False
        return True


def head_of(method: str, path: str, length: int | None, headers: dict) -> bytes:
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json"} | headers
    if length is not None and "Transfer-Encoding" not in lines:
        lines.setdefault("Content-Length", str(length))
    text = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None) + "\r\n"
    return text.encode("latin-1")


def http(port: int, path: str, body: bytes | dict | None = None, method: str = "POST", headers: dict | None = None) -> Answer:
    path = PATHS.get(path, path)
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    with Connection(port) as connection:
        connection.send(head_of(method, path, None if data is None else len(data), headers or {}) + (data or b""))
        return connection.answer(head_only=method == "HEAD")


def chat(port: int, **change) -> Answer:
    return http(port, "chat", merged(GOOD["chat"], change))


def completions(port: int, **change) -> Answer:
    return http(port, "completions", merged(GOOD["completions"], change))


@functools.cache
def _messages() -> dict[str, type]:
    """Every message type of proto/, by name."""
    with tempfile.TemporaryDirectory() as folder:
        image = pathlib.Path(folder) / "image.binpb"
        ours = sorted(str(path.relative_to(ROOT / "proto")) for path in ROOT.glob("proto/swiftlet/**/*.proto"))
        subprocess.run(["protoc", "-I", ROOT / "proto", "-I", GOOGLEAPIS, "--include_imports", f"--descriptor_set_out={image}", *ours],
                       check=True, timeout=60)
        files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
    return message_factory.GetMessages(files, pool=descriptor_pool.DescriptorPool())


def message(name: str, **fields):
    return json_format.ParseDict(fields, _messages()[f"swiftlet.v1.{name}"]())


@dataclass
class Ended:
    """How a gRPC call ended."""
    code: str
    details: str
    messages: list
    seconds: float

    @property
    def text(self) -> str:
        return "".join(d.reasoning + d.text for part in self.messages for d in part.deltas if d.choice == 0)


class Grpc:
    """One channel to the public service."""

    def __init__(self, address: str, **options):
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)] + list(options.items()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def stream(self, method: str, request: bytes, timeout_s: float | None = 60, **call):
        answer = _messages()[f"swiftlet.v1.{method}Response"]
        path = f"/swiftlet.v1.InferenceService/{method}"
        stub = self.channel.unary_stream(path, response_deserializer=answer.FromString)
        return stub(request, timeout=timeout_s, **call)

    def call(self, method: str, request: bytes | dict, timeout_s: float | None = 60, **call) -> Ended:
        if isinstance(request, dict):
            request = message(f"{method}Request", **request).SerializeToString()
        start, received = time.monotonic(), []
        stream = self.stream(method, request, timeout_s, **call)
        try:
            for part in stream:
                received.append(part)
        except grpc.RpcError:
            pass  # told by code()
        return Ended(stream.code().name, stream.details() or "", received, time.monotonic() - start)


def check_answer(answer: Answer, expect: dict, sent: str) -> None:
    shown = f"{sent}: {answer.status} {answer.body[:300]!r} after {answer.seconds:.2f} s, expected {expect}"
    wanted = expect["status"] if isinstance(expect["status"], list) else [expect["status"]]
    assert answer.status in wanted, shown
    assert answer.seconds <= expect.get("within_s", DEFAULT_WITHIN_S), f"too late: {shown}"
    if 400 <= answer.status < 500 and answer.body:
        assert answer.error["message"] and answer.error["type"], shown
    for key in ("param", "code"):
        if key in expect:
            assert answer.error[key] == expect[key], shown
    if expect.get("closed"):
        assert answer.closed, f"not closed: {shown}"


def run_rest(port: int, entry: dict) -> None:
    route = entry["to"]
    good = json.dumps(GOOD.get(route, {}))
    bodies: list[bytes | None] = []
    if "each" in entry or "with" in entry:
        for change in entry.get("each", [entry.get("with")]):
            bodies.append(json.dumps(merged(GOOD[route], expanded(change))).encode())
    for tail in entry.get("tails", [entry["tail"]] if "tail" in entry else []):
        bodies.append(good[:-1].encode() + b", " + joined(tail))
    for whole in entry.get("bodies", [entry["bytes"]] if "bytes" in entry else []):
        bodies.append(joined(whole))
    method = entry.get("method", "POST" if bodies else "GET")
    for body in bodies or [good.encode() if method == "POST" else None]:
        answer = http(port, route, body, method, entry.get("headers"))
        check_answer(answer, entry["expect"], f"{method} {route[:60]} {(body or b'')[:200]!r}")


def run_socket(port: int, entry: dict) -> None:
    for data in entry.get("each", [entry.get("bytes")]):
        expect = entry["expect"]
        with Connection(port, expect.get("within_s", DEFAULT_WITHIN_S) + 5) as connection:
            sent = joined(data)
            connection.send(sent)
            answer = connection.answer()
            check_answer(answer, expect, f"bytes {sent[:120]!r}")
            if expect.get("closed"):
                assert connection.ends(5), f"{sent[:120]!r}: the connection stays open behind its {answer.status}"
                assert b"HTTP/1.1" not in connection._received, f"{sent[:120]!r}: a second answer on the connection"


def run_grpc(address: str, entry: dict) -> None:
    method = entry["method"]
    with Grpc(address) as door:
        for change in entry.get("each", [entry.get("with", {})]):
            if "hex" in entry:
                request = bytes.fromhex(entry["hex"])
            else:
                request = merged(GOOD[method], expanded(change))
            ended = door.call(method, request)
            assert ended.code == entry["expect"], f"{method} {str(change)[:200]}: {ended}, expected {entry['expect']}"
            named = entry.get("names")
            assert named is None or named in ended.details, f"{method} {str(change)[:200]}: {ended.details} names no {named}"
            assert ended.seconds <= DEFAULT_WITHIN_S, f"{method} took {ended.seconds:.1f} s"
