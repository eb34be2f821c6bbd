"""The parts of the device suite. Each fills tables of the Suite it is given and returns whether it passed; bounds of speed
stand beside the figures and do not fail a part, bounds of correctness do."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from . import machine, served

MODEL = "DeepSeek-R1-Distill-Qwen-1.5B"
SAMPLING = ("--temperature", "0.6", "--top-p", "0.95")


class Suite:
    def __init__(self, place: pathlib.Path, deadline: float, device: str, only: str):
        self.place, self.deadline, self.device, self.only = place, deadline, device, only
        self.binaries = place / "bin"
        self.commit = json.loads((place / "bundle.json").read_text())["commit"]
        self.tables: dict[str, list[dict]] = {}
        self.details: dict[str, object] = {}
        inherited = os.environ.get("LD_LIBRARY_PATH")
        self.environment = {"LD_LIBRARY_PATH": ":".join(filter(None, [str(place / "lib"), machine.library_path(), inherited]))}

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def wanted(self, name: str) -> bool:
        return self.only in name

    def row(self, table: str, **columns) -> None:
        self.tables.setdefault(table, []).append(columns)
        print("  ".join(f"{key}: {value}" for key, value in columns.items()), flush=True)

    def programs(self, pattern: str) -> list[pathlib.Path]:
        return sorted(path for path in self.binaries.glob(pattern) if self.wanted(path.name))

    def run(self, command: list, seconds: float | None = None) -> tuple[int, str]:
        """Exit status and output of a program of the bundle; 124 when its time, or the part's, was over."""
        limit = min(self.left() - 5, seconds or self.left())
        if limit <= 0:
            return 124, "no time was left\n"
        try:
            ended = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace", timeout=limit, env=os.environ | self.environment, cwd=self.place)
            return ended.returncode, ended.stdout
        except subprocess.TimeoutExpired as error:
            return 124, (error.stdout or b"").decode(errors="replace") + f"\ntimed out after {limit:.0f} s\n"

    def checkpoint(self, peaked: bool = False) -> pathlib.Path:
        """Random weights of the model's shape, with the model's own tokenizer; written once."""
        source = self.place / "model_dirs" / MODEL
        target = self.place / ("peaked" if peaked else "flat") / MODEL
        if not (target / "config.json").exists():
            flags = ["--config", source / "config.json", "--tokenizer", source, "--out", target]
            begin = time.monotonic()
            status, output = self.run([self.binaries / "synth_checkpoint", *flags, *(["--peaked"] if peaked else [])], 120)
            if status != 0:
                raise OSError(f"synth_checkpoint ended with {status}: {output[-500:]}")
            self.details[f"seconds to write the {target.parent.name} checkpoint"] = round(time.monotonic() - begin, 2)
        return target


def gtest_counts(output: str) -> dict[str, int]:
    return {word.lower(): sum(map(int, re.findall(rf"^\[ *{word} *\] (\d+) test", output, re.MULTILINE)))
            for word in ("PASSED", "FAILED", "SKIPPED")}


def run_tests(suite: Suite, table: str, prefix: list, name: str, seconds: float | None = None) -> bool:
    passed = True
    for program in suite.programs("*cuda*_test"):
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
    if suite.wanted("float32"):
        variants = ["prefill=", "decode=--decode-from 64", "generic=--generic --decode-from 64",
                    "deterministic=--deterministic --decode-from 64"]
        result = suite.place / "float32.json"
        status, output = suite.run([sys.executable, suite.place / "compare_float32.py", "--model", suite.checkpoint(), "--logits-dump",
                                    suite.binaries / "logits_dump", "--device", suite.device, "--json", result,
                                    *(word for variant in variants for word in ("--variant", variant))], 240)
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


# Output tokens per second: (floor, best peer at T 0.6 top_p 0.95, target, then), issue "the engine on the GPU".
DECODE_TARGETS = {512: {1: (1489, 451, 1000, 1150), 32: (41300, 12605, 28000, 32000), 128: (117000, 30739, 70000, 85000),
                        256: (137000, 40552, 95000, 107000), 1024: (137000, 50691, 105000, 115000)},
                  4096: {1: (1441, None, 950, 1100), 32: (21500, None, 15000, 17500), 256: (33900, None, 25000, 29000)},
                  32768: {1: (1147, None, 750, 900)}}
PREFILL_TARGET = (277000, 194000, 215000, 235000)  # 32 x 2,048 tokens


def engine(suite: Suite) -> bool:
    passed = True
    for weights in ("flat", "peaked"):
        model = suite.checkpoint(weights == "peaked")
        for context, targets in DECODE_TARGETS.items():
            name = f"{weights} {context}"
            if not suite.wanted(name) or (weights == "peaked" and context != 512):
                continue
            status, output = suite.run([suite.binaries / "engine_bench", "--model", model, "--device", suite.device, "--batch",
                                        ",".join(map(str, targets)), "--context", context, "--json", *SAMPLING,
                                        *(["--prefill", 2048, "--prefill-prompts", 32] if context == 512 else [])], 150)
            suite.details[f"engine_bench {name}"] = output[-8000:]
            lines = [line for line in output.splitlines() if line.startswith("{")]
            if status != 0 or not lines:
                suite.row("Engine", weights=weights, context=context, what=f"engine_bench ended with {status}")
                passed = False
                continue
            for row in json.loads(lines[-1])["rows"]:
                decode = re.fullmatch(r"decode, batch (\d+)", row["what"])
                floor, peer, target, then = targets[int(decode[1])] if decode else (None,) * 4
                if not decode and "32 x 2048" in row["what"]:
                    floor, peer, target, then = PREFILL_TARGET
                suite.row("Engine", weights=weights, context=context, what=row["what"], **{
                    "tok/s": row["tokens_per_s"], "step ms": row["step_ms"], "host gap us": row.get("host_gap_us"), "floor": floor,
                    "best peer": peer, "target": target, "then": then,
                    "reached": row["tokens_per_s"] >= target if target else None})
    return passed


