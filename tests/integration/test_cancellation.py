"""A caller who goes away takes nothing with him and leaves nothing behind."""

import json
import socket
import threading

import pytest

from answers import ask
from processes import Background, metric, wait_until

LONG = dict(model="demo", messages=[dict(role="user", content="Tell me a story about the river.")], max_tokens=1500, stream=True,
            ignore_eos=True)


def send(port: int, body: dict) -> socket.socket:
    data = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n" % len(data) + data)
    return connection


@pytest.mark.parametrize("body", [LONG, LONG | dict(stream=False)], ids=["streamed", "whole"])
def test_disconnect_frees_the_blocks(cluster, body):
    admin = cluster.worker_admin_ports[0]
    cluster.wait_idle()
    cancelled = metric(cluster.gateway_admin_ports[0], "swiftlet_gateway_requests_total", finish_reason="cancelled")
    connections = [send(cluster.port, body) for _ in range(4)]
    if body["stream"]:
        for connection in connections:
            assert b"200" in connection.recv(1024)
    wait_until(lambda: metric(admin, "swiftlet_running_sequences") >= 1, what="a sequence runs")
    assert metric(admin, "swiftlet_kv_use_ratio") > 0
    for connection in connections:
        connection.close()
    cluster.wait_idle()
    assert metric(cluster.gateway_admin_ports[0], "swiftlet_gateway_requests_total", finish_reason="cancelled") == cancelled + 4


def test_others_are_untouched_by_a_disconnect(cluster, client):
    expected = ask(client, "What is 512 - 78?", temperature=0)
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            connection = send(cluster.port, LONG)
            connection.recv(64)
            connection.close()

    noise = Background(come_and_go)
    for _ in range(10):
        assert ask(client, "What is 512 - 78?", stream=True, temperature=0) == expected
    stop.set()
    noise.join(60)
    cluster.wait_idle()
