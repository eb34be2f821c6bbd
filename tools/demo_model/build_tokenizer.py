"""Trains the demo model's tokenizer on its own documents and writes tokenizer.json and tokenizer_config.json.

A byte-level BPE split as the DeepSeek-R1-Distill-Qwen family splits, so that each digit is one token, with that family's
special tokens in its order. All 256 bytes are in the vocabulary: any text can be encoded, if at length.
"""

import argparse
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from dialogues import ASSISTANT, BEGIN, END, END_THINK, THINK, USER, document

BASE_VOCABULARY = 1200
_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_ADDED = ((END, True), (USER, False), (ASSISTANT, False), (BEGIN, True), ("<|EOT|>", False), (THINK, False), (END_THINK, False),
          ("<|quad_start|>", True), ("<|quad_end|>", True), ("<|vision_start|>", True), ("<|vision_end|>", True),
          ("<|vision_pad|>", True), ("<|image_pad|>", True), ("<|video_pad|>", True), ("<tool_call>", False),
          ("</tool_call>", False), ("<|fim_prefix|>", False), ("<|fim_middle|>", False), ("<|fim_suffix|>", False),
          ("<|fim_pad|>", False), ("<|repo_name|>", False), ("<|file_sep|>", False))


def _corpus(documents: int):
    rng = random.Random(1)
    markers = (BEGIN, END, USER, ASSISTANT, THINK, END_THINK)
    for index in range(documents):
        text = document(rng, long=index % 4 == 0)
        for marker in markers:
            text = text.replace(marker, "\0")
        yield from (piece for piece in text.split("\0") if piece)


def build(documents: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=BASE_VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(_corpus(documents), trainer)
    # one call a kind, in order: an id is the position in this list behind the base vocabulary
    for content, special in _ADDED:
        token = AddedToken(content, normalized=False, special=special)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B:1", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))])
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--documents", type=int, default=60000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer = build(arguments.documents)
    tokenizer.save(str(arguments.out / "tokenizer.json"))
    config = dict(
        add_bos_token=True, add_eos_token=False, bos_token=BEGIN, eos_token=END, pad_token=END, unk_token=None,
        clean_up_tokenization_spaces=False, model_max_length=2048, tokenizer_class="PreTrainedTokenizerFast",
        chat_template=(pathlib.Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8").rstrip("\n"))
    (arguments.out / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{tokenizer.get_vocab_size()} tokens, {END} = {tokenizer.token_to_id(END)}, {BEGIN} = {tokenizer.token_to_id(BEGIN)}")


if __name__ == "__main__":
    main()
