"""Section G: load, memory, logs. The short forms keep the shape and cut the size."""

import json
import socket
import time

from doors import GOOD, Connection, chat, completions, head_of, http, merged
from processes import Cluster, get
from scripts import KEYS, Service, at_once, script

KEY = {"Authorization": f"Bearer {KEYS[0]}"}


@script
def overload(service: Service) -> None:
    """The second gateway takes eight at a time: 80 and more are ten times that."""
    before = service.keyed.resident_bytes()
    body = merged(GOOD["chat"], dict(max_tokens=40, ignore_eos=True))
    end = time.monotonic() + (600 if service.full else 2)
    answers = []
    while True:
        answers += at_once(80, lambda _: http(service.keyed_port, "chat", body, headers=KEY))
        if time.monotonic() > end:
            break
    assert {answer.status for answer in answers} <= {200, 429}, {answer.status for answer in answers}
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert len({answer.json()["choices"][0]["message"].get("content") for answer in answers if answer.status == 200}) == 1
    assert service.keyed.resident_bytes() - before < 256 << 20
    service.notes.append(f"case 122: {len(answers) - len(refused)} served, {len(refused)} refused, none else")


@script
def too_little_kv(service: Service) -> None:
    small = Cluster(service.binaries, service.checkpoint, service.logs / "small", worker_flags=("--kv-cache-memory-bytes", str(16 << 20)))
    try:
        count, length = (64, 1500) if service.full else (24, 200)
        body = dict(messages=[dict(role="user", content="Tell me a story.")], max_tokens=length, ignore_eos=True)
        alone = chat(small.port, **body).json()["choices"]
        answers = at_once(count, lambda _: chat(small.port, **body))
        assert all(answer.status == 200 and answer.json()["choices"] == alone for answer in answers), answers[0]
        small.wait_idle()
    finally:
        small.stop()


@script
def full_gateway(service: Service) -> None:
    body = merged(GOOD["chat"], dict(max_tokens=200, ignore_eos=True))
    refused = [answer for answer in at_once(40, lambda _: http(service.keyed_port, "chat", body, headers=KEY)) if answer.status == 429]
    assert refused
    for answer in refused:
        assert 1 <= int(answer.headers["retry-after"]) <= 30 and int(answer.headers["retry-after-ms"]) > 0, answer.headers
        assert answer.seconds < 5
    assert len({answer.headers["retry-after-ms"] for answer in refused}) > 1, "not spread"


@script
def unread_streams(service: Service) -> None:
    count = 1000 if service.full else 40
    before = service.gateway.resident_bytes()
    body = json.dumps(merged(GOOD["chat"], dict(max_tokens=200, ignore_eos=True, stream=True))).encode()
    connections = [Connection(service.port, receive_buffer=1024 if place % 10 else None) for place in range(count)]
    for connection in connections:
        connection.send(head_of("POST", "/v1/chat/completions", len(body), {}) + body)
    for connection in connections[::10]:
        answer = connection.answer()
        assert answer.status == 200 and answer.events()
    grown = service.gateway.resident_bytes() - before
    assert grown < count * (320 << 10) + (16 << 20), grown
    for connection in connections:
        connection.socket.close()


@script
def large_prompt_logprobs(service: Service) -> None:
    answer = completions(service.port, prompt=[5] * 2000, prompt_logprobs=1280, max_tokens=1)
    assert answer.status == 400 and answer.error["param"] == "prompt_logprobs", answer
    assert completions(service.port, prompt=[5] * 50, prompt_logprobs=1, max_tokens=1).status == 200


@script
def scrapes(service: Service) -> None:
    admin = service.cluster.gateway_admin_ports[0]
    start = time.monotonic()
    for _ in range(2000 if service.full else 100):
        assert get(admin, "/metrics")[0] == 200
        assert http(service.port, "/v1/models", method="GET").status == 200
    assert chat(service.port).status == 200
    service.notes.append(f"case 128: {2000 if service.full else 100} scrapes in {time.monotonic() - start:.1f} s beside the streams")


@script
def bad_request_logs(service: Service) -> None:
    count = 10_000 if service.full else 1_000

    def refusals() -> int:  # not the lines of the streams beside it: a line of each is their due
        return service.gateway.output().count(" http_status=400 ")

    before, start = refusals(), time.monotonic()
    bad = b'{"model":"demo"'
    with Connection(service.port) as connection:
        request = head_of("POST", "/v1/chat/completions", len(bad), {}) + bad
        for _ in range(count):
            connection.send(request)
            assert connection.answer().status == 400
    seconds = time.monotonic() - start
    lines = refusals() - before
    assert 0 < lines <= 100 * max(seconds, 1), f"{lines} lines in {seconds:.1f} s"
    service.notes.append(f"case 129: {count / seconds:.0f} bad requests a second, {lines} lines logged")


@script
def no_fetch(service: Service) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.3)
        port = listener.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/x.png", "http://169.254.169.254/latest", "file:///etc/passwd", f"http://[::ffff:127.0.0.1]:{port}/", f"http://2130706433:{port}/",
                    "data:image/png;base64,AAAA"):
            for part in (dict(type="image_url", image_url=dict(url=url)), dict(type="image_url", image_url=url), dict(type="input_audio", input_audio=url)):
                answer = chat(service.port, messages=[dict(role="user", content=[part])])
                assert answer.status == 400 and answer.error["param"].startswith("messages[0].content[0]"), answer
            text = chat(service.port, messages=[dict(role="user", content=f"![x]({url})")])
            assert text.status == 200
        try:
            listener.accept()
            raise AssertionError("something was fetched")
        except TimeoutError:
            pass


@script
def all_try_again(service: Service) -> None:
    """Callers who do as Retry-After says are all served, without asking over and over."""
    count = 1000 if service.full else 80
    attempts = []

    def ask(_):
        for attempt in range(1, 100):
            answer = http(service.keyed_port, "chat", GOOD["chat"], headers=KEY)
            if answer.status == 200:
                attempts.append(attempt)
                return answer
            assert answer.status == 429, answer
            time.sleep(int(answer.headers["retry-after-ms"]) / 1000)
        raise AssertionError("refused a hundred times")

    at_once(count, ask)
    assert sum(attempts) <= 6 * count, f"{sum(attempts)} requests of {count} callers"
    service.notes.append(f"case 125: {count} callers, {sum(attempts)} requests")
