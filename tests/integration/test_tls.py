"""TLS on the public ports and between the processes, with real clients; certificates exchanged while the service runs."""

import errno
import http.client
import json
import os
import pathlib
import select
import socket
import ssl
import subprocess
import threading
import time

import grpc
import openai
import pytest

from certificates import Authority, flags
from processes import Background, Cluster, Program, bound_by_rights, free_port, is_sanitized, metric, wait_until

BODY = {"model": "demo", "messages": [{"role": "user", "content": "What is 478 + 256?"}], "temperature": 0}
LONG = BODY | {"max_tokens": 700, "ignore_eos": True, "stream": True}
LIST_MODELS = "/swiftlet.v1.InferenceService/ListModels"
GET_INFO = "/swiftlet.v1.TokenizerService/GetInfo"
HEALTH = "/grpc.health.v1.Health/Check"


class Secured(Cluster):
    """TLS everywhere. `public` and `internal` are folders with tls.crt, tls.key and ca.crt, as the processes read them."""

    def __init__(self, binaries, checkpoint, folder: pathlib.Path):
        self.public_authority, self.internal_authority = Authority(folder, "public"), Authority(folder, "internal")
        self.public = self.public_authority.sign(folder / "public")
        self.internal = self.internal_authority.sign(folder / "internal", "DNS:swiftlet")
        self.caller = self.public_authority.sign(folder / "caller")
        inside = flags("internal-ssl", self.internal)
        super().__init__(binaries, checkpoint, folder / "logs", gateway_flags=flags("ssl", self.public) + inside,
                         worker_flags=inside, tokenizer_flags=inside)

    def context(self, caller: pathlib.Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.public_authority.certificate))
        if caller is not None:
            context.load_cert_chain(caller / "tls.crt", caller / "tls.key")
        return context


@pytest.fixture(scope="module")
def secured(binaries, checkpoint, tmp_path_factory):
    running = Secured(binaries, checkpoint, tmp_path_factory.mktemp("secured"))
    yield running
    running.wait_idle()
    running.stop()


@pytest.fixture(scope="module", autouse=True)
def silent(secured):
    """Callers that connect and say nothing, or not enough, from the beginning of these tests on."""
    hello = client_hello()
    ports = {"http": secured.port} | {kind: int(addresses[0].rpartition(":")[2]) for kind, addresses in secured.grpc_addresses.items()}
    opened = {}
    for name, port in ports.items():
        for what, data in (("silent", b""), ("halting", hello[:40])):
            opened[name, what] = socket.create_connection(("127.0.0.1", port))
            opened[name, what].sendall(data)
    return time.monotonic(), opened


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def ask(secured, body: dict = BODY, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection("localhost", secured.port, timeout=120, context=context or secured.context())
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer


def text_of(stream: bytes) -> str:
    # An event that took several steps may hold the end of the reasoning and the beginning of the answer.
    return "".join((choice["delta"].get("reasoning_content") or "") + (choice["delta"].get("content") or "")
                   for line in stream.decode().splitlines() if line.startswith("data: {")
                   for choice in json.loads(line[6:])["choices"])


def serial(port: int, context: ssl.SSLContext, name: str = "localhost") -> str:
    with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw, server_hostname=name) as wrapped:
        return wrapped.getpeercert()["serialNumber"]


def call(address: str, method: str, credentials: grpc.ChannelCredentials | None, name: str = "localhost") -> bytes | grpc.StatusCode:
    """The answer to an empty message, or the status."""
    options = [("grpc.ssl_target_name_override", name)]
    channel = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials, options)
    with channel:
        try:
            return channel.unary_unary(method)(b"", timeout=10)
        except grpc.RpcError as error:
            return error.code()


def credentials(authority: Authority, caller: pathlib.Path | None) -> grpc.ChannelCredentials:
    pair = (None, None) if caller is None else ((caller / "tls.key").read_bytes(), (caller / "tls.crt").read_bytes())
    return grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *pair)


