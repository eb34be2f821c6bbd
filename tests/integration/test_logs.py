"""Lines of the log and spans of traces, of the real processes: one line a request in each of them, whatever callers send, and
one tree of spans at a collector."""

import http.client
import json
import os
import re
import socket
import subprocess
import time

import pytest

from processes import Cluster, Program, free_port, get, metric, post, wait_until
from scripted_server import Handler, ScriptedServer
from test_grpc import call

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "What is 478 + 256?"}], "temperature": 0, "max_tokens": 40}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Collector(ScriptedServer):
    """What a collector of OTLP over HTTP keeps: spans by id. The first batch is sent away: the gateway has to come back with it."""

    def __init__(self):
        self.spans: dict[str, dict] = {}
        super().__init__(_Handler)

    def of_trace(self, trace_id: str) -> list[dict]:
        return [span for span in list(self.spans.values()) if span["traceId"] == trace_id]


class _Handler(Handler):
    def do_POST(self):
        body = self.take_body()
        if len(self.server.bodies) == 1:
            return self.answer(b"{}", status=503)
        assert self.path == "/v1/traces" and self.headers["content-type"] == "application/json"
        for group in body["resourceSpans"]:
            assert attributes(group["resource"])["service.name"] == "swiftlet-gateway"
            self.server.spans |= {span["spanId"]: span for scope in group["scopeSpans"] for span in scope["spans"]}
        self.answer(b"{}")


def attributes(of: dict) -> dict:
    def plain(value: dict):
        (kind, inner), = value.items()
        if kind == "arrayValue":
            return [plain(one) for one in inner["values"]]
        return int(inner) if kind == "intValue" else inner

    return {one["key"]: plain(one["value"]) for one in of["attributes"]}


@pytest.fixture(scope="module")
def collector():
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def traced(binaries, checkpoint, tmp_path_factory, collector):
    as_json = ("--log-format", "json")
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("traced"), worker_flags=as_json, tokenizer_flags=as_json,
                      gateway_flags=(*as_json, "--otlp-endpoint", collector.url, "--trace-sample-ratio", "0"))
    yield running
    running.wait_idle()
    running.stop()


def lines(program: Program) -> list[dict]:
    """All of them: every one is JSON."""
    return [json.loads(line) for line in program.log.read_bytes().decode().splitlines()]  # not UTF-8: fails


def requests(program: Program, **wanted) -> list[dict]:
    return [line for line in lines(program) if line["message"] == "request" and all(line.get(key) == value for key, value in wanted.items())]


def line_of(program: Program, **wanted) -> dict:
    wait_until(lambda: requests(program, **wanted), what=f"{program.name} has a line with {wanted}")
    line, = requests(program, **wanted)
    return line


