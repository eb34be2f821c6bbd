"""`swiftlet bench` against the real service, against servers that do wrong, and beside a second, independent measurement."""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

import pytest

import independent_client
from independent_client import Answer, Times
from processes import Program, free_port, wait_until
from terminal import Terminal


def bench(binaries: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([binaries / "swiftlet", "bench", "--quiet", *map(str, flags)], capture_output=True, text=True, timeout=60)


def measured(binaries: pathlib.Path, tmp_path: pathlib.Path, *flags: str) -> dict:
    ended = bench(binaries, "--json", str(tmp_path / "bench.json"), *flags)
    assert (tmp_path / "bench.json").exists(), ended.stderr
    return json.loads((tmp_path / "bench.json").read_text() or "{}") | {"status": ended.returncode, "text": ended.stdout + ended.stderr}


@pytest.mark.parametrize("route", [("chat",), ("completions",), ("completions", "--prompts", "text"), ("grpc",), ("grpc", "--prompts", "text")], ids=" ".join)
@pytest.mark.parametrize("load", [("--concurrency", "4"), ("--rate", "40", "--burst", "2")], ids=["closed", "open"])
def test_every_route_counts_every_token(cluster, binaries, tmp_path, route, load):
    address = cluster.grpc_addresses["gateway"][0] if route[0] == "grpc" else f"127.0.0.1:{cluster.port}"
    result = measured(binaries, tmp_path, "--url", f"http://{address}", "--requests", "20", "--warmup", "2", "--input-tokens", "lognormal:mean=12,sigma=0.5,max=40",
                      "--output-tokens", "8:16", "--goodput", "e2e:100s", "--endpoint", *route, *load)
    assert result["status"] == 0, result["text"]
    assert (result["completed"], result["failed"], result["refused"], result["good"]) == (20, 0, 0, 20)
    assert 160 <= result["output_tokens_total"] <= 320 and result["prompt_tokens_total"] >= 20
    for kind in ("time_to_first_token", "end_to_end"):
        assert result[kind]["count"] == 20
        assert 0 < result[kind]["p50_ms"] <= result[kind]["p99.9_ms"] <= result[kind]["max_ms"] * 1.001
    assert result["send_lateness"]["count"] == (20 if load[0] == "--rate" else 0)
    assert result["model"] == "demo" and result["machine"]["cores"] >= 1 and result["command"].startswith("swiftlet bench")


def test_sweep_writes_a_table_and_a_picture(cluster, binaries, tmp_path):
    result = measured(binaries, tmp_path, "--url", f"http://127.0.0.1:{cluster.port}", "--sweep", "concurrency:1,4", "--requests", "8", "--input-tokens", "8",
                      "--output-tokens", "8", "--plot", tmp_path / "sweep.svg")
    assert result["status"] == 0, result["text"]
    assert [point["concurrency"] for point in result["points"]] == [1, 4] and all(point["completed"] == 8 for point in result["points"])
    assert sum(line.split()[:1] in (["1"], ["4"]) for line in result["text"].splitlines()) == 2
    svg = (tmp_path / "sweep.svg").read_text()
    assert xml.etree.ElementTree.fromstring(svg).tag.endswith("svg") and "href" not in svg and len(svg) < 40_000


def test_dataset_is_sent(cluster, binaries, tmp_path):
    lines = [{"prompt": "What is 1 + 1?", "output_tokens": 3}, {"messages": [{"role": "user", "content": "What is 2 + 2?"}], "output_tokens": 5}]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = measured(binaries, tmp_path, "--url", f"http://127.0.0.1:{cluster.port}", "--dataset", tmp_path / "data.jsonl", "--requests", "4")
    assert result["status"] == 0 and result["output_tokens_total"] == 16, result["text"]


def test_wrong_use_is_one_line(cluster, binaries, tmp_path):
    url = f"http://127.0.0.1:{cluster.port}"
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n{"prompt": 1}\n')
    for flags, status, line in [(["--url", url, "--model", "dem"], 64, 'did you mean demo?'),
                                (["--url", url, "--dataset", tmp_path / "bad.jsonl"], 64, "bad.jsonl: line 2: "),
                                (["--url", url, "--dataset", tmp_path / "none"], 64, "none"),
                                (["--url", url, "--json", tmp_path / "no" / "file"], 64, "--json"),
                                (["--url", f"https://127.0.0.1:{cluster.port}"], 69, "TLS with"),
                                (["--url", "https://a", "--ssl-ca-certs", tmp_path / "none"], 64, "--ssl-ca-certs"),
                                (["--url", f"http://127.0.0.1:{free_port()}"], 69, "cannot connect"),
                                (["--url", f"http://127.0.0.1:{free_port()}", "--endpoint", "grpc"], 69, "UNAVAILABLE"),
                                (["--url", "http://no-such-host.invalid"], 69, "cannot resolve"),
                                (["--url", url, "--endpoint", "grpc", "--api-key", "k\u00e9y"], 64, "--api-key: a key is"),
                                (["--ratte", "3"], 64, "did you mean --rate?")]:
        ended = bench(binaries, *flags)
        assert ended.returncode == status and ended.stdout == "" and ended.stderr.startswith("swiftlet bench: "), (flags, ended)
        assert line in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr


EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
END = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'


def plain(status: str, body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Listening:
    """A server on a thread of its own, of connections that `_serve` has."""

    def __init__(self):
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port, self._loop, self._end = server.sockets[0].getsockname()[1], asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._end.wait()

    def __enter__(self):
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


class Scripted(Listening):
    """A server that answers every POST by `answer`, bytes or a coroutine of (reader, writer); /v1/models is there."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    async def _serve(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = [int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length:")]
                await reader.readexactly(length[0] if length else 0)
                if head.startswith("GET"):
                    writer.write(plain("200 OK", b'{"data":[{"id":"m"}]}'))
                elif callable(self.answer):
                    await self.answer(reader, writer)
                else:
                    writer.write(self.answer)
                await writer.drain()
                if head.startswith("POST"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


async def hang(reader, writer):
    writer.write(STREAM + EVENT)
    await writer.drain()
    await reader.read()


@pytest.mark.parametrize("answer, counted, said", [
    (plain("503 Busy", b'{"error":{"message":"not now"}}'), "503", "not now"),
    (plain("500 Oops", b"<html>"), "500", "<html>"),
    (plain("500 Oops", b"\x1b]0;owned\x07\nf\xfcr"), "500", "\u241b]0;owned\u2407 f\ufffdr"),
    (plain("200 OK", b'{"choices":[]}'), "not a stream", "text/event-stream"),
    (STREAM + EVENT, "broken stream", "[DONE]"),
    (STREAM.replace(b"Connection: close", b"Transfer-Encoding: chunked") + b"ff\r\n" + EVENT, "broken stream", "closed the connection within"),
    (STREAM + b"data: {not json}\n\n" + END, "broken stream", "no JSON"),
    (STREAM + EVENT + b'data: {"error":{"message":"the worker is gone"}}\n\n', "error in the stream", "the worker is gone"),
    (b"", "broken stream", "without an answer"),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP", ""),
    (hang, "timeout", "0.5 s"),
], ids=["503", "500", "500 that would act", "no stream", "no end", "cut", "no JSON", "error event", "closed", "no HTTP", "hang"])
def test_failures_are_counted_and_explained(binaries, tmp_path, answer, counted, said):
    with Scripted(answer) as server:
        result = measured(binaries, tmp_path, "--url", f"http://127.0.0.1:{server.port}", "--requests", "3", "--concurrency", "3", "--timeout", "0.5")
    assert result["status"] == 1 and result["completed"] == 0 and result["failed"] == 3, result["text"]
    assert result["failures"].keys() == {counted} and result["failures"][counted]["count"] == 3, result["failures"]
    assert said in result["failures"][counted]["example"] and f"failed x3: {counted}" in result["text"]


def test_refusals_are_counted_apart(binaries, tmp_path):
    with Scripted(plain("429 Too Many", b'{"error":{"message":"later"}}')) as server:
        result = measured(binaries, tmp_path, "--url", f"http://127.0.0.1:{server.port}", "--requests", "4", "--rate", "100")
    assert (result["refused"], result["failed"], result["status"]) == (4, 0, 1), result["text"]
    assert "refused x4: later" in result["text"]


def test_interrupt_prints_what_was_measured(binaries, tmp_path):
    asked = []

    async def some_answers(reader, writer):
        asked.append(1)
        if len(asked) > 3:
            await hang(reader, writer)
        writer.write(STREAM + EVENT + EVENT + END)

    with Scripted(some_answers) as server:
        process = subprocess.Popen([binaries / "swiftlet", "bench", "--quiet", "--url", f"http://127.0.0.1:{server.port}", "--concurrency", "2", "--json", tmp_path / "i.json"],
                                   stdout=subprocess.PIPE, text=True)
        wait_until(lambda: len(asked) == 5, what="streams hang")
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=20)[0]
    result = json.loads((tmp_path / "i.json").read_text())
    assert result["interrupted"] and result["completed"] >= 1 and result["cut_off"] == 2 and "interrupted: 2 requests" in text, text


def test_last_results_stay_until_there_are_new_ones(binaries, tmp_path):
    (tmp_path / "kept.json").write_text("{}")
    ended = bench(binaries, "--url", f"http://127.0.0.1:{free_port()}", "--json", tmp_path / "kept.json")
    assert ended.returncode == 69 and (tmp_path / "kept.json").read_text() == "{}", ended


def test_live_line_fits_the_terminal(binaries):
    with Scripted(hang) as server, Terminal(binaries / "swiftlet", "bench", "--url", f"http://127.0.0.1:{server.port}", "--concurrency", "2", columns=30) as terminal:
        terminal.wait_for(" begun, ")
        terminal.interrupt()
        assert terminal.wait() == 1
        lines = [line.partition(b"\x1b[K")[0] for line in terminal.raw.split(b"\r") if b" begun, " in line]
    assert lines and all(len(line) < 30 for line in lines), lines


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def paced(binaries: pathlib.Path):
    """Its port: a server that computes nothing, whose answer n takes the same times whoever asks."""
    port = free_port()
    server = Program(binaries / "event_server", "--port", str(port), "--first-us", "300000", "--step-us", "40000", "--sigma", "0.4", log=pathlib.Path(os.devnull))
    try:
        wait_until(lambda: server.running() and listens(port), what="event_server listens")
        yield port
    finally:
        server.stop()


class Tap(Listening):
    """Between `swiftlet bench` and a server: hands everything on, and takes the times of the same answers as they pass."""

    def __init__(self, port: int):
        super().__init__()
        self.times, self._server_port = Times(), port

    async def _serve(self, reader, writer):
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        answer = None

        async def ask():
            nonlocal answer
            while data := await reader.read(1 << 16):
                answer = Answer(time.perf_counter())  # one request at a time on a connection
                to_server.write(data)
            to_server.close()

        async def tell():
            rest = b""
            while data := await from_server.read(1 << 16):
                now = time.perf_counter()
                writer.write(data)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    answer.take(line.decode(), now)
                    if line == b"data: [DONE]":
                        answer.end(now, self.times)
            writer.close()

        await asyncio.gather(ask(), tell(), return_exceptions=True)


@pytest.mark.parametrize("load", [("--concurrency", "8"), ("--rate", "16")], ids=["closed", "open"])
def test_percentiles_are_those_that_another_sees_of_the_same_answers(binaries, tmp_path, load):
    """On a machine as busy as it may be: both see the same delays, and few events. docs/benchmarks.md has the long run of two clients."""
    with paced(binaries) as port, Tap(port) as tap:
        result = measured(binaries, tmp_path, "--url", f"http://127.0.0.1:{tap.port}", "--output-tokens", "20", "--requests", "24", *load)
    assert result["failed"] == 0 and result["completed"] == 24, result["text"]
    assert len(tap.times.ms["end_to_end"]) == 24 and len(tap.times.ms["inter_token"]) == 24 * 19
    # The way to the tap takes its time where all must share the cores.
    for kind, bound in (("inter_token", 0.1), ("time_per_output_token", 0.1), ("time_to_first_token", 0.3), ("end_to_end", 0.15)):
        assert result[kind]["p50_ms"] == pytest.approx(tap.times.percentile(kind, 50), rel=bound), kind


def test_independent_client_measures_every_request(binaries):
    program = pathlib.Path(independent_client.__file__)
    for load in (["--concurrency", "2"], ["--rate", "20"]):
        with paced(binaries) as port:
            ended = subprocess.run([sys.executable, program, f"http://127.0.0.1:{port}/v1/chat/completions", "--requests", "4", "--output-tokens", "5", *load],
                                   capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
        figures = json.loads(ended.stdout)
        assert 0 < figures["inter_token"]["p50_ms"] < figures["time_to_first_token"]["p50_ms"] < figures["end_to_end"]["p50_ms"], figures
