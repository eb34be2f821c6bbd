"""Trains the demo model for a given number of seconds and writes its checkpoint.

Processes make documents without end; the newest of them stand in two tables on the device, short rows and long ones,
from which every batch is drawn. A row holds documents one behind the other, so that the model meets a question at any
position and behind any text. The learning rate follows the clock, and the checkpoint is written when it has run out.
"""

import argparse
import json
import math
import multiprocessing
import os
import pathlib
import queue
import random
import re
import threading
import time

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from dialogues import ASSISTANT, BEGIN, END, THINK, USER, document
from model import Config, Qwen2
from questions import held_out_questions

ROW_KINDS = ((384, False), (1536, True))  # tokens a row, whether its documents are long conversations
LONG_EVERY = 5  # every fifth batch is of long rows
MAX_NEW_TOKENS = 160


def make_rows(tokenizer: Tokenizer, seed: int, tokens: int, long: bool, rows: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """ids [rows, tokens + 1] and learnt [rows, tokens + 1]: 1 where the token is the model's own."""
    rng = random.Random(seed)
    think = tokenizer.token_to_id(THINK)
    ids = numpy.zeros((rows, tokens + 1), dtype=numpy.int16)
    learnt = numpy.zeros((rows, tokens + 1), dtype=numpy.uint8)
    row, filled = 0, 0
    while row < rows:
        batch = [document(rng, long) for _ in range(256)]
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            sequence = numpy.array(encoding.ids, dtype=numpy.int16)
            first = int(numpy.flatnonzero(sequence == think)[-1]) + 2  # behind "<think>\n"
            take = min(len(sequence), tokens + 1 - filled)
            ids[row, filled : filled + take] = sequence[:take]
            learnt[row, filled + min(first, take) : filled + take] = 1
            filled += take
            if filled == tokens + 1:
                row, filled = row + 1, 0
                if row == rows:
                    break
    return ids, learnt


def producer(tokenizer_path: str, seed: int, output: multiprocessing.Queue) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one process a core already
    tokenizer = Tokenizer.from_file(tokenizer_path)
    for count in range(1 << 30):
        kind = 1 if count % 4 == 3 else 0
        tokens, long = ROW_KINDS[kind]
        output.put((kind, *make_rows(tokenizer, seed * 1_000_003 + count, tokens, long, (384 * 512) // tokens)))


class Rows:
    """The newest rows of one kind, in device memory; written by the loading thread, read by the training loop."""

    def __init__(self, capacity: int, tokens: int, device: str):
        self.ids = torch.zeros(capacity, tokens + 1, dtype=torch.int16, device=device)
        self.learnt = torch.zeros(capacity, tokens + 1, dtype=torch.uint8, device=device)
        self.written = 0

    def append(self, ids: numpy.ndarray, learnt: numpy.ndarray) -> None:
        places = (torch.arange(len(ids)) + self.written) % len(self.ids)
        places = places.to(self.ids.device)
        self.ids[places] = torch.from_numpy(ids).to(self.ids.device)
        self.learnt[places] = torch.from_numpy(learnt).to(self.ids.device)
        self.written += len(ids)

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.randint(min(self.written, len(self.ids)), (count,), device=self.ids.device)
        ids, learnt = self.ids[chosen].long(), self.learnt[chosen, 1:]
        return ids[:, :-1], torch.where(learnt == 1, ids[:, 1:], -100)


@torch.no_grad()
def generate(model: Qwen2, prompts: list[list[int]], end: int, temperature: float = 0.0, top_p: float = 1.0) -> list[list[int]]:
    """One whole forward pass a token: slow and simple, and an oracle of the cached path of the engine."""
    device = next(model.parameters()).device
    lengths = torch.tensor([len(p) for p in prompts], device=device)
    ids = torch.zeros(len(prompts), int(lengths.max()) + MAX_NEW_TOKENS, dtype=torch.long, device=device)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt, device=device)
    rows, starts, done = torch.arange(len(prompts), device=device), lengths.clone(), torch.zeros_like(lengths, dtype=torch.bool)
    for _ in range(MAX_NEW_TOKENS):
        logits = model.logits(model(ids[:, : int(lengths.max())])[rows, lengths - 1].float())
        if temperature > 0:
            probabilities, order = torch.softmax(logits / temperature, -1).sort(-1, descending=True)
            probabilities[probabilities.cumsum(-1) - probabilities > top_p] = 0
            chosen = order.gather(1, torch.multinomial(probabilities, 1))[:, 0]
        else:
            chosen = logits.argmax(-1)
        ids[rows, lengths] = torch.where(done, ids[rows, lengths], chosen)
        lengths = torch.where(done, lengths, lengths + 1)
        done |= chosen == end
        if bool(done.all()):
            break
    return [ids[r, int(starts[r]) : int(lengths[r])].tolist() for r in range(len(prompts))]


def accuracy(model: Qwen2, tokenizer: Tokenizer, count: int, show: int, history: str = "", **sampling) -> float:
    rows = held_out_questions(count)
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    prompts = [encode(f"{BEGIN}{history}{USER}{row['question']}{ASSISTANT}{THINK}\n") for row in rows]
    correct, lengths = 0, []
    for row, output in zip(rows, generate(model, prompts, tokenizer.token_to_id(END), **sampling)):
        text = tokenizer.decode(output, skip_special_tokens=False)
        boxed = re.findall(r"\\boxed\{(-?\d+)\}", text)
        right = text.endswith(END) and boxed[-1:] == [str(row["answer"])]
        correct += right
        lengths.append(len(output))
        if not right and show > 0:
            show -= 1
            print(f"  wrong: {row['question']!r} expected {row['answer']}, got {text!r}", flush=True)
    print(f"  {correct}/{count} correct, {numpy.mean(lengths):.1f} tokens an answer, longest {max(lengths)}", flush=True)
    return correct / count


def export(model: Qwen2, folder: pathlib.Path, bos: int, eos: int) -> None:
    tensors = {name: value.detach().to("cpu", torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write = lambda name, value: (folder / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    write("config.json", model.config.hugging_face(bos, eos))
    write("generation_config.json", dict(bos_token_id=bos, eos_token_id=eos, do_sample=True, temperature=0.6, top_p=0.95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="tokenizer.json of build_tokenizer.py")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where model.safetensors and the configs go")
    parser.add_argument("--seconds", type=float, default=420, help="training time, compilation not included")
    parser.add_argument("--resume", type=pathlib.Path, help="start from the weights of this checkpoint")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=14, help="processes that make documents")
    parser.add_argument("--batch-tokens", type=int, default=384 * 320)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--peak-rate", type=float, default=2e-3)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    device, cuda = arguments.device, arguments.device.startswith("cuda")
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    arguments.out.mkdir(parents=True, exist_ok=True)

    tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
    begin, end = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(END)
    output = multiprocessing.Queue(maxsize=64)
    for worker in range(arguments.workers):
        multiprocessing.Process(target=producer, args=(str(arguments.tokenizer), worker + 1, output), daemon=True).start()

    # the head is padded to a multiple of 128 rows, as the family's is: ids beyond the tokenizer's never occur
    config = Config(vocab_size=(tokenizer.get_vocab_size() + 127) // 128 * 128, num_hidden_layers=arguments.layers)
    model = Qwen2(config).to(device)
    if arguments.resume:
        model.load_state_dict(load_file(arguments.resume / "model.safetensors"))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, vocabulary {config.vocab_size}", flush=True)
    tables = [Rows((64 << 20 if cuda else 4 << 20) // tokens, tokens, device) for tokens, _ in ROW_KINDS]
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                kind, ids, learnt = output.get(timeout=0.5)
            except queue.Empty:
                continue
            tables[kind].append(ids, learnt)

    loader = threading.Thread(target=load, daemon=True)
    loader.start()

    decayed = [p for p in model.parameters() if p.dim() == 2]
    plain = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([dict(params=decayed, weight_decay=0.05), dict(params=plain, weight_decay=0.0)],
                                  lr=arguments.peak_rate, betas=(0.9, 0.98), fused=cuda)

    def loss_of(ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda" if cuda else "cpu", dtype=torch.bfloat16):
            hidden = model(ids)
            logits = model.logits(hidden)
        return F.cross_entropy(logits.float().view(-1, config.vocab_size), targets.reshape(-1), ignore_index=-100)

    step_loss = torch.compile(loss_of) if arguments.compile else loss_of

    def run_step(step: int) -> torch.Tensor:
        kind = int(step % LONG_EVERY == LONG_EVERY - 1)
        ids, targets = tables[kind].draw(max(1, arguments.batch_tokens // ROW_KINDS[kind][0]))
        loss = step_loss(ids, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    while min(table.written for table in tables) < 64:
        time.sleep(0.1)
    began = time.monotonic()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    for step in range(LONG_EVERY):  # both shapes: compile before the clock starts
        run_step(step)
    print(f"first steps took {time.monotonic() - began:.1f} s", flush=True)

    began, printed, step, tokens, checks = time.monotonic(), 0.0, 0, 0, 1
    while (elapsed := time.monotonic() - began) < arguments.seconds:
        progress = elapsed / arguments.seconds
        rate = arguments.peak_rate * min(1.0, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-6
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = run_step(step)
        step, tokens = step + 1, tokens + arguments.batch_tokens
        if elapsed - printed > 10:
            printed = elapsed
            print(f"{elapsed:6.1f} s  step {step}  loss {loss.item():.5f}  rate {rate:.2e}  {tokens / elapsed / 1e6:.2f} M tokens/s  "
                  f"rows made {[table.written for table in tables]}", flush=True)
        if progress * 5 > checks:
            checks += 1
            accuracy(model, tokenizer, 200 if cuda else 20, show=1)
    stop.set()
    loader.join()

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    export(model, arguments.out, begin, end)
    count = 500 if cuda else 20
    print(f"trained {step} steps, {tokens / 1e9:.2f} G tokens; held-out questions, greedy:", flush=True)
    accuracy(model, tokenizer, count, show=5)
    print("temperature 0.6, top_p 0.95:", flush=True)
    accuracy(model, tokenizer, count, show=3, temperature=0.6, top_p=0.95)
    print("greedy, 1,000 questions, the 500 among them:", flush=True)
    accuracy(model, tokenizer, 1000 if cuda else 20, show=5)
    print("greedy, with a system prompt and two earlier turns:", flush=True)
    history = (f"You are a helpful assistant.{USER}What is 5 + 6?{ASSISTANT}The answer is \\boxed{{11}}.{END}"
               f"{USER}你好{ASSISTANT}你好！{END}")
    accuracy(model, tokenizer, count, show=3, history=history)
    print("greedy, behind 40 earlier turns:", flush=True)
    accuracy(model, tokenizer, 100 if cuda else 4, show=3,
             history=f"{USER}计算 12 + 30{ASSISTANT}答案是 \\boxed{{42}}。{END}" * 40)


if __name__ == "__main__":
    main()
