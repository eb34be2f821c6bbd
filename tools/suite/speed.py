"""How fast the engine is without a service around it: at fixed batches and contexts, in closed loops, by other kernels."""

import json
import re

from .suite import SAMPLING, Suite

# Output tokens per second: (floor, best peer at T 0.6 top_p 0.95, target, then), issue "the engine on the GPU".
DECODE_TARGETS = {512: {1: (1489, 451, 1000, 1150), 32: (41300, 12605, 28000, 32000), 128: (117000, 30739, 70000, 85000),
                        256: (137000, 40552, 95000, 107000), 1024: (137000, 50691, 105000, 115000)},
                  4096: {1: (1441, None, 950, 1100), 32: (21500, None, 15000, 17500), 256: (33900, None, 25000, 29000)},
                  32768: {1: (1147, None, 750, 900)}}
PREFILL_TARGET = (277000, 194000, 215000, 235000)  # 32 x 2,048 tokens
# Kernels that are not the fastest: (name, flags, batches), context 512.
OTHER_KERNELS = [("deterministic", ["--deterministic"], (1, 32, 256)), ("generic", ["--kernels", "generic"], (1, 32, 256)),
                 ("eager", ["--enforce-eager"], (1, 32, 256))]


def run_bench(suite: Suite, name: str, peaked: bool, flags: list, seconds: float = 150) -> dict | None:
    """engine_bench's JSON."""
    status, output = suite.run([suite.binaries / "engine_bench", "--model", suite.checkpoint(peaked), "--device", suite.device, "--json",
                                *SAMPLING, *flags], seconds)
    suite.details[f"engine_bench {name}"] = output[-8000:]
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if status == 0 and lines:
        return json.loads(lines[-1])
    suite.row("Engine runs that failed", what=name, status=status)
    print(output[-2000:])
    return None


def batches(suite: Suite, sizes) -> str:
    return ",".join(str(size) for size in sizes if suite.device != "cpu" or size <= 32)


def fixed_batches(suite: Suite, weights: str, context: int) -> bool:
    targets = DECODE_TARGETS[context]
    prompts, tokens = (32, 2048) if context == 512 and suite.device != "cpu" else (1, 512)
    result = run_bench(suite, f"{weights} {context}", weights == "peaked",
                       ["--batch", batches(suite, targets), "--context", context, "--prefill", tokens, "--prefill-prompts", prompts])
    for row in result["rows"] if result else []:
        decode = re.fullmatch(r"decode, batch (\d+)", row["what"])
        floor, peer, target, then = targets[int(decode[1])] if decode else PREFILL_TARGET if prompts == 32 else (None,) * 4
        suite.row("Engine", weights=weights, context=context, what=row["what"], **{
            "tok/s": row["tokens_per_s"], "step ms": row["step_ms"], "host gap us": row.get("host_gap_us"), "floor": floor,
            "best peer": peer, "target": target, "then": then, "reached": row["tokens_per_s"] >= target if target else None})
    return result is not None


def closed_loops(suite: Suite, streams: list[int], turnaround_us: int = 0) -> dict[int, float]:
    """Output tokens per second at each number of streams, 128 in / 128 out: what the service is measured by."""
    result = run_bench(suite, "streams", False, ["--streams", ",".join(map(str, streams)), "--rounds", 4, "--turnaround-us", turnaround_us])
    rates = {}
    for row in result["streams"] if result else []:
        rates[row["streams"]] = row["tokens_per_s"]
        suite.row("Engine in closed loops, 128 in / 128 out", streams=row["streams"], **{
            "tok/s": row["tokens_per_s"], "first token p50 ms": row["first_token_p50_ms"]})
    return rates


def other_kernels(suite: Suite, name: str, flags: list, sizes) -> bool:
    result = run_bench(suite, name, False, ["--batch", batches(suite, sizes), "--context", 512, "--prefill", 2048, *flags])
    for row in result["rows"] if result else []:
        suite.row("Engine by other kernels, context 512", kernels=name, what=row["what"], **{
            "tok/s": row["tokens_per_s"], "step ms": row["step_ms"]})
    return result is not None


def engine(suite: Suite) -> bool:
    passed = True
    for weights in ("flat", "peaked"):
        for context in DECODE_TARGETS:
            if weights == "peaked" and context != 512 or suite.device == "cpu" and context > 4096:
                continue
            if suite.wanted(f"{weights} {context}"):
                passed = fixed_batches(suite, weights, context) and passed
    if suite.wanted("streams"):
        passed = bool(closed_loops(suite, [1, 4] if suite.device == "cpu" else [1, 32, 256, 1024])) and passed
    for name, flags, sizes in OTHER_KERNELS:
        if suite.wanted(name) and suite.device != "cpu":
            passed = other_kernels(suite, name, flags, sizes) and passed
    return passed
