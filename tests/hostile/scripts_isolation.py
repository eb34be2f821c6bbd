"""Section F: keys, and what one caller can see or do of another."""

import bisect
import json
import math
import statistics
import threading
import time

import grpc

from doors import GOOD, Connection, Grpc, chat, completions, head_of, http, merged
from processes import get
from scripts import KEYS, Gateway, Service, at_once, own_gateway, script


@script
def no_key(service: Service) -> None:
    answer = http(service.keyed_port, "chat", GOOD["chat"])
    assert answer.status == 401 and answer.error["code"] == "invalid_api_key", answer
    assert answer.headers.get("www-authenticate", "").startswith("Bearer"), answer.headers
    with Connection(service.keyed_port) as connection:  # the body is not waited for
        connection.send(head_of("POST", "/v1/chat/completions", 8 << 20, {}))
        answer = connection.answer()
        assert answer.status == 401 and answer.closed, answer
    with Grpc(service.keyed_grpc) as door:
        assert door.call("Chat", GOOD["Chat"]).code == "UNAUTHENTICATED"
        assert door.call("Chat", GOOD["Chat"], metadata=(("authorization", f"Bearer {KEYS[0]}"),)).code == "OK"


@script
def wrong_keys(service: Service) -> None:
    for value in ("Bearer wrong", "Bearer ", "Bearer", "", KEYS[0], f"Basic {KEYS[0]}", f"Bearer {KEYS[0]} ", f"Bearer  {KEYS[0]}x", "Bearer " + "k" * 10_240,
                  f"Bearer {KEYS[0]}{KEYS[1]}", f"Bearer {KEYS[0][:-1]}"):
        answer = http(service.keyed_port, "/v1/models", method="GET", headers={"Authorization": value})
        assert answer.status == (200 if value.strip() == f"Bearer {KEYS[0]}" else 401), (value[:40], answer)
    with Connection(service.keyed_port) as connection:
        twice = f"Authorization: Bearer wrong\r\nAuthorization: Bearer {KEYS[0]}\r\n"
        connection.send(f"GET /v1/models HTTP/1.1\r\nHost: a\r\n{twice}\r\n".encode())
        assert connection.answer().status == 400
    with Connection(service.keyed_port) as connection:
        connection.send(f"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n {KEYS[0]}\r\n\r\n".encode())
        assert connection.answer().status in (400, 401)
    with Grpc(service.keyed_grpc) as door:
        for value in ("Bearer wrong", "Bearer ", KEYS[0]):
            assert door.call("Chat", GOOD["Chat"], metadata=(("authorization", value),)).code == "UNAUTHENTICATED"


@script
def time_of_wrong_keys(service: Service) -> None:
    near, far = KEYS[0][:-1] + "!", "!" + KEYS[0][1:]
    times: dict[str, list[float]] = {near: [], far: []}
    with Connection(service.keyed_port) as connection:
        requests = {key: head_of("GET", "/v1/models", None, {"Authorization": f"Bearer {key}"}) for key in times}
        for _ in range(50_000 if service.full else 500):
            for key, request in requests.items():
                start = time.perf_counter()
                connection.send(request)
                assert connection.answer().status == 401
                times[key].append(time.perf_counter() - start)
    kept = {key: sorted(values)[:len(values) * 9 // 10] for key, values in times.items()}  # the rest is the scheduler
    a, b = kept[near], kept[far]
    t = (statistics.mean(a) - statistics.mean(b)) / math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
    assert abs(t) < (4.5 if service.full else 8), f"Welch's t is {t:.1f}"
    service.notes.append(f"case 115: Welch's t {t:+.2f} of {len(times[near])} trials each")


@script
def routes_without_a_key(service: Service) -> None:
    for path in ("/livez", "/readyz", "/health"):
        assert http(service.keyed_port, path, method="GET").status == 200, path
    for path in ("/v1/models", "/v1/models/demo", "/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize", "/version", "/openapi.json",
                 "/swiftlet/v1/models", "/v1", "/", "/nothing"):
        for method in ("GET", "POST", "HEAD", "PUT"):
            assert http(service.keyed_port, path, method=method).status == 401, (method, path)
    for path in ("/metrics", "/debug", "/admin", "/abort_requests", "/pause"):
        assert http(service.port, path, method="GET").status == 404, path
    listed = Grpc(service.keyed_grpc)
    with listed as door:
        try:
            door.channel.unary_unary("/swiftlet.v1.InferenceService/ListModels")(b"", timeout=20)
            raise AssertionError("ListModels needs no key")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED


@script
def equal_request_ids(service: Service) -> None:
    expected = chat(service.port, max_tokens=100, ignore_eos=True).json()["choices"]
    for name in ("", "a", "i" * 10_240, "same"):
        answers = []

        def ask() -> None:
            answers.append(http(service.port, "chat", merged(GOOD["chat"], dict(max_tokens=100, ignore_eos=True)), headers={"X-Request-Id": name}))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        aborted = Connection(service.port)  # a third caller of this id goes away
        body = b'{"model":"demo","messages":[{"role":"user","content":"x"}],"max_tokens":500,"ignore_eos":true}'
        aborted.send(head_of("POST", "/v1/chat/completions", len(body), {"X-Request-Id": name}) + body)
        for thread in threads:
            thread.start()
        aborted.socket.close()
        for thread in threads:
            thread.join(60)
        assert [answer.json()["choices"] for answer in answers] == [expected] * 3
        assert len({answer.json()["id"] for answer in answers}) == 3


def equal_distributions(a: list[float], b: list[float]) -> float:
    """The p of the two-sample Kolmogorov-Smirnov test (Smirnov 1948), by its asymptotic distribution."""
    places = sorted(a + b)
    distance = max(abs(bisect.bisect_right(sorted(a), x) / len(a) - bisect.bisect_right(sorted(b), x) / len(b)) for x in places)
    scaled = distance * math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    if scaled < 0.2:
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)))


