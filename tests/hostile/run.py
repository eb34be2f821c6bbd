#!/usr/bin/env python3
"""Runs the hostile corpus against the real binaries and prints the table: passed / changed / not applicable.

Beside every case 31 well-behaved streams run; a byte of theirs that differs from the undisturbed run fails the batch it
happened in. At the end nothing may be held, every process must end cleanly, and memory is compared with what it was."""

import argparse
import collections
import pathlib
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import scripts_api, scripts_forms, scripts_grpc, scripts_http, scripts_isolation, scripts_resources, scripts_text  # noqa: E401 - they register
from bystanders import Bystanders
from corpus import load
from doors import GOOD, Grpc, chat, completions, http, merged, run_grpc, run_rest, run_socket
from processes import Cluster, Program
from scripts import KEYS, SCRIPTS, Service, at_once, start_gateway

MODULES = (scripts_api, scripts_forms, scripts_grpc, scripts_http, scripts_isolation, scripts_resources, scripts_text)
SECTIONS = {"A": range(1, 55), "B": range(55, 71), "C": range(71, 81), "D": range(81, 104), "E": range(104, 113), "F": range(113, 122), "G": range(122, 131)}
SKIPPED = 77  # CTest's SKIP_RETURN_CODE
SANITIZED = ("swiftlet-gateway", "swiftlet-tokenizer")  # what takes a caller's bytes
KEY = {"Authorization": f"Bearer {KEYS[0]}"}
MEMORY_RATIO = 1.10
KV_BYTES = 64 << 20  # small, so that all of it has been touched before memory is measured
MEMORY_WAIT_S = 12  # idle processes give back what they do not need every 2 s
LOOKS_S = 5  # two of their looks


def start(options, logs: pathlib.Path) -> Service:
    cluster = Cluster(options.binaries, options.checkpoint, logs, worker_flags=("--kv-cache-memory-bytes", str(KV_BYTES)))
    keyed = start_gateway(cluster, options.binaries, logs / "keyed.log", "--strict-parameters", "--max-connections", "200", "--max-requests", "8",
                          *(flag for key in KEYS for flag in ("--api-key", key)))
    return Service(cluster, keyed.port, keyed.program, f"127.0.0.1:{keyed.grpc_port}", keyed.admin_port, options.binaries, options.checkpoint, logs,
                   options.full)


def links(folder: pathlib.Path, options) -> pathlib.Path:
    """The binaries of two builds in one folder."""
    folder.mkdir()
    for binary in options.binaries.glob("swiftlet*"):
        built = options.sanitized.resolve() / binary.name
        (folder / binary.name).symlink_to(built if binary.name in SANITIZED else binary)
    return folder


def too_much(program: Program, before: int) -> bool:
    return program.resident_bytes() > before * MEMORY_RATIO


def warm_up(service: Service) -> None:
    """What a service holds once it has worked: the pages of its KV pool, the tokenizer's tables of pieces seen, what each
    door makes at its first request, OpenSSL's 1.9 MiB when a salt is first hashed."""
    words = " ".join(f"w{number:x}" for number in range(9000))
    assert {answer.status for answer in at_once(8, lambda _: chat(service.port, messages=[dict(role="user", content=words)]))} == {400}
    for first in range(12):
        assert completions(service.port, prompt=[first + 5] * 2040, max_tokens=1).status == 200
    for port, grpc, headers, metadata in ((service.port, service.grpc, {}, ()),
                                          (service.keyed_port, service.keyed_grpc, KEY, (("authorization", KEY["Authorization"]),))):
        for stream in (False, True):
            assert http(port, "chat", merged(GOOD["chat"], dict(stream=stream, n=2, logprobs=True, cache_salt="s")), headers=headers).status == 200
        assert http(port, "/swiftlet/v1/chat", GOOD["Chat"], headers=headers).status == 200
        assert http(port, "chat", b"[" * (8 << 20), headers=headers).status == 400
        with Grpc(grpc) as door:
            assert door.call("Chat", GOOD["Chat"], metadata=metadata).code == "OK"
            assert door.call("Chat", b"\x0a\x05", metadata=metadata).code != "OK"


