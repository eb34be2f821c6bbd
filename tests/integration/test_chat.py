"""`swiftlet chat` at a terminal and in a pipeline, against the real service and against a server that says what it should not."""

import json
import pathlib
import ssl
import subprocess
import time

import pytest

from certificates import Authority
from processes import Cluster
from scripted_server import Handler, ScriptedServer
from terminal import Terminal


class Scripted(ScriptedServer):
    """Speaks just enough of the API. `chunks` are the deltas of the next answers, without an end if `broken_off`; `status` refuses."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self.chunks: list[dict] = [{"content": "fine"}]
        self.broken_off = self.stays_open = False
        self.authorization = None
        super().__init__(_Handler, tls)


class _Handler(Handler):
    def refused(self) -> bool:
        status = self.server.status
        if status != 200:
            error = {"error": {"message": f"refused with {status}\x1b[31m\nreally", "code": "x"}}
            self.answer(json.dumps(error).encode(), status=status, Retry_After="7")
        return status != 200

    def do_GET(self):
        self.server.authorization = self.headers["Authorization"]
        if not self.refused():
            self.answer(json.dumps({"data": [{"id": "first"}, {"id": "second"}]}).encode())

    def do_POST(self):
        self.take_body()
        if self.refused():
            return
        self.begin_stream()
        for chunk in self.server.chunks:
            self.event({"choices": [{"index": 0, "delta": chunk}]})
        if self.hold_stream() and not self.server.broken_off:
            self.event({"choices": [], "usage": {"completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 1}}})
            self.wfile.write(b"data: [DONE]\n\n")
        if self.server.stays_open:
            self.server.hung_up.wait(60)


@pytest.fixture
def scripted():
    server = Scripted()
    yield server
    server.stop()


@pytest.fixture
def chat(binaries):
    return lambda *flags, **more: Terminal(binaries / "swiftlet", "chat", *flags, **more)


def piped(binaries: pathlib.Path, text: str, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([binaries / "swiftlet", "chat", *flags], input=text, capture_output=True, text=True, timeout=60)


def end(terminal: Terminal) -> None:
    terminal.wait_for("> ")
    terminal.end_of_input()
    assert terminal.wait() == 0


def test_person_talks_with_the_demo_model(cluster: Cluster, chat):
    with chat("--url", f"http://127.0.0.1:{cluster.port}", "--set", "temperature=0") as terminal:
        terminal.wait_for("> ")
        terminal.line("What is 478 + 256?")
        shown = terminal.wait_for("tokens/s]")
        assert "734" in shown and "of them thinking)" in shown
        assert b"\x1b[2m" in terminal.raw, "the thinking is not dimmed"
        terminal.wait_for("> ")
        terminal.line("/set max_tokens 3")
        terminal.wait_for("temperature 0, max_tokens 3")
        terminal.line("And 1 + 1?")
        terminal.wait_for("cut off")
        terminal.wait_for("> ")
        terminal.line("/set max_tokens 0")
        terminal.line("And 1 + 1?")
        assert "max_tokens" in terminal.wait_for("(HTTP 400)")  # the server's own words name the field
        end(terminal)


def test_interrupt_stops_the_answer_and_not_the_program(scripted, chat):
    scripted.chunks, scripted.hold = [{"reasoning_content": "hm"}, {"content": "partly"}], True
    with chat("--url", scripted.url) as terminal:
        terminal.wait_for("> ")
        terminal.line("one")
        terminal.wait_for("partly")
        terminal.interrupt()
        assert "stopped" in terminal.wait_for("]")
        assert scripted.hung_up.wait(10), "the server is still asked to go on"
        scripted.hold = False
        terminal.wait_for("> ")
        terminal.line("two")
        terminal.wait_for("tokens")
        terminal.wait_for("> ")
        said = [(message["role"], message["content"]) for message in scripted.bodies[-1]["messages"]]
        assert said == [("user", "one"), ("assistant", "partly"), ("user", "two")]  # kept, and without the thinking
        terminal.type("half a line")
        terminal.interrupt()
        terminal.wait_for("Ctrl-C once more")
        terminal.interrupt()
        assert terminal.wait() == 0
        assert len(scripted.bodies) == 2


def test_commands_change_what_is_sent(scripted, chat):
    with chat("--url", scripted.url, "--model", "second", "--system", "Be kind.") as terminal:
        def ask(text: str) -> list:
            terminal.wait_for("> ")
            terminal.line(text)
            terminal.wait_for("tokens")
            return [(message["role"], message["content"]) for message in scripted.bodies[-1]["messages"]]

        def command(text: str, answer: str) -> None:
            terminal.wait_for("> ")
            terminal.line(text)
            terminal.wait_for(answer)

        assert ask("a") == [("system", "Be kind."), ("user", "a")]
        assert scripted.bodies[-1]["model"] == "second"
        command("/reset", "new conversation")
        command("/system Be brief.", "system message")
        command("/set temperature 0.2", "temperature 0.2")
        command("/set temprature 1", "did you mean temperature?")
        command("/rest", "did you mean /reset?")
        command("/help", "Ctrl-C stops an answer")
        assert ask("小明 has\\\rtwo lines") == [("system", "Be brief."), ("user", "小明 has\ntwo lines")]
        assert scripted.bodies[-1]["temperature"] == 0.2
        assert ask("//etc is what?")[-1] == ("user", "/etc is what?")
        terminal.wait_for("> ")
        terminal.line("/exit")
        assert terminal.wait() == 0


def test_escape_sequences_of_the_model_are_shown_not_obeyed(scripted, chat, binaries):
    scripted.chunks = [{"content": "a\x1b]0;owned\x07b\x9b31mc\x08"}]
    with chat("--url", scripted.url, "--color", "never") as terminal:
        terminal.wait_for("> ")
        terminal.line("x")
        terminal.wait_for("a␛]0;owned␇b<U+009B>31mc␈")
        assert b"\x1b]0" not in terminal.raw and b"\x07" not in terminal.raw
        end(terminal)


def test_pipeline_gets_the_answers_alone(scripted, binaries):
    scripted.chunks = [{"reasoning_content": "hm"}, {"content": "fine"}]
    done = piped(binaries, "one\ntwo\n", "--url", scripted.url + "/v1")
    assert (done.returncode, done.stdout) == (0, "fine\nfine\n")
    assert "\x1b" not in done.stderr and "3 tokens (1 of them thinking)" in done.stderr
    scripted.broken_off = True
    done = piped(binaries, "one\ntwo\n", "--url", scripted.url)
    assert (done.returncode, done.stdout, done.stderr) == (1, "fine\n", "swiftlet chat: the answer broke off\n")


def test_answer_is_over_when_the_server_says_so(scripted, binaries):
    scripted.stays_open = True  # a connection that is kept open behind it is nothing to wait for
    begun = time.monotonic()
    done = piped(binaries, "one\ntwo\n", "--url", scripted.url)
    assert (done.returncode, done.stdout) == (0, "fine\nfine\n") and time.monotonic() - begun < 30
    scripted.hung_up.set()


def test_answers_that_cannot_be_written_are_a_failure(scripted, binaries):
    with open("/dev/full", "w") as full:
        done = subprocess.run([binaries / "swiftlet", "chat", "--url", scripted.url], input=b"one\n", stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 74 and done.stderr.endswith(b"swiftlet: standard output cannot be written\n"), done


def test_bytes_that_are_no_utf8_are_shown_as_such_and_enter_still_ends_the_line(scripted, chat):
    with chat("--url", scripted.url) as terminal:
        terminal.wait_for("> ")
        terminal.line("caf\udce9")  # as a terminal of Latin-1 sends it
        terminal.wait_for("tokens")
        assert scripted.bodies[-1]["messages"][-1]["content"] == "caf\ufffd"
        end(terminal)


def test_no_color_is_respected(scripted, chat):
    scripted.chunks = [{"reasoning_content": "hm"}, {"content": "fine"}]
    with chat("--url", scripted.url, environment={"NO_COLOR": "1"}) as terminal:
        terminal.wait_for("> ")
        terminal.line("x")
        terminal.wait_for("tokens")
        assert b"\x1b[2m" not in terminal.raw and "[thinking]" in terminal.plain()
        end(terminal)


@pytest.mark.parametrize("status, exit_code, words", [(401, 77, "--api-key-file"), (429, 69, "try again in 7 s"), (503, 69, "503")])
def test_refusals_are_one_line(scripted, binaries, status, exit_code, words):
    scripted.status = status
    done = piped(binaries, "x\n", "--url", scripted.url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (exit_code, "", 1), done.stderr
    assert f"refused with {status}␛[31m really" in done.stderr and words in done.stderr


@pytest.mark.parametrize("flags, exit_code, words", [
    (["--url", "ftp://x"], 64, "http://HOST:PORT"),
    (["--url", "http://127.0.0.1:1"], 69, "cannot connect to 127.0.0.1:1: Connection refused"),
    (["--urll", "x"], 64, "did you mean --url?"),
    (["--set", "heat=3"], 64, "unknown setting"),
    (["--api-key-file", "/nowhere"], 64, "/nowhere"),
    (["--api-key", "open sesame"], 64, "--api-key: a key is"),
    (["--model", "third"], 64, 'no model "third"; it has first, second'),
])
def test_wrong_flags_are_one_line(scripted, binaries, flags, exit_code, words):
    at = [] if "--url" in flags else ["--url", scripted.url]
    done = piped(binaries, "x\n", *at, *flags)
    assert (done.returncode, done.stderr.count("\n")) == (exit_code, 1), done.stderr
    assert words in done.stderr


def test_key_comes_from_a_file_and_the_server_from_behind_tls(binaries, tmp_path):
    authority = Authority(tmp_path)
    folder = authority.sign(tmp_path / "server", names="IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    secured = Scripted(context)
    try:
        (tmp_path / "key").write_text("sesame\n")
        at = ["--url", secured.url, "--api-key-file", str(tmp_path / "key")]
        done = piped(binaries, "x\n", *at, "--ssl-ca-certs", str(folder / "ca.crt"))
        assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
        assert secured.authorization == "Bearer sesame"
        refused = piped(binaries, "x\n", *at)
        assert refused.returncode == 69 and "issuer" in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
        wrong = piped(binaries, "x\n", "--url", secured.url.replace("127.0.0.1", "localhost"), "--ssl-ca-certs", str(folder / "ca.crt"))
        assert wrong.returncode == 69 and "hostname mismatch" in wrong.stderr.lower(), wrong.stderr
    finally:
        secured.stop()