def test_a_request_has_a_line_in_every_process_and_one_tree_of_spans(traced, collector):
    before = time.time_ns()
    headers = {"traceparent": TRACEPARENT, "tracestate": "a=1, b=2", "x-request-id": "mine"}
    status, answer = post(traced.port, "/v1/chat/completions", CHAT, headers)
    assert status == 200
    gateway, worker, tokenizer = (line_of(program, trace_id=TRACE) for program in
                                  (traced.gateways()[0], traced.workers()[0], next(p for p in traced.programs if "tokenizer" in p.name)))
    usage = answer["usage"]
    assert gateway["id"] == answer["id"] and gateway["caller_id"] == "mine" and gateway["parent_span_id"] == PARENT
    assert (gateway["method"], gateway["route"], gateway["http_status"]) == ("POST", "/v1/chat/completions", 200)
    assert gateway["prompt_tokens"] == usage["prompt_tokens"] == worker["prompt_tokens"] == tokenizer["tokens"]
    assert gateway["generated_tokens"] == usage["completion_tokens"] == worker["generated_tokens"]
    assert gateway["finish"] == answer["choices"][0]["finish_reason"] == worker["finish"]
    assert 0 < gateway["encode_us"] < gateway["first_token_us"] < gateway["total_us"] and gateway["decode_us"] > 0
    assert gateway["request_bytes"] == len(json.dumps(CHAT)) and gateway["response_bytes"] > len(json.dumps(answer)) / 2
    assert gateway["worker"].startswith("worker-") and worker["span_id"] == gateway["span_id"]
    assert not any("What is" in program.output() for program in traced.programs), "the text of a prompt is in a log"

    wait_until(lambda: len(collector.of_trace(TRACE)) == 5, what="the collector has the trace")
    spans = {span["name"]: span for span in collector.of_trace(TRACE)}
    assert set(spans) == {"chat demo", "tokenize", "queue", "prefill", "decode"}
    root = spans.pop("chat demo")
    assert (root["spanId"], root["parentSpanId"], root["traceState"]) == (gateway["span_id"], PARENT, "a=1,b=2")
    assert tokenizer["span_id"] == spans["tokenize"]["spanId"]
    edges = [int(root["startTimeUnixNano"])]
    for name in ("tokenize", "queue", "prefill", "decode"):
        span = spans[name]
        assert span["parentSpanId"] == root["spanId"] and "status" not in span
        edges += [int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])]
    edges.append(int(root["endTimeUnixNano"]))
    assert edges == sorted(edges) and before <= edges[0] and edges[-1] <= time.time_ns(), edges
    told = attributes(root)
    assert told["gen_ai.operation.name"] == "chat" and told["gen_ai.request.model"] == "demo" and told["gen_ai.response.id"] == answer["id"]
    assert told["gen_ai.usage.input_tokens"] == usage["prompt_tokens"] and told["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert told["gen_ai.response.finish_reasons"] == [gateway["finish"]] and told["gen_ai.request.max_tokens"] == 40
    assert told["http.response.status_code"] == 200 and told["http.route"] == "/v1/chat/completions"


def test_grpc_callers_are_traced_by_their_metadata(traced, collector):
    trace = TRACE[::-1]
    address = traced.grpc_addresses["gateway"][0]
    body = {"model": "demo", "messages": CHAT["messages"], "stop": {"maxTokens": 8}}
    ended = call(f"{address}", "swiftlet.v1.InferenceService/ChatOnce", body, "-H", f"traceparent: 00-{trace}-{PARENT}-01")
    assert ended.returncode == 0, ended.stderr
    line = line_of(traced.gateways()[0], trace_id=trace)
    assert (line["door"], line["method"], line["grpc_code"]) == ("grpc", "ChatOnce", "OK") and line["response_bytes"] > 0
    wait_until(lambda: len(collector.of_trace(trace)) == 5, what="the collector has the trace")
    root, = (span for span in collector.of_trace(trace) if span.get("parentSpanId") == PARENT)
    assert attributes(root)["rpc.method"] == "ChatOnce" and attributes(root)["rpc.grpc.status_code"] == 0


def test_what_is_not_sampled_has_lines_and_no_spans(traced, collector):
    for index, header in enumerate((f"00-{TRACE[1:]}f-{PARENT}-00", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", "nonsense")):
        assert post(traced.port, "/v1/chat/completions", CHAT | {"max_tokens": 1}, {"traceparent": header, "x-request-id": f"u{index}"})[0] == 200
        line = line_of(traced.gateways()[0], caller_id=f"u{index}")
        assert (line["trace_id"] == header[3:35]) == (index == 0)
        assert re.fullmatch("[0-9a-f]{32}", line["trace_id"]) and not collector.of_trace(line["trace_id"])


def test_refused_requests_have_a_line_each_until_they_are_a_flood(traced):
    gateway = traced.gateways()[0]
    for path, status, error in (("/v1/nothing", 404, "unknown_url"), ("/v1/chat/completions", 400, None)):
        assert post(traced.port, path, {"model": "demo"}, {"x-request-id": f"refused{status}"})[0] == status
        line = line_of(gateway, caller_id=f"refused{status}")
        assert line["http_status"] == status and (error is None or line["error"] == error), line
    admin = traced.gateway_admin_ports[0]
    written = len(requests(gateway))
    left_out = metric(admin, "swiftlet_gateway_request_lines_left_out_total")
    connection = http.client.HTTPConnection("127.0.0.1", traced.port, timeout=20)
    for _ in range(1500):
        connection.request("GET", "/v1/nothing")
        connection.getresponse().read()
    connection.close()
    missing = metric(admin, "swiftlet_gateway_request_lines_left_out_total") - left_out
    assert missing > 0
    wait_until(lambda: len(requests(gateway)) - written + missing == 1500, what="every request is written or counted")


def test_whatever_bytes_callers_send_a_line_is_a_line(traced):
    forged = b'\n{"time":"2026","message":"request","http_status":200}\n'
    heads = [b"GET /" + bytes([byte]) + b"x HTTP/1.1\r\nHost: a\r\n\r\n" for byte in range(256)]
    heads += [b"GET /\xff\xfe\x80%0a HTTP/1.1\r\nHost: a\r\n\r\n", forged, b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\x1b[31m\r\n\r\n"]
    for head in heads:
        with socket.create_connection(("127.0.0.1", traced.port), timeout=20) as connection:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    body = json.dumps(CHAT | {"model": "\x00\x1b\u2028\n\"demo"}).encode()
    assert post(traced.port, "/v1/chat/completions", body)[0] == 404
    for program in traced.programs:
        assert all({"time", "level", "process", "message"} <= set(line) for line in lines(program))


def test_text_is_logged_where_it_is_asked_for_and_no_more_than_that(binaries, checkpoint, tmp_path):
    running = Cluster(binaries, checkpoint, tmp_path, gateway_flags=("--log-format", "json", "--log-request-text-bytes", "16"))
    try:
        assert post(running.port, "/v1/chat/completions", CHAT | {"max_tokens": 300})[0] == 200
        line = line_of(running.gateways()[0], http_status=200)
        assert line["prompt"] == "user: What is 47" and 0 < len(line["answer"].encode()) <= 16
        assert "parent_span_id" not in line
    finally:
        running.stop()


def test_a_log_that_nobody_reads_stops_nobody(binaries):
    port, admin = free_port(), free_port()
    gateway = subprocess.Popen([binaries / "swiftlet-gateway", "--host", "127.0.0.1", "--port", str(port), "--grpc-port", "0",
                                "--admin-port", str(admin), "--log-level", "debug"], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: gateway.poll() is None and answers(port), what="the gateway listens")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            for _ in range(50):  # 10,000 lines: a pipe holds 64 KiB, the queue 8,192 lines
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 200)
                received = b""
                while received.count(b"HTTP/1.1 200") < 200 or not received.endswith(b"}"):
                    received += connection.recv(1 << 16)
        assert metric(admin, "swiftlet_log_lines_lost_total") > 0
    finally:
        gateway.kill()
        gateway.wait()
        gateway.stderr.close()


def answers(port: int) -> bool:
    try:
        return get(port, "/livez")[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("program", ["gateway", "tokenizer", "worker"])
@pytest.mark.parametrize("given, named", [
    (["--admin-prt", "1"], "unknown flag --admin-prt; did you mean --admin-port?"),
    ({"SWIFTLET_ADMIN_PRT": "1"}, "unknown environment variable SWIFTLET_ADMIN_PRT; did you mean SWIFTLET_ADMIN_PORT?"),
    ("log-fromat = 'json'\n", "unknown key log-fromat; did you mean log-format?"),
], ids=["flag", "variable", "key"])
def test_an_unknown_name_is_answered_with_the_nearest(binaries, tmp_path, program, given, named):
    flags = given if isinstance(given, list) else []
    if isinstance(given, str):
        (tmp_path / "c.toml").write_text(given)
        flags = ["--config", str(tmp_path / "c.toml")]
    ended = subprocess.run([binaries / f"swiftlet-{program}", *flags], capture_output=True, text=True, timeout=60,
                           env=os.environ | (given if isinstance(given, dict) else {}))
    assert ended.returncode == 78 and ended.stderr == f"swiftlet-{program}: {named}\n", ended.stderr


@pytest.mark.parametrize("program, flag", [("gateway", "--port"), ("gateway", "--grpc-port"), ("gateway", "--admin-port"),
                                           ("tokenizer", "--port"), ("worker", "--admin-port"), ("worker", "--port")])
def test_a_port_in_use_is_one_line_and_69(binaries, checkpoint, program, flag):
    ports = {"--port": "0", "--admin-port": "0"} | ({"--grpc-port": "0"} if program == "gateway" else {"--model": str(checkpoint)})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[flag] = str(taken.getsockname()[1])
        ended = subprocess.run([binaries / f"swiftlet-{program}", "--host", "127.0.0.1", *(word for pair in ports.items() for word in pair)],
                               capture_output=True, text=True, timeout=60, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    assert ended.returncode == 69 and flag in ended.stderr.splitlines()[-1] and ports[flag] in ended.stderr.splitlines()[-1], ended.stderr


@pytest.mark.parametrize("program, flags, named", [
    ("gateway", ["--ssl-certfile", "/nowhere", "--ssl-keyfile", "/nowhere"], "--ssl-certfile"),
    ("gateway", ["--api-key-file", "/nowhere"], "--api-key-file"),
    ("gateway", ["--otlp-endpoint", "https://collector"], "--otlp-endpoint"),
    ("gateway", ["--trace-sample-ratio", "1.5"], "--trace-sample-ratio"),
    ("gateway", ["--log-request-text-bytes", "-1"], "--log-request-text-bytes"),
    ("gateway", ["--log-format", "xml"], "--log-format"),
    ("tokenizer", ["--model", "/nowhere"], "--model"),
    ("worker", ["--model", "/nowhere"], "--model"),
])
def test_what_cannot_be_taken_at_start_is_one_last_line(binaries, program, flags, named):
    ports = ["--port", "0", "--admin-port", "0"] + (["--grpc-port", "0"] if program == "gateway" else [])
    for form in ("text", "json"):
        given = flags if "--log-format" in flags else ["--log-format", form, *flags]
        ended = subprocess.run([binaries / f"swiftlet-{program}", *ports, *given], capture_output=True, text=True, timeout=60)
        last = ended.stderr.splitlines()[-1]
        assert ended.returncode == 78 and named in last, ended.stderr
        if form == "json" and last.startswith("{"):
            assert json.loads(last)["exit_status"] == 78 and named in json.loads(last)["error"]
        else:
            assert last.startswith(f"swiftlet-{program}: ")


def test_a_gateway_without_workers_says_why_it_is_not_ready(binaries, tmp_path):
    admin, nobody = free_port(), f"127.0.0.1:{free_port()}"
    gateway = Program(binaries / "swiftlet-gateway", "--host", "127.0.0.1", "--port", "0", "--grpc-port", "0", "--admin-port", str(admin),
                      "--tokenizer-endpoints", nobody, "--worker-endpoints", nobody, log=tmp_path / "gateway.log")
    wait_until(lambda: answers(admin) or not gateway.running(), what="the admin port answers")
    status, text = get(admin, "/readyz")
    wait_until(lambda: "listening" in gateway.output(), what="it runs")  # before, SIGTERM ends it at once
    gateway.stop()
    assert status == 503 and json.loads(text)["reason"], text