def test_https_serves_openais_client(secured):
    http_client = openai.DefaultHttpxClient(verify=secured.context())
    client = openai.OpenAI(base_url=f"https://localhost:{secured.port}/v1", api_key="none", max_retries=0, timeout=120,
                           http_client=http_client)
    whole = client.chat.completions.create(**BODY).choices[0].message.content
    parts = client.chat.completions.create(**BODY, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == whole and "734" in whole
    admin = secured.gateway_admin_ports[0]
    assert metric(admin, "swiftlet_gateway_tls_handshakes_total", result="ok") >= 1
    assert metric(admin, "swiftlet_tls_certificate_expires_seconds", use="callers") > time.time() + 86400


@pytest.mark.parametrize("arguments, expected", [
    (("-tls1_2",), "Protocol  : TLSv1.2"), (("-tls1_3",), "New, TLSv1.3"), (("-alpn", "h2,http/1.1"), "ALPN protocol: http/1.1"),
    (("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), "alert"), (("-alpn", "h2"), "no application protocol"),
    (("-tls1_2", "-cipher", "AES128-SHA"), "handshake failure"), (("-servername", "a" * 200), "Verify return code: 0"),
])
def test_versions_and_protocols_as_openssl_sees_them(secured, arguments, expected):
    ended = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{secured.port}", "-CAfile", secured.public_authority.certificate,
                            *arguments], input="", capture_output=True, text=True, timeout=30)
    assert expected in ended.stdout + ended.stderr


def test_a_resumed_session_is_served(secured):
    context = secured.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", secured.port)) as raw, \
                context.wrap_socket(raw, server_hostname="localhost", session=session) as wrapped:
            wrapped.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"alive" in wrapped.recv(4096)
            resumed, session = wrapped.session_reused, wrapped.session
    assert resumed


def test_plain_http_on_the_tls_port_is_told_so(secured):
    connection = http.client.HTTPConnection("127.0.0.1", secured.port, timeout=10)
    connection.request("GET", "/v1/models")
    response = connection.getresponse()
    assert response.status == 400 and json.loads(response.read())["error"]["code"] == "tls_required"


def test_grpc_callers_need_a_certificate(secured):
    address = secured.grpc_addresses["gateway"][0]
    assert b"demo" in call(address, LIST_MODELS, credentials(secured.public_authority, secured.caller))
    stranger = Authority(secured.caller.parent, "stranger").sign(secured.caller.parent / "stranger")
    for wrong in (None, credentials(secured.public_authority, None), credentials(secured.public_authority, stranger),
                  credentials(secured.public_authority, secured.public_authority.sign(secured.caller.parent / "old", days=-1))):
        assert call(address, LIST_MODELS, wrong) == grpc.StatusCode.UNAVAILABLE
    assert b"demo" in call(address, LIST_MODELS, credentials(secured.public_authority, secured.caller))


@pytest.mark.parametrize("kind, method", [("tokenizer", GET_INFO), ("worker", HEALTH)])
def test_only_gateways_reach_tokenizers_and_workers(secured, kind, method):
    address = secured.grpc_addresses[kind][0]
    inside = secured.internal_authority
    answer = call(address, method, credentials(inside, secured.internal), "swiftlet")
    assert isinstance(answer, bytes) and answer
    for wrong in (None, credentials(inside, None), credentials(inside, secured.caller)):
        assert call(address, method, wrong, "swiftlet") == grpc.StatusCode.UNAVAILABLE


def test_certificates_are_exchanged_while_streams_run(secured):
    message = json.loads(ask(secured, LONG | {"stream": False})[1])["choices"][0]["message"]
    over = threading.Event()

    def stream_on() -> list[tuple[int, bytes]]:
        streams = [ask(secured, LONG)]
        while not over.is_set():
            streams.append(ask(secured, LONG))
        return streams

    admin = secured.gateway_admin_ports[0]
    kept = http.client.HTTPSConnection("localhost", secured.port, timeout=60, context=secured.context())
    kept.request("GET", "/livez")
    assert kept.getresponse().read()
    seen = Background(stream_on)
    wait_until(lambda: metric(admin, "swiftlet_gateway_requests_running") == 1, what="a stream runs")
    folder = secured.public.parent
    before = serial(secured.port, secured.context())
    # A new certificate outside; inside a new authority: beside the old one, then its certificates, then alone.
    secured.public_authority.sign(secured.public)
    old, new = secured.internal_authority.certificate.read_bytes(), Authority(folder, "internal-2")
    for times, change in enumerate((lambda: (secured.internal / "ca.crt").write_bytes(old + new.certificate.read_bytes()),
                                    lambda: new.sign(secured.internal, "DNS:swiftlet", beside=old),
                                    lambda: (secured.internal / "ca.crt").write_bytes(new.certificate.read_bytes())), 1):
        change()
        for port in (admin, secured.worker_admin_ports[0], secured.tokenizer_admin_ports[0]):
            wait_until(lambda: metric(port, "swiftlet_tls_file_readings_total", use="internal", result="taken") >= times,
                       what=f"the new files are read, change {times}")
    secured.internal_authority = new
    wait_until(lambda: serial(secured.port, secured.context()) != before, what="the new certificate is shown")
    kept.request("GET", "/livez")
    assert kept.getresponse().status == 200, "a connection from before"
    kept.close()
    over.set()
    streams = seen.join(120)
    whole = (message.get("reasoning_content") or "") + (message["content"] or "")
    cut = [(number, status, stream[-600:]) for number, (status, stream) in enumerate(streams) if status != 200 or text_of(stream) != whole]
    assert not cut, (len(streams), cut)
    # What connects now speaks under the new authority: the tokenizer's client does, and a worker that starts again.
    assert ask(secured)[0] == 200
    worker = secured.workers()[0]
    worker.stop()
    again = Program(pathlib.Path(worker.process.args[0]), *worker.process.args[1:], log=worker.log.with_suffix(".again"))
    secured.programs[secured.programs.index(worker)] = again
    again.wait_ready(secured.worker_admin_ports[0])
    wait_until(lambda: ask(secured)[0] == 200, what="the worker that started again is reached")


def test_a_broken_new_certificate_is_not_taken(secured):
    admin = secured.gateway_admin_ports[0]
    before = serial(secured.port, secured.context())
    good = (secured.public / "tls.key").read_bytes()
    for broken in (b"", b"nonsense", (secured.caller / "tls.key").read_bytes()):
        refused = metric(admin, "swiftlet_tls_file_readings_total", use="callers", result="refused")
        (secured.public / "tls.key").write_bytes(broken)
        wait_until(lambda: metric(admin, "swiftlet_tls_file_readings_total", use="callers", result="refused") == refused + 1)
        assert serial(secured.port, secured.context()) == before and ask(secured)[0] == 200
    logged = [line for line in secured.gateways()[0].output().splitlines() if "the certificates stay as they were" in line]
    assert len(logged) == 3 and all("--ssl-keyfile" in line and "tls.key" in line for line in logged)
    (secured.public / "tls.key").write_bytes(good)
    taken = metric(admin, "swiftlet_tls_file_readings_total", use="callers", result="taken")
    wait_until(lambda: metric(admin, "swiftlet_tls_file_readings_total", use="callers", result="taken") == taken + 1)


def test_nonsense_on_every_port_disturbs_no_stream(secured):
    expected = ask(secured, LONG)
    running = Background(lambda: ask(secured, LONG))
    hello = client_hello()
    nonsense = [b"\x00" * 64, b"\xff" * 70_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 70_000,
                hello + hello, hello[:-7] + bytes(7), os.urandom(4096), b"GET / HTTP/1.0\r\n\r\n"]
    ports = [secured.port] + [int(addresses[0].rpartition(":")[2]) for addresses in secured.grpc_addresses.values()]
    for port in ports:
        for data in nonsense:
            with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
                try:
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError as error:  # a reset is an answer too, which shutdown meets as "not connected"
                    if not isinstance(error, ConnectionError) and error.errno != errno.ENOTCONN:
                        raise
    status, stream = running.join(120)
    assert status == 200 and text_of(stream) == text_of(expected[1]) != ""
    assert all(program.running() for program in secured.programs) and ask(secured)[0] == 200


def test_without_authorities_nobody_is_asked_for_a_certificate(secured, binaries, tmp_path):
    ports = [free_port() for _ in range(3)]
    own = Program(binaries / "swiftlet-gateway", "--host", "127.0.0.1", "--port", str(ports[0]), "--grpc-port", str(ports[1]),
                  "--admin-port", str(ports[2]), *flags("ssl", secured.public)[:4], log=tmp_path / "log")
    try:
        wait_until(lambda: "listening" in own.output(), 60)
        assert serial(ports[0], secured.context())
        assert isinstance(call(f"127.0.0.1:{ports[1]}", HEALTH, credentials(secured.public_authority, None)), bytes)
        assert call(f"127.0.0.1:{ports[1]}", HEALTH, None) == grpc.StatusCode.UNAVAILABLE
    finally:
        own.stop()


def test_http_callers_can_be_asked_for_certificates(secured, binaries, tmp_path):
    ports = [free_port() for _ in range(3)]
    own = Program(binaries / "swiftlet-gateway", "--host", "127.0.0.1", "--port", str(ports[0]), "--grpc-port", str(ports[1]),
                  "--admin-port", str(ports[2]), "--ssl-cert-reqs", "2", *flags("ssl", secured.public), log=tmp_path / "log")
    try:
        wait_until(lambda: "listening" in own.output(), 60)
        assert serial(ports[0], secured.context(secured.caller))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = secured.context()
            context.maximum_version = version
            with pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection(("127.0.0.1", ports[0])) as raw, \
                    context.wrap_socket(raw, server_hostname="localhost") as wrapped:
                wrapped.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                assert wrapped.recv(4096), "closed without an alert"
        # An idle connection under TLS is small.
        def connect() -> ssl.SSLSocket:
            wrapped = secured.context(secured.caller).wrap_socket(socket.create_connection(("127.0.0.1", ports[0])), server_hostname="localhost")
            wrapped.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"alive" in wrapped.recv(4096)
            return wrapped

        warm = [connect() for _ in range(50)]
        before = own.resident_bytes()
        idle = [connect() for _ in range(300)]
        each_kib = (own.resident_bytes() - before) / 1024 / len(idle)
        print(f"an idle connection under TLS: {each_kib:.1f} KiB")
        if not is_sanitized(binaries):
            assert each_kib <= 40
        for connection in warm + idle:
            connection.close()
    finally:
        own.stop()


@pytest.mark.parametrize("program", ["gateway", "tokenizer", "worker"])
def test_files_that_cannot_be_used_end_a_program_with_one_line(secured, binaries, checkpoint, tmp_path, program):
    prefix = "ssl" if program == "gateway" else "internal-ssl"
    good, other = secured.public_authority.sign(tmp_path / "good"), secured.public_authority.sign(tmp_path / "other")
    old = secured.public_authority.sign(tmp_path / "expired", days=-1)
    needed = ("--port", str(free_port()), "--admin-port", str(free_port()))
    needed += ("--grpc-port", str(free_port())) if program == "gateway" else ("--model", str(checkpoint))

    def ends_with(certificate, key, *more) -> str:
        ended = subprocess.run([binaries / f"swiftlet-{program}", *needed, f"--{prefix}-certfile", certificate, f"--{prefix}-keyfile", key,
                                *more], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 78, ended.stderr
        return ended.stderr.splitlines()[-1]

    authorities = (f"--{prefix}-ca-certs", good / "ca.crt")
    for certificate, key, flag, path, fault in (
            (tmp_path / "none", good / "tls.key", "certfile", tmp_path / "none", "cannot open"),
            (old / "tls.crt", old / "tls.key", "certfile", old / "tls.crt", "expired on"),
            (good / "tls.crt", other / "tls.key", "keyfile", other / "tls.key", "is not the key of the certificate"),
            (good / "tls.crt", good / "tls.crt", "keyfile", good / "tls.crt", "holds no PEM private key")):
        line = ends_with(certificate, key, *authorities)
        assert line.startswith(f"swiftlet-{program}: --{prefix}-{flag}") and str(path) in line and fault in line, line
    assert f"--{prefix}-keyfile is missing" in ends_with(good / "tls.crt", "")
    if program == "gateway":
        assert "--ssl-ca-certs is missing" in ends_with(good / "tls.crt", good / "tls.key", "--ssl-cert-reqs", "2")
        assert "--internal-ssl-certfile is missing" in ends_with(good / "tls.crt", good / "tls.key", "--internal-ssl-keyfile", "x")
    else:
        assert "--internal-ssl-ca-certs is missing" in ends_with(good / "tls.crt", good / "tls.key")


@pytest.mark.parametrize("program, prefix", [("gateway", "ssl"), ("gateway", "internal-ssl"), ("tokenizer", "internal-ssl"),
                                             ("worker", "internal-ssl")])
def test_files_that_it_may_not_read_end_a_program_with_one_line(secured, binaries, checkpoint, tmp_path, program, prefix):
    folder = secured.public_authority.sign(tmp_path / "guarded")
    needed = ("--model", str(checkpoint)) if program != "gateway" else ()
    for flag, name in (("certfile", "tls.crt"), ("keyfile", "tls.key"), ("ca-certs", "ca.crt")):
        rights = (folder / name).stat().st_mode
        (folder / name).chmod(0)
        ended = subprocess.run([*bound_by_rights(binaries / f"swiftlet-{program}"), "--log-level=error", "--port=0", "--admin-port=0",
                                *needed, *flags(prefix, folder)], capture_output=True, text=True, timeout=60)
        (folder / name).chmod(rights)
        assert ended.returncode == 78, ended.stderr
        assert ended.stderr.splitlines() == [
            f"swiftlet-{program}: --{prefix}-{flag}: cannot open {folder / name}: Permission denied"], ended.stderr


def test_a_certificate_that_may_not_be_read_any_more_stays_in_use(secured, binaries, tmp_path):
    folder = secured.public_authority.sign(tmp_path / "guarded")
    port, admin = free_port(), free_port()
    own = Program(*bound_by_rights(binaries / "swiftlet-gateway"), "--host", "127.0.0.1", "--port", str(port), "--grpc-port=0",
                  "--admin-port", str(admin), *flags("ssl", folder), log=tmp_path / "log")
    try:
        wait_until(lambda: "listening" in own.output(), 60)
        before, key = serial(port, secured.context()), folder / "tls.key"

        def read_again(result: str) -> float:
            return metric(admin, "swiftlet_tls_file_readings_total", use="callers", result=result)

        key.chmod(0)
        wait_until(lambda: read_again("refused") == 1, what="the rights are noticed")
        assert serial(port, secured.context()) == before
        why = [line for line in own.output().splitlines() if "the certificates stay as they were" in line]
        assert len(why) == 1 and "--ssl-keyfile" in why[0] and str(key) in why[0] and "Permission denied" in why[0], why
        secured.public_authority.sign(folder)  # a new one, readable
        wait_until(lambda: serial(port, secured.context()) != before, what="the new certificate is shown")
        assert read_again("refused") == 1
    finally:
        own.stop()


def test_a_handshake_that_is_never_finished_is_cut_off(silent):
    begun, opened = silent
    left = dict(opened)
    deadline = max(begun + 20, time.monotonic() + 5)
    while left and time.monotonic() < deadline:
        for key, connection in list(left.items()):
            if select.select([connection], [], [], 0.05)[0]:
                try:
                    data = connection.recv(4096)
                except ConnectionError:
                    data = b""
                if not data:
                    left.pop(key).close()
    assert not left, f"still open after {time.monotonic() - begun:.0f} s: {list(left)}"


@pytest.mark.parametrize("endpoint", ["chat", "grpc"])
def test_bench_shows_and_checks_certificates(secured, binaries, tmp_path, endpoint):
    address = secured.grpc_addresses["gateway"][0] if endpoint == "grpc" else f"127.0.0.1:{secured.port}"
    bench = [binaries / "swiftlet", "bench", "--quiet", "--url", f"https://{address}", "--endpoint", endpoint, "--requests", "4", "--input-tokens", "8",
             "--output-tokens", "8"]
    ours = ["--ssl-certfile", secured.caller / "tls.crt", "--ssl-keyfile", secured.caller / "tls.key"]
    trusting = [*bench, *ours, "--ssl-ca-certs", secured.public_authority.certificate]
    ended = subprocess.run(trusting, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0 and "  completed                      4" in ended.stdout, ended
    for refused in ([*bench, *ours], [*trusting, "--ssl-server-name", "elsewhere"]):  # an authority not known, a wrong name
        ended = subprocess.run(refused, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 69 and ended.stderr.count("\n") == 1, ended
