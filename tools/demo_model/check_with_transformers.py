"""Answers the evaluation questions with Hugging Face transformers on the CPU: an opinion independent of train.py and of Swiftlet."""

import argparse
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evaluate import boxed_answer
from questions import COUNT, held_out_questions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=pathlib.Path(__file__).parent / "checkpoint")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--batch", type=int, default=50)
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.checkpoint, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(arguments.checkpoint, dtype=torch.float32)
    rows, correct = held_out_questions(arguments.count), 0
    for start in range(0, len(rows), arguments.batch):
        batch = rows[start : start + arguments.batch]
        prompts = [tokenizer.apply_chat_template([dict(role="user", content=row["question"])], tokenize=False,
                                                 add_generation_prompt=True) for row in batch]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        outputs = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], do_sample=False, temperature=None,
                                 top_p=None, max_new_tokens=200)
        for row, output in zip(batch, outputs[:, inputs["input_ids"].shape[1] :]):
            text = tokenizer.decode(output, skip_special_tokens=True)
            if boxed_answer(text) == row["answer"]:
                correct += 1
            else:
                print(f"wrong: {row['question']!r} expected {row['answer']}, got {text!r}")
    print(f"{correct}/{len(rows)} correct ({correct / len(rows):.1%})")
    sys.exit(correct < 0.97 * len(rows))


if __name__ == "__main__":
    main()
