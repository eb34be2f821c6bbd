"""Section D: what only raw connections can do."""

import json
import socket
import struct
import time

from doors import GOOD, Connection, chat, head_of, http, merged
from processes import metric, wait_until
from scripts import Service, script, start_gateway

CHAT = "/v1/chat/completions"


def request_bytes(**change) -> bytes:
    body = json.dumps(merged(GOOD["chat"], change)).encode()
    return head_of("POST", CHAT, len(body), {}) + body


LONG = dict(max_tokens=1500, ignore_eos=True, stream=True)


@script
def many_chunks(service: Service) -> None:
    count = 1_000_000 if service.full else 100_000
    before = service.gateway.resident_bytes()
    for _ in range(100 if service.full else 2):
        with Connection(service.port) as connection:
            connection.send(head_of("POST", CHAT, None, {"Transfer-Encoding": "chunked"}))
            connection.send(b"1\r\n \r\n" * count + b"0\r\n\r\n")
            assert connection.answer().status == 400
    grown = service.gateway.resident_bytes() - before
    assert grown < 64 << 20, f"{grown} bytes more"
    service.notes.append(f"case 86: the gateway grew by {grown >> 10} KiB")


@script
def slow_heads(service: Service) -> None:
    connections = [Connection(service.port) for _ in range(1000 if service.full else 200)]
    start = time.monotonic()
    for connection in connections:
        connection.send(b"POST /v1/chat")
    answer = chat(service.port)
    assert answer.status == 200 and answer.seconds < 20, answer
    while service.full and time.monotonic() - start < 9:
        for connection in connections:
            connection.send(b"x")
        time.sleep(3)
    if service.full:
        for connection in connections:
            assert connection.ends(20)
        assert 8 < time.monotonic() - start < 20, "closed too late"
    for connection in connections:
        connection.socket.close()


@script
def slow_body(service: Service) -> None:
    with Connection(service.port) as connection:
        connection.send(head_of("POST", CHAT, 10_000, {}) + b"{")
        if not service.full:  # the short form: whoever leaves early is forgotten
            return
        start = time.monotonic()
        connection.socket.settimeout(1)
        while time.monotonic() - start < 20:
            try:
                answer = connection.answer()
                break
            except TimeoutError:
                connection.send(b" ")
        assert answer.status == 408 and time.monotonic() - start < 15, answer


@script
def slow_reader(service: Service) -> None:
    before = service.gateway.resident_bytes()
    readers = [Connection(service.port, receive_buffer=1024) for _ in range(200 if service.full else 10)]
    for reader in readers:
        reader.send(request_bytes(**LONG))
    for _ in range(4):
        for reader in readers:
            reader.socket.recv(1)
        time.sleep(0.25)
    grown = service.gateway.resident_bytes() - before
    assert grown < 64 << 20, grown
    for reader in readers:
        reader.socket.close()


@script
def pipelined(service: Service) -> None:
    with Connection(service.port) as connection:
        connection.send(b"".join(request_bytes(max_tokens=1 + place, ignore_eos=True) for place in range(10)))
        for place in range(10):
            answer = connection.answer()
            assert answer.status == 200 and answer.json()["usage"]["completion_tokens"] == 1 + place, answer