@script
def salted_prompts(service: Service) -> None:
    """Who did not send a prompt finds nothing of it in the cache: not its count of cached tokens, and so not its time."""
    words = " is one caller's own prompt." * 20
    keys = {"search": ("hostile-search-key-01", "hostile-search-key-02"), "other": ("hostile-other-key-0002",)}
    file = service.logs / "tenants"
    file.write_text("".join(json.dumps(dict(name=name, key=key)) + "\n" for name, of_name in keys.items() for key in of_name))
    with own_gateway(service, "tenants.log", "--api-key-file", str(file)) as named:
        check_tenants(service, named, keys, words)


def check_tenants(service: Service, named: Gateway, keys: dict, words: str) -> None:
    doors = {}

    def cached(gateway, key: str | None, prompt: str, salt: str | None, by_grpc: bool) -> int:
        port, address = gateway
        change = {} if salt is None else dict(cache_salt=salt)
        if by_grpc:
            door = doors.setdefault(address, Grpc(address))
            metadata = () if key is None else (("authorization", f"Bearer {key}"),)
            ended = door.call("Generate", merged(GOOD["Generate"], dict(text=prompt, stop=dict(maxTokens=1)) | change), metadata=metadata)
            assert ended.code == "OK", ended
            return ended.messages[-1].usage.cached_tokens
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        answer = http(port, "completions", merged(GOOD["completions"], dict(prompt=prompt, max_tokens=1) | change), headers=headers)
        assert answer.status == 200, answer
        return (answer.json()["usage"].get("prompt_tokens_details") or {}).get("cached_tokens", 0)

    opened = (service.port, service.grpc)
    flags = (service.keyed_port, service.keyed_grpc)
    file_keys = (named.port, f"127.0.0.1:{named.grpc_port}")
    tenants = [(opened, None), (flags, KEYS[0]), (flags, KEYS[1]), (file_keys, keys["search"][0]), (file_keys, keys["other"][0])]
    salts = (None, "one", "\x00\n\u00e4\u4f60")
    for by_grpc in (False, True):
        prompt = f"{time.time_ns()} {words[:160]}"  # more than a block, and new
        for gateway, key in tenants:
            for salt in salts:
                assert cached(gateway, key, prompt, salt, by_grpc) == 0, f"{key} with {salt} found what another one computed"
                assert cached(gateway, key, prompt, salt, not by_grpc) > 0, f"{key} with {salt} did not find its own"
        assert cached(file_keys, keys["search"][1], prompt, None, by_grpc) > 0, "two keys of one name are one tenant"
        assert cached(opened, None, prompt, "s" * 256, by_grpc) == 0
    for door in doors.values():
        door.channel.close()
    long = http(service.port, "chat", merged(GOOD["chat"], dict(cache_salt="s" * 257)))
    assert long.status == 400 and long.error["param"] == "cache_salt", long
    with Grpc(service.grpc) as door:
        assert door.call("Chat", merged(GOOD["Chat"], dict(cacheSalt="s" * 257))).code == "INVALID_ARGUMENT"

    def first_token_s(key: str, prompt: str) -> float:
        return http(named.port, "completions", merged(GOOD["completions"], dict(prompt=prompt, max_tokens=1)), headers={"Authorization": f"Bearer {key}"}).seconds

    # The times of one that another tenant has sent against those of one that nobody has, in turns.
    known, new = [], []
    for turn in range(200 if service.full else 12):
        sent, unsent = f"{turn} sent {words}", f"{turn} new {words}"
        first_token_s(keys["search"][0], sent)
        known.append(first_token_s(keys["other"][0], sent))
        new.append(first_token_s(keys["other"][0], unsent))
    p = equal_distributions(known, new)
    assert p > (0.01 if service.full else 0.001), f"times tell what another tenant has sent: p {p:.4f}, {statistics.median(known)}, {statistics.median(new)}"
    service.notes.append(f"case 118: times of another tenant's prompts against new ones: Kolmogorov-Smirnov p {p:.2f} of {len(known)} each")