# concurrency: (requests, vLLM tok/s, target tok/s, target TTFT p50 ms)
SERVED = {1: (24, None, None, 6), 32: (512, 10825, 24000, None), 256: (4096, 30982, 70000, 40), 1024: (8192, 38271, 80000, 120)}


def served_part(suite: Suite) -> bool:
    passed = True
    for weights in ("flat", "peaked"):
        if not suite.wanted(weights) and suite.only:
            continue
        flags = ["--log-level", "warning"] + (["--device", "cuda"] if suite.device == "cuda" else [])
        with served.Service(suite.binaries, suite.checkpoint(weights == "peaked"), flags, suite.environment) as service:
            suite.row("Ready", weights=weights, **{"ready s": round(service.ready_s, 2), "target s": 6})
            for concurrency, (requests, vllm, target, target_ttft) in SERVED.items():
                if suite.left() < 30:
                    suite.row("Served", weights=weights, streams=concurrency, note="no time was left")
                    passed = False
                    continue
                if suite.device == "cpu":
                    requests = 2 * concurrency
                result = service.bench(concurrency, requests, warmup=concurrency, more=SAMPLING)
                cpu = {name: served.per_million(result, name) for name in ("worker", "gateway", "tokenizer")}
                step_thread = max((value for name, value in result["cpu_s"].items() if name.startswith("worker/")), default=0)
                suite.details[f"served {weights} {concurrency}"] = result
                suite.row("Served", weights=weights, streams=concurrency, **{
                    "tok/s": result["output_tokens_per_s"], "vLLM": vllm, "target": target,
                    "TTFT p50 ms": result["time_to_first_token"]["p50_ms"], "target ms": target_ttft,
                    "ITL p50 ms": result["inter_token"]["p50_ms"], "ITL p99 ms": result["inter_token"]["p99_ms"],
                    "failed": result["failed"], "GPU busy": result.get("gpu_busy"),
                    "worker cpu s/M": cpu["worker"], "of it one thread": 1e6 * step_thread / result["output_tokens_total"],
                    "gateway cpu s/M": cpu["gateway"], "tokenizer cpu s/M": cpu["tokenizer"],
                    "client cores": result["client_cpu_share"]})
                passed = passed and result["failed"] == 0
            if suite.device == "cuda" and weights == "flat" and suite.left() > 30:
                part_load(suite, service, weights)
            if suite.device == "cuda" and weights == "flat" and suite.left() > 25:
                long_prompts(suite, service, weights)
            before = service.cpu()
            time.sleep(2)
            after = service.cpu()
            for name in ("worker", "gateway", "tokenizer"):
                suite.row("Idle", weights=weights, process=name, **{"cores": (after[name] - before[name]) / 2, "bound": 0.01})
    return passed


def part_load(suite: Suite, service: served.Service, weights: str) -> None:
    """Requests at random times, 70 % of what 256 streams could do."""
    full = suite.details[f"served {weights} 256"]["requests_per_s"]
    result = service.load(1024, int(8 * full), 128, 128, (*SAMPLING, "--request-rate", str(0.7 * full)))
    between = result["inter_token"]
    suite.row("70 % load", weights=weights, **{
        "requests/s": result["requests_per_s"], "ITL p50 ms": between["p50_ms"], "ITL p99 ms": between["p99_ms"],
        "p99 / p50": between["p99_ms"] / between["p50_ms"], "bound": 1.5, "TTFT p50 ms": result["time_to_first_token"]["p50_ms"],
        "TTFT p99 ms": result["time_to_first_token"]["p99_ms"], "failed": result["failed"]})


def long_prompts(suite: Suite, service: served.Service, weights: str) -> None:
    """Prompts of 8,192 tokens, one a second, into 64 decoders."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        decoders = pool.submit(service.load, 64, 64, 128, 4096, (*SAMPLING, "--seed", "7"))
        time.sleep(1)
        prompts = pool.submit(service.load, 4, 6, 8192, 1, (*SAMPLING, "--endpoint", "completions", "--vocabulary-size", "100000",
                                                          "--request-rate", "1"))
        between, first = decoders.result()["inter_token"], prompts.result()["time_to_first_token"]
    suite.row("8,192-token prompts, one a second, into 64 decoders", weights=weights, **{
        "ITL p50 ms": between["p50_ms"], "ITL p99 ms": between["p99_ms"], "p99 / p50": between["p99_ms"] / between["p50_ms"],
        "bound": 4, "TTFT of the prompts p50 ms": first["p50_ms"]})


def profile(suite: Suite) -> bool:
    passed = True
    for weights, batches in (("flat", "1,32,256,1024"), ("peaked", "256")):
        status, output = suite.run([suite.binaries / "swiftlet", "bench", "--profile", "--model", suite.checkpoint(weights == "peaked"),
                                    "--device", suite.device, "--batch", batches, "--context", 512, "--decode-steps", 128,
                                    *SAMPLING], 200)
        suite.details[f"profile {weights}"] = output
        suite.row("Profile (figures below)", weights=weights, status=status)
        print(output)
        passed = passed and status == 0
    return passed


PARTS = {"correctness": correctness, "sanitizer": sanitizer, "kernels": kernels, "engine": engine, "served": served_part,
         "profile": profile}
