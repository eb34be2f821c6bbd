"""The chart installs as rendered: each Pod's command line and environment start the real binary, its probes answer, and a
rollout of every Deployment under 32 streams costs no caller anything."""

import threading
import time

import pytest
from processes import wait_until

from chart import container, deployment, merged, of_kind, render, values_of
from pods import KEY, Cluster, make_keys, why_it_did_not_start
from streams import Streams

# Little time, and otherwise what the defaults give: names looked up, preStop, drain, flags.
VALUES = merged(
    values_of("minimal"),
    apiKeys={"secretName": "swiftlet-keys"},
    gateway={"minReadySeconds": 1, "preStopSeconds": 2, "drainSeconds": 20,
             "flags": {"endpoint-refresh-seconds": 0.5, "max-requests": 100000},
             "resources": {"limits": {"cpu": "1500m"}}},
    tokenizer={"minReadySeconds": 1, "preStopSeconds": 2, "resources": {"limits": {"cpu": "1"}}},
    worker={"minReadySeconds": 1, "drainSeconds": 20, "flags": {"kv-cache-memory-bytes": "64MiB", "max-model-len": 1024},
            "resources": {"limits": {"cpu": "1"}}},
)
BEARER = {"Authorization": f"Bearer {KEY}"}
PROXY_LAG_SECONDS = 0.7  # until the nodes' proxies know that a gateway came or goes


def later(change, gateway) -> None:
    threading.Timer(PROXY_LAG_SECONDS, change, [(gateway.address, gateway.port("http"))]).start()


@pytest.fixture
def cluster(binaries, checkpoint, tmp_path):
    folders = {"model-demo": checkpoint, "keys": make_keys(tmp_path / "keys")}
    running = Cluster(render(VALUES), binaries, folders, tmp_path)
    yield running
    running.kill()


def test_a_rollout_under_load_costs_no_caller_anything(cluster):
    pods = cluster.install()
    known = [(pod.address, pod.port("http")) for pod in pods["gateway"]]
    streams = Streams(lambda: list(known), 32, "demo", max_tokens=48, headers=BEARER)
    taken = {}
    for component in ("gateway", "tokenizer", "worker"):
        found = deployment(cluster.objects, component)
        assert found["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        for old in pods[component]:
            new = cluster.start(found)
            new.wait_ready()
            if component == "gateway":
                later(known.append, new)
            time.sleep(found["spec"]["minReadySeconds"])
            if component == "gateway":
                later(known.remove, old)
            taken.setdefault(component, []).append(old.delete())
    streams.stop()
    print({component: [round(seconds, 1) for seconds in each] for component, each in taken.items()}, streams.done, "streams")
    assert not streams.errors, (len(streams.errors), streams.errors[:3])
    assert streams.done > 100


def test_sigterm_drains_all_at_once_while_streams_run(cluster):
    """`helm uninstall`: every Pod gets SIGTERM at the same time; what was accepted is answered to its end."""
    pods = cluster.install()
    streams = Streams(lambda: [(pod.address, pod.port("http")) for pod in pods["gateway"]], 32, "demo", max_tokens=200,
                      headers=BEARER)
    time.sleep(0.5)
    streams.begin_no_more()
    for pod in cluster.pods:
        pod.program.terminate()
    begin = time.monotonic()
    for pod in cluster.pods:
        assert pod.program.wait(pod.spec["terminationGracePeriodSeconds"]) == 0, pod.program.output()[-2000:]
    print(f"drained in {time.monotonic() - begin:.1f} s, {streams.done} streams")
    streams.stop()
    assert not streams.errors and streams.done >= 32, (streams.done, streams.errors[:3])


def test_an_unready_pod_says_why(cluster):
    gateway = cluster.start(deployment(cluster.objects, "gateway"))
    wait_until(lambda: gateway.probe("livenessProbe"), 60, "the gateway lives")
    assert not gateway.probe("readinessProbe")
    wait_until(lambda: "no model is ready" in gateway.reason(), 60, "the gateway says why")
    gateway.delete()


def test_a_key_that_the_secret_lacks_is_one_line(cluster):
    (cluster.folders["keys"] / "keys.jsonl").unlink()
    gateway = cluster.start(deployment(cluster.objects, "gateway"))
    assert gateway.program.wait(20) == 78
    assert "keys.jsonl" in why_it_did_not_start("gateway", gateway.program.output())


@pytest.mark.parametrize("component", ["tokenizer", "worker"])
def test_a_model_that_is_not_there_is_one_line(binaries, tmp_path, component):
    cluster = Cluster(render(VALUES), binaries, {"model-demo": tmp_path / "absent"}, tmp_path)
    pod = cluster.start(deployment(cluster.objects, component))
    assert pod.program.wait(20) == 78
    assert "absent" in why_it_did_not_start(component, pod.program.output())


@pytest.mark.parametrize("case", ["cpu", "gpu"])
def test_every_rendered_command_line_is_understood(binaries, tmp_path, case):
    """Whatever needs a GPU or a model ends for want of that, not of a flag."""
    objects, absent = render(values_of(case)), tmp_path / "absent"
    cluster = Cluster(objects, binaries, {volume["name"]: absent for found in of_kind(objects, "Deployment")
                                          for volume in found["spec"]["template"]["spec"].get("volumes", [])}, tmp_path)
    for found in of_kind(objects, "Deployment"):
        pod = cluster.start(found)
        if "volumes" not in pod.spec:
            wait_until(lambda: pod.probe("livenessProbe"), 60, f"{pod.component} lives")
            pod.program.terminate()
            assert pod.program.wait(60) in (0, 143)  # 143: a signal before it serves ends it at once
        else:
            assert pod.program.wait(20) == 78
            last = pod.program.output().strip().splitlines()[-1]
            assert "unknown" not in last and str(absent) in last, last


def test_an_unknown_variable_of_ours_is_refused(cluster):
    found = merged(deployment(cluster.objects, "worker"))
    container(found)["env"].append({"name": "SWIFTLET_MAX_NUM_SEQ", "value": "3"})
    pod = cluster.start(found)
    assert pod.program.wait(20) == 78
    assert "SWIFTLET_MAX_NUM_SEQS" in pod.program.output()