@script
def churned_slots(service: Service) -> None:
    """The bystanders are the plain callers; here is what churns beside them."""
    rounds = 2000 if service.full else 4
    kinds = [dict(logit_bias={"5": 100}), dict(presence_penalty=2), dict(repetition_penalty=1.9), dict(min_tokens=20), dict(top_k=1),
             dict(stop_token_ids=[7, 8, 9]), dict(stop=["7", "1"]), dict(frequency_penalty=-2), dict(n=2)]

    def churn(place: int) -> None:
        for turn in range(rounds):
            change = dict(max_tokens=30, temperature=1, seed=place) | kinds[(place + turn) % len(kinds)]
            if (place + turn) % 4 == 0:
                with Connection(service.port) as connection:
                    body = b'{"model":"demo","messages":[{"role":"user","content":"x"}],"max_tokens":300,"ignore_eos":true,"stream":true}'
                    connection.send(head_of("POST", "/v1/chat/completions", len(body), {}) + body)
                    connection.socket.recv(16)
            else:
                assert chat(service.port, **change).status == 200, change

    threads = [threading.Thread(target=churn, args=(place,)) for place in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
        assert not thread.is_alive()


@script
def canaries(service: Service) -> None:
    canary = "zq7canary"
    authorization = {"Authorization": f"Bearer {canary}"}
    chat(service.port, messages=[dict(role="user", content=canary)])
    chat(service.port, model=canary)
    completions(service.port, prompt=[canary, 1])
    http(service.port, f"/{canary}", method="GET")
    http(service.keyed_port, "chat", GOOD["chat"], headers=authorization)
    for place in range(10_000 if service.full else 300):
        http(service.port, "chat", merged(GOOD["chat"], dict(model=f"{canary}{place}")))
    time.sleep(0.5)
    for program in service.programs():
        assert canary not in program.output(), f"the log of {program.name} has it"
    for port in (*service.cluster.gateway_admin_ports, *service.cluster.worker_admin_ports, service.keyed_admin_port):
        text = get(port, "/metrics")[1]
        assert canary not in text and len(text) < 200_000
    assert not any(key in program.output() for key in KEYS for program in service.programs())


@script
def quota_by_key(service: Service) -> None:
    """One name over its limits, and over them again: another name is served as if nothing were."""
    keys = {"small": "hostile-small-key-0001", "other": "hostile-other-key-0001"}
    file = service.logs / "keys"
    file.write_text(json.dumps(dict(name="small", key=keys["small"], max_requests=2, tokens_per_minute=600)) + "\n" + json.dumps(dict(name="other", key=keys["other"])) + "\n")
    with own_gateway(service, "quota.log", "--api-key-file", str(file)) as gateway:
        check_quota(gateway, keys)


def check_quota(gateway: Gateway, keys: dict) -> None:
    def ask(name: str, **change):
        return http(gateway.port, "chat", merged(GOOD["chat"], change), headers={"Authorization": f"Bearer {keys[name]}"})

    def counting(name: str, path: str, body: dict):
        return http(gateway.port, path, dict(model="demo") | body, headers={"Authorization": f"Bearer {keys[name]}"})

    alone = ask("other")
    assert alone.status == 200, alone
    answers = at_once(16, lambda place: ask("small" if place % 2 else "other", max_tokens=100, ignore_eos=True))
    assert sum(answer.status == 429 for answer in answers) > 0, [answer.status for answer in answers]
    assert sum(answer.status == 200 for answer in answers) >= 9, [answer.status for answer in answers]
    for _ in range(8):
        refused = ask("small", max_tokens=1900)
        assert refused.status == 429 and int(refused.headers["retry-after"]) >= 1, refused
    for path, body in (("/tokenize", dict(prompt="w " * 700)), ("/detokenize", dict(tokens=[20] * 700)),
                       ("/swiftlet/v1/tokenize", dict(text="w " * 700)), ("/swiftlet/v1/detokenize", dict(token_ids=[20] * 700))):
        refused = [counting("small", path, body) for _ in range(3)][-1]
        assert refused.status == 429 and int(refused.headers["retry-after"]) >= 1, (path, refused)
        assert counting("other", path, body).status == 200
    with Grpc(f"127.0.0.1:{gateway.grpc_port}") as door:
        for method, body in (("Tokenize", dict(text="w " * 700)), ("Detokenize", dict(tokenIds=[20] * 700))):
            for name, code in (("small", "RESOURCE_EXHAUSTED"), ("other", "OK")):
                ended = door.call(method, dict(model="demo") | body, metadata=(("authorization", f"Bearer {keys[name]}"),))
                assert ended.code == code, (method, name, ended.code, ended.details)
    assert ask("other").json()["choices"] == alone.json()["choices"]
    assert all(key not in gateway.program.output() for key in keys.values())
