"""Section E: gRPC."""

import contextlib
import os
import pathlib
import random
import socket
import time

import grpc

from certificates import Authority, flags
from doors import GOOD, Grpc, message, merged
from processes import Cluster, Program, free_port, metric, wait_until
from scripts import Service, script

LONG = merged(GOOD["Chat"], dict(stop=dict(maxTokens=1500, ignoreEos=True)))


def encoded(method: str, request: dict) -> bytes:
    return message(f"{method}Request", **request).SerializeToString()


def health_of(door: Grpc, name: str) -> bytes:
    request = b"\x0a" + bytes([len(name)]) + name.encode() if name else b""
    return door.channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=20)


@script
def health(service: Service) -> None:
    with Grpc(service.grpc) as door:
        for name in ("", "swiftlet.v1.InferenceService"):
            assert health_of(door, name) == b"\x08\x01"
        try:
            health_of(door, "nobody")
            raise AssertionError("an unknown service has a health")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND
    draining = Cluster(service.binaries, service.checkpoint, service.logs / "draining")
    try:
        with Grpc(draining.grpc_addresses["gateway"][0]) as door:
            seen = door.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
            assert next(seen) == b"\x08\x01"
            running = door.stream("Chat", encoded("Chat", merged(LONG, dict(stop=dict(maxTokens=300)))))  # well within the drain
            next(running)
            draining.gateways()[0].terminate()
            assert next(seen) == b"\x08\x02"
            seen.cancel()
            assert sum(1 for _ in running) > 0 and running.code() == grpc.StatusCode.OK
        assert draining.gateways()[0].wait() == 0
    finally:
        draining.stop()


def wait_few_sequences(service: Service) -> None:
    admin = service.cluster.worker_admin_ports[0]
    wait_until(lambda: metric(admin, "swiftlet_running_sequences") + metric(admin, "swiftlet_waiting_sequences") <= 31 + 2, 20,
               "the worker has dropped what ended early")


@script
def short_deadline(service: Service) -> None:
    with Grpc(service.grpc) as door:
        for seconds in (0.001, 0.05):
            assert door.call("Chat", LONG, timeout_s=seconds).code == "DEADLINE_EXCEEDED"
    wait_few_sequences(service)


@script
def cancelled_calls(service: Service) -> None:
    with Grpc(service.grpc) as door:
        expected = door.call("Chat", GOOD["Chat"])
        for taken in (0, 1, 5):
            stream = door.stream("Chat", encoded("Chat", LONG))
            for _ in range(taken):
                next(stream)
            stream.cancel()
            after = door.call("Chat", GOOD["Chat"])
            assert (after.code, after.text) == ("OK", expected.text), after
    wait_few_sequences(service)


@script
def large_message(service: Service) -> None:
    with Grpc(service.grpc, **{"grpc.max_send_message_length": -1}) as door:
        ended = door.call("Generate", dict(model="demo", text="x" * (9 << 20)))
        assert ended.code == "RESOURCE_EXHAUSTED", ended
        ended = door.call("Generate", dict(model="demo", text="x" * (5 << 20)))
        assert ended.code == "INVALID_ARGUMENT" and "text" in ended.details, ended.code


@script
def unknown_fields(service: Service) -> None:
    known = encoded("Chat", GOOD["Chat"])
    with Grpc(service.grpc) as door:
        for more in (b"\xfa\x3f\x03abc", b"\xf8\x3f\x07", b"\xfd\x3f1234", b"\xf9\x3f12345678"):
            assert door.call("Chat", known + more).code == "OK", more


@script
def nested_messages(service: Service) -> None:
    with Grpc(service.grpc) as door:
        groups = b"\xfb\x3f" * 10_000
        assert door.call("Chat", encoded("Chat", GOOD["Chat"]) + groups).code != "OK"
        nested = b""
        for _ in range(10_000):
            size, length = len(nested), b""
            while size >= 0x80:
                length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
            nested = b"\x12" + length + bytes([size]) + nested
        assert door.call("Chat", nested).code != "OK"
        assert door.call("Chat", GOOD["Chat"]).code == "OK"


