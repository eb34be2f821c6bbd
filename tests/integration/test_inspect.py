"""`swiftlet inspect`: the demo model, a real model's directory without its weights, and directories that cannot be served."""

import json
import pathlib
import shutil
import struct
import subprocess

import pytest

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "model_dirs"


@pytest.fixture
def inspect(binaries):
    def run(*arguments) -> subprocess.CompletedProcess:
        return subprocess.run([binaries / "swiftlet", "inspect", *map(str, arguments)], capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def copied(checkpoint, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(checkpoint, tmp_path / "model"))


def test_demo_model_is_told_whole(inspect, checkpoint):
    done = inspect(checkpoint, "--json", "--memory", "1GB", "--memory=1GiB")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    config = json.loads((checkpoint / "config.json").read_text())
    weights = report["weights"]
    assert report["servable"] and report["problems"] == []
    assert report["model"]["architecture"] == config["architectures"][0]
    assert report["model"]["num_layers"] == config["num_hidden_layers"]
    assert weights["files"] == ["model.safetensors"] and weights["unused_tensors"] == 0
    assert weights["bytes"] == report["model"]["parameters"] * 2 == weights["dtypes"]["BF16"]["bytes"]
    assert report["tokenizer"]["file"] == "tokenizer.json" and report["tokenizer"]["kind"] == "byte-level BPE"
    assert report["tokenizer"]["vocabulary_size"] <= report["model"]["vocab_size"]
    assert report["reasoning_tags"] == {"open": "<think>", "close": "</think>"}
    generation = json.loads((checkpoint / "generation_config.json").read_text())
    assert report["generation_defaults"]["temperature"] == pytest.approx(generation["temperature"])
    for cost in report["memory"]:
        element = 4 if cost["dtype"] == "float32" else 2
        assert cost["kv_bytes_per_token"] >= 2 * element * config["num_hidden_layers"] * config["num_key_value_heads"] * config.get("head_dim", 32)
        assert cost["weight_bytes"] >= element * report["model"]["parameters"] * 0.98  # the CPU's vectors are not in it
        fits = {(fit["memory_bytes"], fit["sequence_tokens"]): fit["sequences"] for fit in cost["fits"]}
        assert len(fits) == len(cost["fits"]) and {memory for memory, _ in fits} == {10**9, 2**30}
        for (memory, tokens), sequences in fits.items():
            used = cost["weight_bytes"] + sequences * -(-tokens // 64) * 64 * cost["kv_bytes_per_token"]
            assert 0 <= memory - used < -(-tokens // 64) * 64 * cost["kv_bytes_per_token"] + 64 * cost["kv_bytes_per_token"]
    assert [cost["automatic"] for cost in report["memory"]] == [True, False, True]
    text = inspect(checkpoint)
    assert text.returncode == 0 and "byte-level BPE" in text.stdout and "16.0 GB" in text.stdout and "PROBLEM" not in text.stdout


@pytest.mark.skipif(not SHARED.exists(), reason="the real model's directory is not here")
def test_real_model_without_its_weights(inspect):
    done = inspect(SHARED / "DeepSeek-R1-Distill-Qwen-1.5B", "--json", "--memory", "80GB")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and len(report["problems"]) == 1 and "model.safetensors" in report["problems"][0]
    assert report["model"]["parameters"] == 1_777_088_000
    gpu = report["memory"][-1]
    assert gpu["kv_bytes_per_token"] == 28 * 2 * 2 * 128 * 2
    assert gpu["weight_bytes"] == pytest.approx(3_554_176_000, rel=0.03)
    sentencepiece = inspect(SHARED / "sentencepiece-en", "--json")
    assert sentencepiece.returncode == 1 and json.loads(sentencepiece.stdout)["tokenizer"]["kind"] == "sentencepiece"


def corrupt_header(model: pathlib.Path) -> None:
    with (model / "model.safetensors").open("r+b") as file:
        file.write(struct.pack("<Q", 1 << 60))


def cut_short(model: pathlib.Path) -> None:
    with (model / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)


def set_config(**changes):
    def change(model: pathlib.Path) -> None:
        config = json.loads((model / "config.json").read_text()) | changes
        (model / "config.json").write_text(json.dumps(config))

    return change


@pytest.mark.parametrize("damage, words", [
    (corrupt_header, ["model.safetensors"]),
    (cut_short, ["model.safetensors"]),
    (set_config(architectures=["MambaForCausalLM"]), ["config.json", "MambaForCausalLM"]),
    (set_config(hidden_size=-1), ["config.json", "hidden_size"]),
    (set_config(num_hidden_layers=40), ["model.layers.", "tensors more"]),
    (lambda model: (model / "config.json").write_text("{"), ["config.json"]),
    (lambda model: (model / "config.json").unlink(), ["config.json"]),
    (lambda model: (model / "tokenizer.json").write_text("[]"), ["tokenizer.json"]),
    (lambda model: (model / "tokenizer.json").unlink(), ["tokenizer.json"]),
    (lambda model: (model / "generation_config.json").write_text('{"temperature": "warm"}'), ["generation_config.json", "temperature"]),
    (lambda model: (model / "chat_template.jinja").write_text("{% for %}"), ["chat_template.jinja"]),
])
def test_what_keeps_it_from_being_served_is_named(inspect, copied, damage, words):
    damage(copied)
    done = inspect(copied)
    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert (done.returncode, done.stderr, len(problems)) == (1, "", 1), done.stdout + done.stderr
    assert all(word in problems[0] for word in words), problems


def test_missing_parts_that_nobody_needs_are_notes(inspect, copied):
    (copied / "generation_config.json").unlink()
    done = inspect(copied)
    assert done.returncode == 0 and "generation_config.json is not there" in done.stdout


def test_escape_sequences_of_a_directory_are_shown_not_obeyed(inspect, copied):
    set_config(architectures=["A\x1b[31mB"])(copied)
    assert "A␛[31mB" in inspect(copied).stdout


@pytest.mark.parametrize("arguments, code, words", [
    ([], 64, "DIR is missing"),
    (["/nowhere/model"], 66, "/nowhere/model"),
    ([__file__], 66, "test_inspect.py"),
    ([".", "--memory", "much"], 64, "no size"),
    ([".", "--jsn"], 64, "did you mean --json?"),
])
def test_wrong_usage_is_one_line(inspect, arguments, code, words):
    done = inspect(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
    assert words in done.stderr
