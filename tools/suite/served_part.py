"""How fast the service is, beside what its engine gives on the same lengths, and what it takes of the host."""

import concurrent.futures
import time

from . import served, speed
from .suite import SAMPLING, Suite

# concurrency: (requests, vLLM tok/s, target tok/s, target TTFT p50 ms)
SERVED = {1: (24, None, None, 6), 32: (512, 10825, 24000, None), 256: (4096, 30982, 70000, 40), 1024: (8192, 38271, 80000, 120)}


def served_part(suite: Suite) -> bool:
    """Steps: "flat streams", "flat load", "flat long", "flat idle", "peaked streams"."""
    passed = True
    rates = {}
    if suite.wanted("flat streams"):
        rates = speed.closed_loops(suite, [1, 4] if suite.device == "cpu" else list(SERVED))
        passed = bool(rates)
    for weights, steps in (("flat", ("streams", "load", "long", "idle")), ("peaked", ("streams",))):
        wanted = [step for step in steps if suite.wanted(f"{weights} {step}")]
        if not wanted:
            continue
        flags = ["--log-level", "warning"] + (["--device", "cuda"] if suite.device == "cuda" else ["--device", "cpu"])
        with served.Service(suite.binaries, suite.checkpoint(weights == "peaked"), flags, suite.environment) as service:
            suite.row("Ready", weights=weights, **{"ready s": round(service.ready_s, 2), "target s": 6})
            if suite.device == "cuda":
                service.wait_captured()
            for step in wanted:
                if suite.left() < 25:
                    suite.row("No time was left", weights=weights, step=step)
                    passed = False
                    continue
                passed = STEPS[step](suite, service, weights, rates if weights == "flat" else {}) and passed
    return passed


def closed_loops(suite: Suite, service: served.Service, weights: str, engine_rates: dict[int, float]) -> bool:
    passed = True
    for concurrency, (requests, vllm, target, target_ttft) in SERVED.items():
        if suite.left() < 25:
            suite.row("No time was left", weights=weights, step=f"{concurrency} streams")
            return False
        if suite.device == "cpu":
            if concurrency > 32:
                continue
            requests = 2 * concurrency
        result = service.bench(concurrency, requests, warmup=concurrency, more=SAMPLING)
        cpu = {name: served.per_million(result, name) for name in ("worker", "gateway", "tokenizer")}
        step_thread = max((value for name, value in result["cpu_s"].items() if name.startswith("worker/")), default=0)
        step_thread_cpu = 1e6 * step_thread / max(1, result["output_tokens_total"])
        suite.details[f"served {weights} {concurrency}"] = result
        rate = result["output_tokens_per_s"]
        suite.row("Served", weights=weights, streams=concurrency, **{
            "tok/s": rate, "vLLM": vllm, "target": target, "of the engine": rate / engine_rates[concurrency] if concurrency in engine_rates else None,
            "TTFT p50 ms": result["time_to_first_token"]["p50_ms"], "target ms": target_ttft,
            "ITL p50 ms": result["inter_token"]["p50_ms"], "ITL p99 ms": result["inter_token"]["p99_ms"],
            "failed": result["failed"], "GPU busy": result.get("gpu_busy"),
            "worker cores": cpu["worker"] * rate / 1e6, "worker cpu s/M": cpu["worker"], "besides the step thread": cpu["worker"] - step_thread_cpu,
            "gateway cpu s/M": cpu["gateway"], "tokenizer cpu s/M": cpu["tokenizer"], "client cores": result["client_cpu_share"]})
        passed = passed and result["failed"] == 0
    return passed


def part_load(suite: Suite, service: served.Service, weights: str, _) -> bool:
    """Requests at random times, 70 % of what 256 streams can do."""
    streams = 4 if suite.device == "cpu" else 256
    known = suite.details.get(f"served {weights} {streams}") or service.bench(streams, 6 * streams, warmup=streams, more=SAMPLING)
    full = known["requests_per_s"]
    result = service.load(1024, max(4, int(8 * full)), 128, 128, (*SAMPLING, "--rate", str(0.7 * full)))
    between = result["inter_token"]
    suite.row("70 % load", weights=weights, **{
        "requests/s": result["requests_per_s"], "ITL p50 ms": between["p50_ms"], "ITL p99 ms": between["p99_ms"],
        "p99 / p50": between["p99_ms"] / between["p50_ms"], "bound": 1.5, "TTFT p50 ms": result["time_to_first_token"]["p50_ms"],
        "TTFT p99 ms": result["time_to_first_token"]["p99_ms"], "failed": result["failed"]})
    return result["failed"] == 0


def long_prompts(suite: Suite, service: served.Service, weights: str, _) -> bool:
    """Prompts of 8,192 tokens, one a second, into 64 decoders."""
    decoders, tokens, prompt, prompts = (4, 64, 256, 2) if suite.device == "cpu" else (64, 4096, 8192, 6)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        decoding = pool.submit(service.load, decoders, decoders, 128, tokens, (*SAMPLING, "--seed", "7"))
        time.sleep(1)
        injected = pool.submit(service.load, 4, prompts, prompt, 1, (*SAMPLING, "--endpoint", "completions", "--vocabulary-size", "100000",
                                                                     "--rate", "1"))
        decoded, answered = decoding.result(), injected.result()
    between = decoded["inter_token"]
    suite.row(f"{prompt}-token prompts, one a second, into {decoders} decoders", weights=weights, **{
        "ITL p50 ms": between["p50_ms"], "ITL p99 ms": between["p99_ms"], "p99 / p50": between["p99_ms"] / between["p50_ms"],
        "bound": 4, "TTFT of the prompts p50 ms": answered["time_to_first_token"]["p50_ms"], "failed": decoded["failed"] + answered["failed"]})
    return decoded["failed"] + answered["failed"] == 0


def idle(suite: Suite, service: served.Service, weights: str, _) -> bool:
    time.sleep(0.5)
    before, seconds = service.cpu(), 3
    time.sleep(seconds)
    after = service.cpu()
    for name in ("worker", "gateway", "tokenizer"):
        suite.row("Idle", weights=weights, process=name, **{"cores": (after[name] - before[name]) / seconds, "bound": 0.01})
    return True


STEPS = {"streams": closed_loops, "load": part_load, "long": long_prompts, "idle": idle}
