"""Two gateways, two tokenizers and two workers from a static list."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from answers import ask
from conftest import client_of
from processes import Cluster, metric
from questions import held_out_questions


@pytest.fixture(scope="module")
def pair(binaries, checkpoint, tmp_path_factory):
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("pair"), gateways=2, tokenizers=2, workers=2)
    yield running
    running.wait_idle()
    running.stop()


def test_both_workers_serve_both_gateways_with_equal_answers(pair, client):
    rows = held_out_questions(64)
    clients = [client_of(port) for port in pair.gateway_ports]

    def both(index: int):
        return [ask(one, rows[index]["question"], stream=index % 2 == 0, seed=index) for one in clients]

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(both, range(len(rows))))
    for index, (first, second) in enumerate(answers):
        assert first == second, rows[index]["question"]
        if index < 8:  # and a service of one worker says the same: draws depend on the seed, not on the place
            assert ask(client, rows[index]["question"], seed=index) == first
    assert sum(first.boxed == row["answer"] for row, (first, _) in zip(rows, answers)) >= 0.97 * len(rows)
    assert all(metric(port, "swiftlet_generated_tokens_total") > 0 for port in pair.worker_admin_ports)
    assert all(metric(port, "swiftlet_gateway_workers_routable") == 2 for port in pair.gateway_admin_ports)


def test_service_goes_on_without_one_worker(pair):
    """Last in this file: from here one worker is gone."""
    clients = [client_of(port) for port in pair.gateway_ports]
    rows = held_out_questions(32, seed=5)
    with ThreadPoolExecutor(16) as pool:
        running = [pool.submit(ask, clients[i % 2], row["question"], stream=i % 3 == 0, temperature=0) for i, row in enumerate(rows)]
        gone = pair.workers()[0]
        gone.stop()
        pair.programs.remove(gone)
        pair.worker_admin_ports.pop(0)
        answers = [future.result() for future in running]
    right = sum(answer.boxed == row["answer"] for row, answer in zip(rows, answers))
    assert right >= 0.97 * len(rows)
