"""The keys file: who may call, what each may use, read again while the service runs, and no key in any log or metric."""

import json
import subprocess

import pytest

from processes import Background, Cluster, exchange, free_port, metric, wait_until
from test_grpc import curl

SEARCH, BATCH, LATER = "sk-search-0123456789abcdef", "sk-batch-0123456789abcdef", "sk-later-0123456789abcdef"
BODY = {"model": "demo", "messages": [{"role": "user", "content": "What is 478 + 256?"}], "temperature": 0}
LONG = BODY | {"max_tokens": 700, "ignore_eos": True}


def line(name: str, key: str, **limits: int) -> str:
    return json.dumps({"name": name, "key": key} | limits) + "\n"


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    path.write_text("# who may call\n" + line("search", SEARCH) + line("batch", BATCH, max_requests=1, tokens_per_minute=2000))
    return path


@pytest.fixture(scope="module")
def locked(binaries, checkpoint, keys_file, tmp_path_factory):
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("locked"), gateway_flags=("--api-key-file", str(keys_file)))
    yield running
    running.wait_idle()
    running.stop()
    written = "".join(program.output() for program in running.programs)
    assert not any(key in written for key in (SEARCH, BATCH, LATER)), "a key is in a log"


def ask(port: int, key: str, body: dict = BODY, request_id: str | None = None) -> tuple[int, dict, dict]:
    headers = {"Authorization": f"Bearer {key}"} | ({} if request_id is None else {"X-Request-Id": request_id})
    return exchange(port, "/v1/chat/completions", body, headers)


def test_only_known_keys_are_answered(locked):
    assert ask(locked.port, SEARCH)[0] == 200
    for wrong in ("", "none", SEARCH[:-1], SEARCH + "x", LATER):
        status, headers, answer = ask(locked.port, wrong)
        assert status == 401 and headers["www-authenticate"] == "Bearer"
        assert answer["error"]["code"] == "invalid_api_key"
    address = locked.grpc_addresses["gateway"][0] + "/swiftlet.v1.InferenceService/ListModels"
    assert "unauthenticated" in curl(address, "--data", "{}").stderr
    assert "demo" in curl(address, "--data", "{}", "-H", f"authorization: Bearer {SEARCH}").stdout


def test_limits_hold_for_the_key_alone(locked):
    long = Background(lambda: ask(locked.port, BATCH, LONG))
    wait_until(lambda: metric(locked.gateway_admin_ports[0], "swiftlet_gateway_requests_running") == 1, what="one runs")
    status, headers, answer = ask(locked.port, BATCH)
    assert status == 429 and 1 <= int(headers["retry-after"]) <= 30 and "1 requests at once" in answer["error"]["message"]
    assert ask(locked.port, SEARCH)[0] == 200
    assert long.join(120)[0] == 200
    answers = [ask(locked.port, BATCH, LONG) for _ in range(4)]
    assert answers[0][0] == 200 and answers[-1][0] == 429, answers
    assert "2000 tokens a minute" in answers[-1][2]["error"]["message"]
    assert 1 <= int(answers[-1][1]["retry-after"]) <= 60
    assert ask(locked.port, SEARCH)[0] == 200
    admin = locked.gateway_admin_ports[0]
    assert metric(admin, "swiftlet_gateway_key_refused_total", key="batch") >= 2
    assert metric(admin, "swiftlet_gateway_key_refused_total", key="search") == 0
    assert metric(admin, "swiftlet_gateway_key_tokens_total", key="batch") > 700


def test_the_file_is_read_again_and_a_broken_one_is_not_taken(locked, keys_file):
    admin = locked.gateway_admin_ports[0]
    before = keys_file.read_text()
    refused = metric(admin, "swiftlet_gateway_key_file_readings_total", result="refused")
    keys_file.write_text(before + LATER + "\n")
    wait_until(lambda: metric(admin, "swiftlet_gateway_key_file_readings_total", result="refused") == refused + 1)
    assert ask(locked.port, SEARCH)[0] == 200 and ask(locked.port, LATER)[0] == 401
    assert "line 4 is not one JSON object" in locked.gateways()[0].output()
    replacement = keys_file.with_suffix(".new")
    replacement.write_text(before.replace(line("search", SEARCH), line("search", LATER)))
    replacement.rename(keys_file)
    wait_until(lambda: ask(locked.port, LATER)[0] == 200, what="the new key is known")
    assert ask(locked.port, SEARCH)[0] == 401
    keys_file.write_text(before)
    wait_until(lambda: ask(locked.port, SEARCH)[0] == 200, what="the old key is known again")


def test_request_ids_of_callers_are_echoed_and_logged_and_never_keys(locked):
    slow = Background(lambda: ask(locked.port, SEARCH, LONG, request_id="same"))
    status, headers, answer = ask(locked.port, SEARCH, request_id="same")
    first = slow.join(120)
    assert (status, first[0]) == (200, 200) and headers["x-request-id"] == first[1]["x-request-id"] == "same"
    assert answer["id"] != first[2]["id"] and first[2]["usage"]["completion_tokens"] == 700
    for request_id in ("", "x" * 10_000, "two words"):
        status, headers, _ = ask(locked.port, SEARCH, request_id=request_id)
        assert status == 200 and "x-request-id" not in headers
    output = locked.gateways()[0].output
    wait_until(lambda: answer["id"] in output(), what="the request is logged")
    logged = next(one for one in output().splitlines() if answer["id"] in one)
    assert "caller_id=same" in logged and "key=search" in logged, logged


@pytest.mark.parametrize("content, named", [
    (None, "keys.jsonl"), ("", "has no key"), ("sk-this-is-no-json-line", "line 1 is not one JSON object"),
    (line("a b", SEARCH), 'line 1 needs a "name"'), (line("a", SEARCH, max_requests=0), "max_requests"),
])
def test_a_file_that_cannot_be_taken_at_start_ends_it_with_one_line(binaries, tmp_path, content, named):
    path = tmp_path / "keys.jsonl"
    if content is not None:
        path.write_text(content)
    ended = subprocess.run([binaries / "swiftlet-gateway", "--port", str(free_port()), "--grpc-port", str(free_port()),
                            "--admin-port", str(free_port()), "--api-key-file", path], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 78, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("swiftlet-gateway: --api-key-file") and named in last and "sk-" not in last
