#!/usr/bin/env python3
"""Whether the tests are there that docs/security.md names against known attacks: cases of the corpus that are run, targets
of tests/fuzz, tests of GoogleTest and pytest."""

import pathlib
import re
import sys

from corpus import load

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADING = "## Known attacks"


def named() -> list[str]:
    section = (ROOT / "docs" / "security.md").read_text().split(HEADING)[1].split("\n## ")[0]
    rows = [line.split("|")[2] for line in section.splitlines() if line.startswith("| ") and not line.startswith("| attack")]
    assert len(rows) > 30 and all("`" in row for row in rows), rows
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def known() -> set[str]:
    names = {f"case {case['case']}" for case in load() if case["state"] != "not applicable"}
    names |= {f"fuzz {seeds.name}" for seeds in (ROOT / "tests" / "fuzz" / "corpus").iterdir()}
    for source in (ROOT / "tests").rglob("*_test.cc"):
        names |= {f"{suite}.{test}" for suite, test in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", source.read_text(), re.M)}
    for source in (ROOT / "tests").rglob("test_*.py"):
        names |= {f"{source.name}::{test}" for test in re.findall(r"^def (test_\w+)", source.read_text(), re.M)}
    return names


def main() -> int:
    names = named()
    missing = sorted(set(names) - known())
    print(f"{len(set(names))} tests named, {len(missing)} missing", *missing, sep="\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
