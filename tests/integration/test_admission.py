"""More than the gateway takes is refused at once with the time to come back, and what was accepted ends well."""

import concurrent.futures

import pytest

from processes import Cluster, exchange
from test_grpc import call

BODY = {"model": "demo", "messages": [{"role": "user", "content": "What is 478 + 256?"}], "seed": 3, "temperature": 0}


@pytest.fixture(scope="module")
def narrow(binaries, checkpoint, tmp_path_factory):
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("narrow"),
                      gateway_flags=("--max-requests", "4", "--max-outstanding-tokens", "3000"))
    yield running
    running.wait_idle()
    running.stop()


def ask(port: int, body: dict) -> tuple[int, dict, dict]:
    return exchange(port, "/v1/chat/completions", body)


def check_refusal(headers: dict, answer: dict) -> None:
    assert 1 <= int(headers["retry-after"]) <= 30
    assert 1000 <= int(headers["retry-after-ms"]) <= 30000
    assert int(headers["retry-after"]) == -(-int(headers["retry-after-ms"]) // 1000)
    assert answer["error"]["type"] == "rate_limit_error" and answer["error"]["code"] == "rate_limit_exceeded"


def test_over_the_bound_of_requests_429_with_the_time_to_come_back(narrow):
    expected = ask(narrow.port, BODY)[2]["choices"][0]["message"]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: ask(narrow.port, BODY), range(72)))
    statuses = [status for status, *_ in answers]
    assert set(statuses) == {200, 429}, statuses
    for status, headers, answer in answers:
        if status == 429:
            check_refusal(headers, answer)
        else:
            assert answer["choices"][0]["message"] == expected


def test_over_the_bound_of_tokens(narrow):
    huge = BODY | {"n": 4, "max_tokens": 400, "ignore_eos": True, "temperature": 1}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: ask(narrow.port, huge), range(3)))
    refused = [(headers, answer) for status, headers, answer in answers if status == 429]
    assert [status for status, *_ in answers].count(200) >= 1 and refused
    for headers, answer in refused:
        check_refusal(headers, answer)
        assert "tokens exceed 3000" in answer["error"]["message"]
    narrow.wait_idle()


def test_grpc_tells_the_same(narrow):
    def generate(_):
        return call(narrow.grpc_addresses["gateway"][0], "swiftlet.v1.InferenceService/Chat", {
            "model": "demo", "messages": [{"role": "user", "content": "hi"}],
            "stop": {"maxTokens": 900, "ignoreEos": True}}).stderr

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        errors = [error for error in pool.map(generate, range(10)) if error]
    assert errors and all("resource_exhausted" in error and "google.rpc.RetryInfo" in error for error in errors), errors
    narrow.wait_idle()


def test_a_request_that_is_not_done_in_time_is_told(narrow):
    status, _, answer = ask(narrow.port, BODY | {"max_tokens": 700, "ignore_eos": True, "timeout_ms": 30})
    assert status == 504 and answer["error"]["code"] == "deadline_exceeded", answer
    narrow.wait_idle()
