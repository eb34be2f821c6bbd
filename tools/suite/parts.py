"""The parts of the device suite. Each fills tables of the Suite it is given and returns whether it passed; bounds of speed
stand beside the figures and do not fail a part, bounds of correctness do."""

import json
import re
import sys
import time

from . import refusals, served_part, speed, structured
from .suite import SAMPLING, Suite


def gtest_counts(output: str) -> dict[str, int]:
    return {word.lower(): sum(map(int, re.findall(rf"^\[ *{word} *\] (\d+) test", output, re.MULTILINE)))
            for word in ("PASSED", "FAILED", "SKIPPED")}


def run_tests(suite: Suite, table: str, prefix: list, name: str, seconds: float | None = None) -> bool:
    passed = True
    for program in suite.programs("*cuda*_test"):
        if prefix and "host_test" in program.name:
            continue  # has nothing of a device to be looked at
        begin = time.monotonic()
        status, output = suite.run([*prefix, program], seconds)
        counts = gtest_counts(output)
        suite.row(table, what=f"{name}{program.name}", **counts, status=status, seconds=round(time.monotonic() - begin, 1))
        if status != 0 or counts["passed"] == 0:
            passed = False
            suite.details[f"{name}{program.name}"] = output[-6000:]
    return passed


def correctness(suite: Suite) -> bool:
    passed = run_tests(suite, "Tests", [], "")
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


def sanitizer(suite: Suite) -> bool:
    """compute-sanitizer over the tests; what is not through in its share of the time counts as failed."""
    passed = True
    tools = [tool for tool in ("memcheck", "initcheck", "racecheck") if suite.wanted(tool) or not suite.only.endswith("check")]
    for index, tool in enumerate(tools):
        share = suite.left() / (len(tools) - index) / max(1, len(suite.programs("*cuda*_test")))
        prefix = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "99", "--print-limit", "10"]
        passed = run_tests(suite, "compute-sanitizer", prefix, f"{tool} ", share) and passed
    return passed


def kernels(suite: Suite) -> bool:
    passed = True
    for program in suite.programs("kernel_bench*"):
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