def run_case(service: Service, case: dict) -> str:
    """"" or what was wrong."""
    try:
        for entry in case.get("rest", []):
            run_rest(service.port, entry)
        for entry in case.get("sockets", []):
            run_socket(service.port, entry)
        for entry in case.get("grpc", []):
            run_grpc(service.grpc, entry)
        if "script" in case:
            SCRIPTS[case["script"]](service)
        assert all(program.running() for program in service.programs()), "a process has ended"
    except Exception as failure:  # one case's failure must not hide the others
        last = traceback.extract_tb(failure.__traceback__)[-1]
        return f"{type(failure).__name__} at {pathlib.Path(last.filename).name}:{last.lineno}: {str(failure)[:600]}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build" / "cpu-release" / "bin")
    parser.add_argument("--checkpoint", type=pathlib.Path, default=ROOT / "tools" / "demo_model" / "checkpoint")
    parser.add_argument("--full", action="store_true", help="the long forms: ten minutes of overload, 10,000 connections")
    parser.add_argument("--section", choices=SECTIONS)
    parser.add_argument("--case", type=int, action="append")
    parser.add_argument("--sanitized", type=pathlib.Path, metavar="BIN",
                        help="gateway and tokenizer from here, a sanitizer build; only the worker is of --binaries. Their memory tells nothing then")
    options = parser.parse_args()
    options.binaries, options.checkpoint = options.binaries.resolve(), options.checkpoint.resolve()
    if options.sanitized and not (options.binaries / "swiftlet-worker").exists():
        print(f"skipped: there is no release build in {options.binaries}")
        return SKIPPED

    cases = [case for case in load() if (not options.section or case["case"] in SECTIONS[options.section]) and (not options.case or case["case"] in options.case)]
    missing = {case["script"] for case in cases if "script" in case} - set(SCRIPTS)
    assert not missing, f"no such scripts: {missing}"
    begun = time.monotonic()
    rows, failures, slow, num_streams = [], [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        if options.sanitized:
            options.binaries = links(pathlib.Path(folder) / "bin", options)
        service = start(options, pathlib.Path(folder))
        try:
            bystanders = Bystanders(service.port)
            if not options.sanitized:
                warm_up(service)
            bystanders.start()  # once in full before memory is measured: idle is a service that has worked
            time.sleep(2)
            bystanders.stop()
            service.cluster.wait_idle()
            time.sleep(0 if options.sanitized else LOOKS_S)
            idle = {} if options.sanitized else {program: program.resident_bytes() for program in service.programs()}
            bystanders.take()
            bystanders.start()
            for case in cases:
                start_s = time.monotonic()
                wrong = run_case(service, case) if case["state"] != "not applicable" else ""
                seconds = time.monotonic() - start_s
                streams, changed = bystanders.take()
                num_streams += streams
                slow.append((seconds, case["case"]))
                if changed:
                    failures.append(f"case {case['case']} (or the one before): {len(changed)} bystanders changed: {changed[0][:500]}")
                outcome = {"served": "passed"}.get(case["state"], case["state"])
                if wrong:
                    failures.append(f"case {case['case']} ({case['what']}): {wrong}")
                    rows.append((case, "FAILED", wrong[:100]))
                else:
                    rows.append((case, outcome, case.get("why", "")))
                if not all(program.running() for program in service.programs()):
                    break
            bystanders.stop()
            streams, changed = bystanders.take()
            num_streams += streams
            failures += [f"behind the last case: {one[:500]}" for one in changed]
            service.cluster.wait_idle()
            assert chat(service.port).status == 200
            end = time.monotonic() + MEMORY_WAIT_S
            while time.monotonic() < end and any(too_much(program, before) for program, before in idle.items()):
                time.sleep(0.5)
            for program, before in idle.items():
                after = program.resident_bytes()
                service.notes.append(f"memory of {program.name}: {before >> 20} MiB idle before, {after >> 20} MiB after ({after / before - 1:+.1%})")
                if too_much(program, before):
                    failures.append(service.notes[-1])
        finally:
            for stop in (service.keyed.stop, service.cluster.stop):
                try:
                    stop()
                except AssertionError as failure:
                    failures.append(str(failure)[:6000])

    for case, outcome, why in rows:
        print(f"{case['case']:>4}  {outcome:<14} {case['what']}" + (f"  [{why}]" if why else ""))
    print(*service.notes, sep="\n")
    counts = collections.Counter(outcome for _, outcome, _ in rows)
    print(f"slowest: {', '.join(f'{number} ({seconds:.1f} s)' for seconds, number in sorted(slow)[-6:])}")
    print(f"{num_streams} streams beside the cases, {time.monotonic() - begun:.0f} s")
    print("hostile corpus: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    for failure in failures:
        print(f"FAILURE: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
