#!/usr/bin/env python3
"""Holds the engine's logits against transformers in float32 on the same weights, beside transformers in bfloat16.

    tools/compare_float32.py --model DIR --logits-dump BINARY [--device cuda] [--variant "decode=--decode-from 64"]

Random prompts, teacher-forced: every position of every prompt is compared. Passes when ||ours - f32|| is at most 1.1 x
||transformers bf16 - f32||, and ours has float32's argmax wherever float32's two best logits are further apart than 8 x
our rms error; at least --min-positions positions must be that clear. Exit status 1 when it does not pass.
Needs torch and transformers; writes one JSON object to stdout (or --json), a table to stderr.
"""

import argparse
import fcntl
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time

MAX_RATIO = 1.1
CHUNK_POSITIONS = 128  # compared at once
CLEAR_GAP = 8.0  # times the rms error of a run


class RunError(Exception):
    pass


class Deviation:
    """How far one run's logits are from float32's, over all positions."""

    def __init__(self, reference):
        self.reference = reference  # [prompts][positions, vocab] float32
        self.squares, self.norm, self.count, self.largest = 0.0, 0.0, 0, 0.0
        self.gaps, self.same = [], []  # of each position: float32's top-2 gap, whether the argmax is the same

    def add(self, pieces: list) -> None:
        """`pieces`: (prompt, first position, logits [positions, vocab]); many small ones at once cost as one."""
        import torch
        logits = torch.cat([rows for _, _, rows in pieces])
        reference = torch.cat([self.reference[prompt][first:first + len(rows)] for prompt, first, rows in pieces])
        difference = logits.float() - reference
        self.squares += difference.double().square().sum().item()
        self.norm += reference.double().square().sum().item()
        self.largest = max(self.largest, difference.abs().max().item())
        self.count += difference.numel()
        top = reference.topk(2, dim=-1)
        self.gaps += (top.values[:, 0] - top.values[:, 1]).tolist()
        self.same += (logits.argmax(-1) == top.indices[:, 0]).tolist()

    def summary(self) -> dict:
        rms = math.sqrt(self.squares / self.count)
        clear = [same for gap, same in zip(self.gaps, self.same) if gap > CLEAR_GAP * rms]
        return {"relative": math.sqrt(self.squares / self.norm), "rms": rms, "largest": self.largest, "positions": len(self.gaps),
                "argmax_equal": sum(self.same), "clear_positions": len(clear), "clear_argmax_equal": sum(clear)}


def read_exactly(stream, size: int) -> bytearray:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = stream.readinto(view[done:])
        if not count:
            raise RunError(f"its output ended at {done} of {size} bytes")
        done += count
    return data


def run_ours(command: list[str], deviation: Deviation, device: str) -> str:
    """Adds every record of logits_dump to `deviation`; returns what it says of its numerics."""
    import numpy
    import torch
    process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
    try:
        fcntl.fcntl(process.stdout, 1031, 1 << 20)  # F_SETPIPE_SZ
    except OSError:
        pass
    head = b""
    while not head.endswith(b"\n"):
        byte = process.stdout.read(1)
        if not byte:
            raise RunError(f"ended with {process.wait()}")
        head += byte
    head = json.loads(head)
    left = sum(len(rows) for rows in deviation.reference)
    pieces = []
    while left > 0:
        prompt, first, count = numpy.frombuffer(read_exactly(process.stdout, 12), dtype="<i4").tolist()
        rows = numpy.frombuffer(read_exactly(process.stdout, head["bytes"] * count * head["vocab_size"]), dtype=f"<f{head['bytes']}")
        pieces.append((prompt, first, torch.from_numpy(rows.reshape(count, -1)).to(device)))
        left -= count
        if left == 0 or sum(len(rows) for _, _, rows in pieces) >= CHUNK_POSITIONS:
            deviation.add(pieces)
            pieces = []
    if status := process.wait():
        raise RunError(f"ended with {status}")
    return head["numerics"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--logits-dump", required=True, type=pathlib.Path)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="of both sides")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--positions", type=int, default=128)
    parser.add_argument("--min-positions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FLAGS",
                        help="one run of logits_dump each, such as 'decode=--decode-from 64'; default: one without flags")
    arguments = parser.parse_args()

    import torch
    import transformers
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    begin = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {text}", file=sys.stderr, flush=True)

    config = json.loads((arguments.model / "config.json").read_text())
    draw = random.Random(arguments.seed)
    prompts = [[draw.randrange(config["vocab_size"]) for _ in range(arguments.positions)] for _ in range(arguments.prompts)]

    def load(dtype):
        model = transformers.AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype, local_files_only=True)
        return model.eval().to(arguments.device)

    def logits_of(model, prompt):
        return model(torch.tensor([prompt], device=arguments.device), use_cache=False).logits[0]

    with torch.inference_mode():
        model = load(torch.float32)
        log("transformers, float32")
        reference = [logits_of(model, prompt) for prompt in prompts]
        model = load(torch.bfloat16)
        log("transformers, bfloat16")
        bfloat16 = Deviation(reference)
        for index, prompt in enumerate(prompts):
            bfloat16.add([(index, 0, logits_of(model, prompt))])
        del model
        report = {"model": arguments.model.name, "torch": torch.__version__, "transformers": transformers.__version__,
                  "prompts": arguments.prompts, "positions": arguments.positions, "bfloat16": bfloat16.summary(), "ours": {}}
        passed = True

        def write() -> None:
            report["passed"] = passed and len(report["ours"]) == len(variants)
            if arguments.json:
                arguments.json.write_text(json.dumps(report, indent=1) + "\n")

        variants = arguments.variant or ["default="]
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("".join(" ".join(map(str, prompt)) + "\n" for prompt in prompts))
            file.flush()
            for variant in variants:
                write()  # what is known, should the time be over before all is
                name, _, flags = variant.partition("=")
                log(f"ours, {name}")
                ours = Deviation(reference)
                command = [str(arguments.logits_dump), "--model", str(arguments.model), "--prompts", file.name, "--device",
                           arguments.device, *flags.split()]
                try:
                    numerics = run_ours(command, ours, arguments.device)
                except RunError as error:
                    log(f"logits_dump {flags}: {error}")
                    report["ours"][name] = {"failed": str(error), "passed": False}
                    passed = False
                    continue
                summary = ours.summary() | {"numerics": numerics}
                summary["ratio"] = summary["relative"] / report["bfloat16"]["relative"]
                summary["passed"] = (summary["ratio"] <= MAX_RATIO and summary["clear_positions"] >= arguments.min_positions
                                     and summary["clear_argmax_equal"] == summary["clear_positions"])
                passed = passed and summary["passed"]
                report["ours"][name] = summary
    write()
    log("done")
    rows = [("transformers bf16", report["bfloat16"] | {"ratio": 1.0, "passed": True}), *report["ours"].items()]
    print(f"{'':20} {'||x-f32||/||f32||':>18} {'ratio':>7} {'rms':>9} {'largest':>9} {'argmax equal':>14} {'where clear':>14}",
          file=sys.stderr)
    for name, row in rows:
        if "failed" in row:
            print(f"{name:20} FAILED: {row['failed']}", file=sys.stderr)
            continue
        print(f"{name:20} {row['relative']:18.5f} {row['ratio']:7.3f} {row['rms']:9.5f} {row['largest']:9.4f} "
              f"{row['argmax_equal']:>7}/{row['positions']:<6} {row['clear_argmax_equal']:>7}/{row['clear_positions']:<6}"
              f"{'' if row['passed'] else '  FAILED'}", file=sys.stderr)
    if not arguments.json:
        print(json.dumps(report, indent=1))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
