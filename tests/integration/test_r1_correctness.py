"""A sample of r1_correctness.py, which asks all 500 questions when run by hand."""

import r1_correctness

SAMPLE = 40


def test_no_way_of_asking_changes_an_answer(client, cluster):
    equal = r1_correctness.compare(client, "demo", SAMPLE)
    assert set(equal.values()) == {SAMPLE}, equal
    cluster.wait_idle()
