"""Live scrapes of one process of each kind: clean for promtool, all of it documented, and nothing a caller can multiply."""

import http.client
import re
import subprocess

import pytest
from processes import Cluster, get, metric, post, wait_until

from chart import ROOT
from prometheus import program

DOCUMENTED = set(re.findall(r"^\| `([a-z0-9_]+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
VLLM_TABLE = dict(re.findall(r"^\| `(vllm:[a-z0-9_]+)` \| `([a-z0-9_]+)` \|", (ROOT / "docs" / "from-vllm.md").read_text(), re.MULTILINE))
SMALL = ("--kv-cache-memory-bytes", "64MiB", "--max-model-len", "1024", "--metrics-compat=vllm")


@pytest.fixture(scope="module")
def cluster(binaries, checkpoint, tmp_path_factory):
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("logs"), worker_flags=SMALL,
                      gateway_flags=("--metrics-compat=vllm", "--max-requests", "2"))
    chat = {"model": "demo", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 8, "temperature": 0}
    for _ in range(3):
        assert post(running.port, "/v1/chat/completions", chat)[0] == 200
    yield running
    running.stop()


def admin_ports(cluster) -> dict[str, int]:
    return {"gateway": cluster.gateway_admin_ports[0], "tokenizer": cluster.tokenizer_admin_ports[0],
            "worker": cluster.worker_admin_ports[0]}


def scrape(port: int) -> str:
    status, text = get(port, "/metrics")
    assert status == 200
    return text


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def series(text: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}


def own(text: str) -> str:
    """Without the names that --metrics-compat adds: a colon is Prometheus' own for recording rules."""
    return "".join(line + "\n" for line in text.splitlines() if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith("vllm:"))


@pytest.mark.parametrize("process", ["gateway", "tokenizer", "worker"])
def test_promtool_finds_nothing(cluster, process):
    found = subprocess.run([program("promtool"), "check", "metrics"], input=own(scrape(admin_ports(cluster)[process])),
                           capture_output=True, text=True)
    assert found.returncode == 0 and not found.stdout + found.stderr, found.stdout + found.stderr


@pytest.mark.parametrize("process", ["gateway", "tokenizer", "worker"])
def test_every_metric_is_documented(cluster, process):
    text = own(scrape(admin_ports(cluster)[process]))
    assert families(text) <= DOCUMENTED, "metrics_doc does not make: " + ", ".join(families(text) - DOCUMENTED)
    for name in ("swiftlet_build_info", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
                 "process_start_time_seconds"):
        assert name in families(text)
    assert not any(line.startswith("swiftlet_gpu_power") for line in text.splitlines()), "a worker on the CPU has none"


def test_what_requests_took_is_there(cluster):
    gateway, tokenizer, worker = admin_ports(cluster).values()
    for name in ("time_to_first_token", "queue", "prefill", "decode", "request"):
        assert metric(gateway, f"swiftlet_gateway_{name}_seconds_count", model="demo") >= 3, name
    assert metric(gateway, "swiftlet_gateway_http_responses_total", route="/v1/chat/completions", code="200") >= 3
    assert 0 < metric(gateway, "swiftlet_gateway_completion_tokens_total", model="demo") <= metric(worker, "swiftlet_generated_tokens_total")
    assert metric(gateway, "swiftlet_gateway_worker_outstanding_tokens", worker=cluster.grpc_addresses["worker"][0]) >= 0
    assert metric(tokenizer, "swiftlet_tokenizer_queue_seconds_count") >= 3
    assert metric(worker, "swiftlet_sequences_total", finish_reason="length") + metric(worker, "swiftlet_sequences_total", finish_reason="stop") >= 3
    assert metric(worker, "swiftlet_gpu_busy_seconds_total") > 0


def test_callers_cannot_make_series(cluster):
    port, admin = cluster.port, cluster.gateway_admin_ports[0]

    def storm(prefix: str, count: int) -> None:
        for number in range(count):
            post(port, "/v1/completions", {"model": f"{prefix}-{number}", "prompt": "x"})
            get(port, f"/{prefix}/{number}")
            get(port, f"/v1/models/{prefix}-{number}")
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(f"{prefix.upper()}{number}", "/v1/models", headers={"X-Request-Id": f"{prefix}-{number}"})
            connection.getresponse().read()
            connection.close()

    storm("first", 2)
    before = series(scrape(admin))
    storm("canary", 100)
    after = series(scrape(admin))
    assert after == before, after - before
    assert not any("canary" in line for line in after)


def test_rejections_have_their_reason(cluster):
    admin = cluster.gateway_admin_ports[0]
    before = metric(admin, "swiftlet_gateway_rejections_total", reason="requests")
    body = {"model": "demo", "prompt": ["a", "b", "c", "d"], "max_tokens": 4}  # four generations; two may be outstanding
    assert post(cluster.port, "/v1/completions", body)[0] == 429
    assert metric(admin, "swiftlet_gateway_rejections_total", reason="requests") > before
    wait_until(lambda: metric(admin, "swiftlet_gateway_requests_running") + metric(admin, "swiftlet_gateway_requests_waiting") == 0)


def test_vllms_names_are_the_same_numbers(cluster):
    gateway, worker = cluster.gateway_admin_ports[0], cluster.worker_admin_ports[0]
    names = families(scrape(gateway)) | families(scrape(worker))
    assert {name for name in names if name.startswith("vllm:")} == set(VLLM_TABLE), "the table in docs/from-vllm.md"
    assert not any(name.startswith("vllm:") for name in families(scrape(cluster.tokenizer_admin_ports[0])))
    assert metric(gateway, "vllm:prompt_tokens_total", model_name="demo") == metric(gateway, "swiftlet_gateway_prompt_tokens_total", model="demo")
    assert metric(gateway, "vllm:request_success_total", model_name="demo", finished_reason="length") == \
        metric(gateway, "swiftlet_gateway_requests_total", model="demo", finish_reason="length")
    assert metric(gateway, "vllm:time_to_first_token_seconds_count", model_name="demo") >= 3
    assert metric(worker, "vllm:kv_cache_usage_perc", model_name="demo") == metric(worker, "swiftlet_kv_use_ratio")
