"""A real Prometheus scrapes two of each process under `swiftlet bench`: every expression of the dashboard has data."""

import json
import math
import re
import subprocess
import time

import pytest
from processes import get, wait_until

from chart import ROOT, merged, render, script, values_of
from pods import KEY, Cluster, make_keys
from prometheus import Prometheus, program

GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "swiftlet.json").read_text())
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
ONLY_ON_A_GPU = {"swiftlet_device_bytes", "swiftlet_gpu_utilization_ratio", "swiftlet_gpu_memory_used_bytes", "swiftlet_gpu_power_watts",
                 "swiftlet_gpu_power_limit_watts", "swiftlet_gpu_clock_hertz", "swiftlet_gpu_temperature_celsius"}
SMALL = {"resources": {"limits": {"cpu": "1"}}}
VALUES = merged(values_of("minimal"), apiKeys={"secretName": "swiftlet-keys"}, gateway=SMALL, tokenizer=SMALL,
                worker=SMALL | {"replicas": 2, "flags": {"kv-cache-memory-bytes": "64MiB", "max-model-len": 1024}})


def test_the_dashboard_is_the_one_that_make_dashboard_writes():
    maker = script(GRAFANA / "make_dashboard")
    assert maker.TARGET.read_text() == maker.text(), "run deploy/grafana/make_dashboard"


def test_queue_depth_and_gpu_utilisation_come_first():
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] != "row"][:2] == ["Queue depth", "GPU utilisation"]


# docs/metrics.md is what the code registers, on a GPU too (metrics_doc writes it, a test says when it is stale): name: kind, labels, unit.
METRICS = {name: (kind, set(re.findall(r"`(\w+)`", labels)), unit.strip()) for name, kind, labels, unit in re.findall(
    r"^\| `([a-z0-9_]+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)}
# Of a panel: the metrics' unit, as it is and as a rate.
UNITS = {"s": ("seconds", None), "bytes": ("bytes", None), "Bps": (None, "bytes"), "watt": ("watts", None), "hertz": ("hertz", None),
         "celsius": ("celsius", None), "percentunit": ("ratio", "seconds"), "cps": (None, "tokens"), "ops": (None, ""), "reqps": (None, "")}
TARGETS = [(panel["title"], panel["fieldConfig"]["defaults"]["unit"], target["expr"], target["legendFormat"])
           for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


@pytest.mark.parametrize("title, unit, expression, legend", TARGETS, ids=lambda value: None)
def test_an_expression_fits_its_metrics(title, unit, expression, legend):
    """Those of a GPU above all, which have data on a GPU alone."""
    used = [(name, re.sub("_(bucket|sum|count)$", "", name)) for name in re.findall(r"(?:swiftlet|process)_[a-z0-9_]+", expression)]
    found = {name: METRICS.get(name) or METRICS[family] for name, family in used}
    for name, (kind, _, _) in found.items():
        assert (f"rate({name}[" in expression) == (kind != "gauge"), f"{name} is a {kind}"
    labels = {"instance"}.union(*(labels for _, labels, _ in found.values())) | ({"le"} if "_bucket[" in expression else set())
    groups = [set(re.findall(r"\w+", group)) for group in re.findall(r"(?:by|on|group_left) \(([^)]*)\)", expression)]
    shown = set(re.findall(r"{{(\w+)}}", legend))
    assert shown.union(*groups) <= labels, f"of {labels}"
    if re.match(r"(sum|max|count|histogram_quantile)\b", expression):
        assert shown <= set().union(*groups), "a label that the sum has not kept"
    units = {unit for _, _, unit in found.values()}
    if " / " in expression:
        assert len(units) == 1, f"{units} of one another"
    elif unit != "short":
        rated = "histogram" not in expression and "rate(" in expression
        assert units - {""} == {UNITS[unit][rated]} - {""}, f"{title}: {units} as {unit}"


def test_what_only_a_gpu_has_is_what_its_worker_registers():
    assert ONLY_ON_A_GPU <= METRICS.keys()


@pytest.fixture(scope="module")
def scraped(binaries, checkpoint, tmp_path_factory):
    """The service and its Prometheus, after some seconds of load on both gateways."""
    folder = tmp_path_factory.mktemp("scraped")
    folders = {"model-demo": checkpoint, "keys": make_keys(folder / "keys")}
    cluster = Cluster(render(VALUES), binaries, folders, folder)
    prometheus = None
    try:
        by_component = cluster.install()
        assert {name: len(pods) for name, pods in by_component.items()} == {"tokenizer": 2, "worker": 2, "gateway": 2}
        targets = {name: [f"{pod.address}:{pod.port('admin')}" for pod in pods] for name, pods in by_component.items()}
        prometheus = Prometheus(folder, targets, "1s")
        # Scrapes of every process before the load, so that rates have a beginning.
        wait_until(lambda: sum(float(one["value"][1]) >= 2 for one in prometheus.query("sum_over_time(up[60s])")) == 6, 60, "every target was scraped twice")
        bench = [binaries / "swiftlet", "bench", "--quiet", "--api-key", KEY, "--concurrency", "8", "--requests", "60",
                 "--input-tokens", "64", "--output-tokens", "32", "--url"]
        loads = [subprocess.Popen([*bench, f"http://{pod.address}:{pod.port('http')}"], stdout=subprocess.DEVNULL)
                 for pod in by_component["gateway"]]
        assert [load.wait(120) for load in loads] == [0, 0]
        time.sleep(2)
        yield cluster, prometheus
    finally:
        if prometheus is not None:
            prometheus.stop()
        cluster.kill()


def test_promtool_finds_nothing(scraped):
    for pod in scraped[0].pods:
        text = get(pod.port("admin"), "/metrics", pod.address)[1]
        found = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
        assert found.returncode == 0 and not found.stdout + found.stderr, (pod.component, found.stdout + found.stderr)


def test_every_target_is_up(scraped):
    assert [series["value"][1] for series in scraped[1].query("up")] == ["1"] * 6


def test_every_expression_has_data(scraped):
    prometheus, empty = scraped[1], []
    known = prometheus.metric_names()
    for title, expression in EXPRESSIONS:
        names = set(re.findall(r"(?:swiftlet|process)_[a-z0-9_]+", expression))
        if names & ONLY_ON_A_GPU:
            continue
        assert names and names <= known, f"{title}: no process has {names - known}"
        series = prometheus.query(expression.replace("$__rate_interval", "60s"))
        if not any(math.isfinite(float(one["value"][1])) for one in series):
            empty.append((title, expression, series))
    assert not empty, empty


@pytest.mark.parametrize("title, expression", [pair for pair in EXPRESSIONS if any(name in pair[1] for name in ONLY_ON_A_GPU)])
def test_expressions_of_a_gpu_have_data(scraped, title, expression):
    if not any(scraped[1].query(name) for name in ONLY_ON_A_GPU):
        scraped[1].query(expression)  # at least no error
        pytest.skip(f"{title}: no worker has a GPU here")
    assert scraped[1].query(expression)
