"""The chart with TLS at the doors and between the processes: rendered Pods with real certificates where Secrets would be."""

import http.client
import json
import pathlib
import ssl
import time

import pytest
from certificates import Authority
from processes import wait_until

from chart import deployment, merged, render, values_of
from pods import KEY, Cluster, make_keys, why_it_did_not_start

SMALL = {"resources": {"limits": {"cpu": "1"}}}
VALUES = merged(values_of("mtls"), gateway=SMALL | {"flags": {"endpoint-refresh-seconds": 0.5}}, tokenizer=SMALL,
                worker=SMALL | {"flags": {"kv-cache-memory-bytes": "64MiB", "max-model-len": 1024}})
NAME = VALUES["internalTls"]["serverName"]


class Certificates:
    def __init__(self, folder: pathlib.Path):
        self.public, self.internal = Authority(folder, "public"), Authority(folder, "internal")
        self.caller = self.public.sign(folder / "caller")
        self.door = self.public.sign(folder / "door", "DNS:demo-swiftlet.llm.svc")
        self.inside = self.internal.sign(folder / "inside", f"DNS:{NAME}")
        self.misnamed = self.internal.sign(folder / "misnamed", "DNS:another")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def cluster(binaries, checkpoint, certificates, tmp_path):
    folders = {"model-demo": checkpoint, "keys": make_keys(tmp_path / "keys", VALUES["apiKeys"]["key"]),
               "tls": certificates.door, "internal-tls": certificates.inside}
    running = Cluster(render(VALUES), binaries, folders, tmp_path)
    yield running
    running.kill()


def ask(gateway, certificates: Certificates, caller: pathlib.Path | None) -> tuple[int, dict]:
    context = ssl.create_default_context(cafile=str(certificates.public.certificate))
    context.check_hostname = False  # the Service's name stands in it, not the Pod's address
    if caller is not None:
        context.load_cert_chain(caller / "tls.crt", caller / "tls.key")
    connection = http.client.HTTPSConnection(gateway.address, gateway.port("http"), timeout=60, context=context)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(
            dict(model="demo", messages=[dict(role="user", content="What is 1 + 2?")], temperature=0)),
            {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_it_serves_who_shows_a_certificate_and_a_key(cluster, certificates):
    tokenizer, worker, gateway = (cluster.start(deployment(cluster.objects, kind)) for kind in ("tokenizer", "worker", "gateway"))
    for pod in (tokenizer, worker, gateway):
        pod.wait_ready()  # the probes are plain HTTP, on the admin ports
    status, answer = ask(gateway, certificates, certificates.caller)
    assert status == 200, answer
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(gateway, certificates, None)
    for pod in (gateway, worker, tokenizer):
        pod.program.stop()


def test_a_worker_of_another_name_gets_no_requests(cluster, certificates):
    tokenizer = cluster.start(deployment(cluster.objects, "tokenizer"))
    cluster.folders["internal-tls"] = certificates.misnamed
    worker = cluster.start(deployment(cluster.objects, "worker"))
    cluster.folders["internal-tls"] = certificates.inside
    gateway = cluster.start(deployment(cluster.objects, "gateway"))
    for pod in (tokenizer, worker):
        pod.wait_ready()
    wait_until(lambda: gateway.probe("livenessProbe") and "no model is ready" in gateway.reason(), 60, "the gateway says why")
    time.sleep(2)  # a few attempts
    assert not gateway.probe("readinessProbe")


@pytest.mark.parametrize("component", ["gateway", "tokenizer", "worker"])
def test_a_certificate_that_is_not_there_is_one_line(cluster, tmp_path, component):
    cluster.folders["internal-tls"] = tmp_path / "absent"
    pod = cluster.start(deployment(cluster.objects, component))
    assert pod.program.wait(20) == 78
    why = why_it_did_not_start(component, pod.program.output())
    assert "--internal-ssl-" in why and "absent" in why
