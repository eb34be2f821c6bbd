"""A sample of r1_correctness.py, which asks all 500 questions when run by hand."""

import r1_correctness
from processes import is_sanitized


def test_no_way_of_asking_changes_an_answer(client, cluster, binaries):
    sample = 10 if is_sanitized(binaries) else 40  # an answer takes ten times as long there
    equal = r1_correctness.compare(client, "demo", sample)
    assert set(equal.values()) == {sample}, equal
    cluster.wait_idle()