@script
def other_methods(service: Service) -> None:
    for method in ("HEAD", "PUT", "TRACE", "DELETE", "PATCH", "GET", "BREW"):
        answer = http(service.port, CHAT, method=method)
        assert answer.status == 405 and answer.headers["allow"] == "POST", (method, answer)
    assert http(service.port, CHAT, method="OPTIONS").status == 405
    with Connection(service.port) as connection:
        connection.send(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.answer().status == 400


@script
def same_path_for_key_and_route(service: Service) -> None:
    for path in ("/livez/../v1/models", "/livez%2f..%2fv1/models", "/livez;/../v1/models", "//livez", "/livez/v1/models", "/v1/models?x=/livez"):
        assert http(service.keyed_port, path, method="GET").status == 401, path


@script
def half_close(service: Service) -> None:
    with Connection(service.port) as connection:
        connection.send(request_bytes(max_tokens=100, ignore_eos=True))
        connection.socket.shutdown(socket.SHUT_WR)
        answer = connection.answer()
        assert answer.status == 200 and answer.json()["usage"]["completion_tokens"] == 100


def reset(connection: Connection) -> None:
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.close()


@script
def resets(service: Service) -> None:
    for place in range(30):
        connection = Connection(service.port)
        change = LONG if place % 2 else dict(messages=[dict(role="user", content="1 + " * 500)], max_tokens=500, ignore_eos=True)
        connection.send(request_bytes(**change))
        if place % 3 == 0 and place % 2:
            connection.socket.recv(64)
        reset(connection)
    admin = service.cluster.worker_admin_ports[0]
    wait_until(lambda: metric(admin, "swiftlet_running_sequences") + metric(admin, "swiftlet_waiting_sequences") <= 31 + 2, 20,
               "the worker has dropped what was reset")


@script
def idle_connections(service: Service) -> None:
    count = 10_000 if service.full else 400  # the second gateway takes 200
    connections = [Connection(service.keyed_port) for _ in range(count)]
    connections[-1].socket.settimeout(20)
    refused = connections[-1].answer()
    assert refused.status == 503, refused
    for connection in connections:
        connection.socket.close()
    wait_until(lambda: http(service.keyed_port, "/livez", method="GET").status == 200, 20, "the gateway takes connections again")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
# :method POST, :scheme http, :path of a method, :authority, content-type, te: plain literals, no table
HEADERS = b"\x83\x86" + b"".join(
    b"\x00" + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in
    ((b":path", b"/swiftlet.v1.InferenceService/Chat"), (b":authority", b"a"), (b"content-type", b"application/grpc"), (b"te", b"trailers")))


@script
def http2_floods(service: Service) -> None:
    """On a gateway of its own: what packaged gRPC keeps of a flood is told, and counts for no other case."""
    count = 100_000 if service.full else 5_000
    floods = {
        "rapid reset": lambda i: frame(1, 4, 2 * i + 1, HEADERS) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08"),
        "ping": lambda i: frame(6, 0, 0, b"12345678"),
        "settings": lambda i: frame(4, 0, 0),
        "empty data": lambda i: (frame(1, 4, 1, HEADERS) if i == 0 else b"") + frame(0, 0, 1),
        "continuation": lambda i: (frame(1, 0, 1, HEADERS) if i == 0 else b"") + frame(9, 0, 1, b"\x00\x01a\x01b"),
        "table bomb": lambda i: (frame(1, 4, 1, HEADERS + b"\x40\x01a\x7f\x81\x1e" + b"x" * 4000 + b"\xbe" * 4000) if i == 0 else b""),
        "window of zero": lambda i: frame(4, 0, 0, b"\0\4\0\0\0\0") + frame(1, 4, 1, HEADERS) if i == 0 else b"",
    }
    gateway = start_gateway(service.cluster, service.binaries, service.logs / "flooded.log")
    for name, unit in floods.items():
        before = gateway.program.resident_bytes()
        with Connection(gateway.grpc_port, timeout_s=20) as connection:
            connection.socket.setblocking(True)
            connection.socket.settimeout(20)
            connection.send(PREFACE)
            for begin in range(0, count, 500):
                try:
                    connection.socket.sendall(b"".join(unit(i) for i in range(begin, begin + 500)))
                except OSError:
                    break  # cut off
        assert gateway.program.running(), f"{name} ended the gateway"
        service.notes.append(f"case 102: {name} x {count}: the gateway's memory {(gateway.program.resident_bytes() - before) >> 10:+} KiB")
    assert chat(gateway.port).status == 200
    gateway.program.stop()
