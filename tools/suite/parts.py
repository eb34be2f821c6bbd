"""The parts of the device suite. Each fills tables of the Suite it is given and returns whether it passed; bounds of speed
stand beside the figures and do not fail a part, bounds of correctness do."""

import concurrent.futures
import json
import pathlib
import queue
import re
import sys
import time

from . import refusals, served_part, speed, structured
from .suite import SAMPLING, Suite

TESTS = "*cuda*_test"
SANITIZERS = ["memcheck", "initcheck", "racecheck"]
SIDE_BY_SIDE = 14   # tests at once, under compute-sanitizer
FIRST_PORT = 49200  # of those


def gtest_counts(output: str) -> dict[str, int]:
    return {word.lower(): sum(map(int, re.findall(rf"^\[ *{word} *\] (\d+) test", output, re.MULTILINE)))
            for word in ("PASSED", "FAILED", "SKIPPED")}


def run_tests(suite: Suite) -> bool:
    passed = True
    for program in filter(lambda path: suite.wanted(path.name), suite.programs(TESTS)):
        begin = time.monotonic()
        status, output = suite.run([program])
        counts = gtest_counts(output)
        suite.row("Tests", what=program.name, **counts, status=status, seconds=round(time.monotonic() - begin, 1))
        if status != 0 or counts["passed"] == 0:
            passed = False
            suite.details[program.name] = output[-6000:]
    return passed


def correctness(suite: Suite) -> bool:
    passed = run_tests(suite)
    if suite.wanted("golden") and (suite.place / "golden" / "index.json").exists():
        status, output = suite.run([suite.binaries / "golden_check", suite.place / "golden",
                                    *(["--device=cuda"] if suite.device == "cuda" else [])], 200)
        for line in output.splitlines():
            if match := re.fullmatch(r"(\S.*): (\d+)/(\d+)", line):
                suite.row("Golden data", what=match[1], passed=int(match[2]), of=int(match[3]))
        suite.details["golden_check"] = output[-4000:]
        passed = passed and status == 0
    if suite.device == "cuda" and suite.wanted("refusals"):
        passed = refusals.refusals(suite) and passed
    if suite.device == "cuda" and suite.wanted("two workers"):
        passed = refusals.two_workers(suite) and passed
    if suite.wanted("structured"):
        passed = structured.structured(suite) and passed
    if suite.wanted("float32"):
        variants = ["prefill=", "decode=--decode-from 64", "generic=--generic --decode-from 64",
                    "deterministic=--deterministic --decode-from 64"]
        result = suite.place / "float32.json"
        status, output = suite.run([sys.executable, suite.place / "compare_float32.py", "--model", suite.checkpoint(), "--logits-dump",
                                    suite.binaries / "logits_dump", "--device", suite.device, "--json", result,
                                    *(word for variant in variants for word in ("--variant", variant))], 120)
        suite.details["compare_float32"] = output[-4000:]
        if result.exists():
            report = json.loads(result.read_text())
            suite.details["float32"] = report
            for name, row in [("transformers bf16", report["bfloat16"]), *report["ours"].items()]:
                if "failed" in row:
                    suite.row("Logits against transformers that could not be had", what=name, why=row["failed"])
                    continue
                suite.row("Logits against transformers in float32, 64 prompts, teacher-forced over 128 positions", what=name,
                          relative=row["relative"], ratio=row.get("ratio", 1.0), bound=1.1, rms=row["rms"], largest=row["largest"],
                          positions=row["positions"], argmax_equal=row["argmax_equal"], clear=row["clear_positions"],
                          clear_equal=row["clear_argmax_equal"])
        if status != 0:
            print(output[-2000:])
        passed = passed and status == 0
    return passed


def tests_in(suite: Suite, program: pathlib.Path) -> list[str]:
    """As --gtest_filter takes them. To list them needs no GPU."""
    names, group = [], ""
    for line in suite.run([program, "--gtest_list_tests"])[1].splitlines():
        words = line.split()
        if line.startswith("  "):
            names.append(group + words[0])
        elif words and words[0].endswith("."):
            group = words[0]
    return names


