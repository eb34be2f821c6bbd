"""The corpus as data: one file a section, one entry a case. What an entry may say:

  case, what     the number and the demand, as in the reliability reference, section 4
  state          "served": as demanded. "changed": our expectation differs. "not applicable": nothing of ours could fail it.
  why            the reason of every state but "served"
  rest, grpc     requests with one expectation each (doors.py)
  sockets        bytes for the HTTP port (doors.py)
  script         a function of scripts_*.py, for what takes more than requests

{"$repeat": [x, n]} stands for the text or the list x n times over; a list in "bytes" or "tail" is joined.
"""

import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent
STATES = ("served", "changed", "not applicable")
KEYS = {"case", "what", "state", "why", "rest", "grpc", "sockets", "script"}
NUM_CASES = 130


def expanded(value):
    if isinstance(value, list):
        return [expanded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$repeat"}:
        unit, count = value["$repeat"]
        return unit * count
    return {key: expanded(one) for key, one in value.items()}


def joined(value) -> bytes:
    """The bytes that a text of the data stands for: its characters are bytes."""
    parts = value if isinstance(value, list) else [value]
    return "".join(expanded(part) for part in parts).encode("latin-1")


def load() -> list[dict]:
    cases = []
    for file in sorted(FOLDER.glob("*.json")):
        cases += json.loads(file.read_text())
    numbers = [case["case"] for case in cases]
    assert numbers == list(range(1, NUM_CASES + 1)), f"the numbers are not 1 to {NUM_CASES}: {numbers}"
    for case in cases:
        assert set(case) <= KEYS, f"case {case['case']}: {set(case) - KEYS} is not known"
        assert case["state"] in STATES, case
        assert case["state"] == "served" or case.get("why"), f"case {case['case']} gives no reason"
        does = any(case.get(key) for key in ("rest", "grpc", "sockets", "script"))
        assert does or case["state"] == "not applicable", f"case {case['case']} does nothing"
    return cases