@script
def compressed_message(service: Service) -> None:
    with Grpc(service.grpc, **{"grpc.max_send_message_length": -1}) as door:
        request = encoded("Generate", dict(model="demo", text="x" * (16 << 20)))
        ended = door.call("Generate", request, compression=grpc.Compression.Gzip)
        assert ended.code == "UNIMPLEMENTED" and ended.seconds < 10, ended.code


@script
def random_bytes_inside(service: Service) -> None:
    source = random.Random(112)
    for addresses in service.cluster.grpc_addresses.values():
        for data in (source.randbytes(1 << 16), b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + source.randbytes(1 << 16)):
            host, _, port = addresses[0].rpartition(":")
            with socket.create_connection((host, int(port)), 10) as connection:
                try:
                    connection.sendall(data)
                except OSError:
                    pass
    time.sleep(0.2)
    assert all(program.running() for program in service.programs())
    with Grpc(service.cluster.grpc_addresses["worker"][0]) as door:  # reflection off between processes
        for version in ("v1alpha", "v1"):
            stub = door.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
            try:
                next(stub(iter([b"\x3a\x00"]), timeout=10))
                raise AssertionError("the worker answers reflection")
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def listening(program: Program) -> dict[int, str]:
    """The ports at which the process takes connections, and its addresses there, as the kernel knows them."""
    own, found = set(), {}
    for link in pathlib.Path(f"/proc/{program.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed by now
            own.add(os.readlink(link))
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{program.process.pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in own:
                address, _, port = local.partition(":")
                found[int(port, 16)] = address
    return found


def no_other_port_is_open(service: Service) -> None:
    for program in service.programs():
        told = program.process.args
        asked = {name: int(value) for name, value in zip(told, told[1:]) if name.endswith("port")}
        found = listening(program)
        assert set(found) == set(asked.values()), f"{program.name} listens at {found}, asked for {asked}"
        assert found[asked["--port"]].endswith("0100007F"), f"{program.name} listens at {found}"


@script
def strangers_inside(service: Service) -> None:
    no_other_port_is_open(service)
    random_bytes_inside(service)
    folder = service.logs / "inside"
    folder.mkdir()
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
    own, foreign = ours.sign(folder / "own", "DNS:swiftlet"), theirs.sign(folder / "foreign", "DNS:swiftlet")
    port, admin_port = free_port(), free_port()
    program = Program(service.binaries / "swiftlet-tokenizer", "--model", str(service.checkpoint), "--host", "127.0.0.1", "--port", str(port),
                      "--admin-port", str(admin_port), *flags("internal-ssl", own), log=service.logs / "inside.log")
    program.wait_ready(admin_port)
    root, address = ours.certificate.read_bytes(), f"127.0.0.1:{port}"
    options = [("grpc.ssl_target_name_override", "swiftlet"), ("grpc.use_local_subchannel_pool", 1)]

    def code_of(channel) -> str:
        with channel:
            call = channel.unary_unary("/swiftlet.v1.TokenizerService/GetInfo")
            try:
                call(b"", timeout=10)
                return "OK"
            except grpc.RpcError as error:
                return error.code().name

    def certified(certificate) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(root, (certificate / "tls.key").read_bytes(), (certificate / "tls.crt").read_bytes())

    assert code_of(grpc.insecure_channel(address)) == "UNAVAILABLE"
    assert code_of(grpc.secure_channel(address, grpc.ssl_channel_credentials(root), options)) == "UNAVAILABLE"
    assert code_of(grpc.secure_channel(address, certified(foreign), options)) == "UNAVAILABLE"
    assert code_of(grpc.secure_channel(address, certified(own), options)) not in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    program.stop()