def sanitizer(suite: Suite) -> bool:
    """compute-sanitizer over each test by itself, many side by side: a tool waits for its host more than for the GPU. What is not through
    in time counts as failed. --only names tools, tests, or both."""
    words = list(filter(None, suite.only.split(",")))
    named = [word for word in words if word not in SANITIZERS]
    programs = [program for program in suite.programs(TESTS)
                if "host_test" not in program.name and (not named or any(word in program.name for word in named))]
    tools = [tool for tool in SANITIZERS if tool in words] or SANITIZERS
    tests = {program: tests_in(suite, program) for program in programs}
    passed = bool(programs) and all(tests.values())
    ports = queue.SimpleQueue()  # each tool listens at ten, from its base on
    for index in range(SIDE_BY_SIDE):
        ports.put(FIRST_PORT + 10 * index)

    def one(tool: str, program: pathlib.Path, test: str) -> tuple[int, str, float]:
        port = ports.get()
        begin = time.monotonic()
        status, output = suite.run(["compute-sanitizer", "--tool", tool, "--error-exitcode", "99", "--print-limit", "10", "--launch-timeout", "120",
                                    "--port", port, program, f"--gtest_filter={test}"])
        ports.put(port)
        return status, output, time.monotonic() - begin

    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        started = [(tool, program, [threads.submit(one, tool, program, test) for test in tests[program]]) for tool in tools for program in programs]
        for tool, program, runs in started:
            done = [run.result() for run in runs]
            counts = {word: sum(gtest_counts(output)[word] for _, output, _ in done) for word in ("passed", "failed", "skipped")}
            status = next((status for status, _, _ in done if status != 0), 0)  # below 0: killed by a signal
            suite.row("compute-sanitizer", what=f"{tool} {program.name}", **counts, status=status,
                      unclean=sum(status != 0 for status, _, _ in done), seconds=round(sum(seconds for _, _, seconds in done), 1))
            if status != 0 or counts["passed"] == 0:
                passed = False
                suite.details[f"{tool} {program.name}"] = "\n".join(output[-3000:] for status, output, _ in done if status != 0)
    return passed


def kernels(suite: Suite) -> bool:
    passed = True
    for program in filter(lambda path: suite.wanted(path.name), suite.programs("kernel_bench*")):
        status, output = suite.run([program])
        suite.details[program.name] = output
        suite.row("Kernel benches (figures below)", what=program.name, status=status)
        print(output)
        passed = passed and status == 0
    return passed


def profile(suite: Suite) -> bool:
    """What a step is made of. One program for each line: its engine is as large as the batch."""
    passed = True
    lines = [("flat", "--batch", batch) for batch in (1, 32, 128, 256, 1024)] + [("peaked", "--batch", 256), ("peaked", "--batch", 1024),
                                                                                 ("flat", "--streams", 256)]
    for weights, flag, size in lines:
        name = f"{weights} {flag.removeprefix('--')} {size}"
        if not suite.wanted(name):
            continue
        size = min(size, 4) if suite.device == "cpu" else size
        more = ["--rounds", "3", "--turnaround-us", "1500"] if flag == "--streams" else ["--context", 512, "--decode-steps", 128]
        status, output = suite.run([suite.binaries / "swiftlet", "bench", "--profile", "--model", suite.checkpoint(weights == "peaked"),
                                    "--device", suite.device, flag, size, *more, *SAMPLING], 60)
        suite.details[f"profile {name}"] = output
        suite.row("Profile (figures below)", what=name, status=status)
        print(output)
        passed = passed and (status == 0 or suite.device == "cpu")  # the CPU has no kernels to show
    return passed


PARTS = {"correctness": correctness, "sanitizer": sanitizer, "kernels": kernels, "engine": speed.engine,
         "served": served_part.served_part, "profile": profile}
