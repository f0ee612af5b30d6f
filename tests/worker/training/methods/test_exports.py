"""What a run leaves behind computes elsewhere what was trained here: in plain PEFT, in transformers, when served."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from core.kit.hashing import sha256_file
from core.training.methods import FullMethod, quantization_of
from core.training.spec import RunInput
from tests.worker.training.methods.every_method import LOW_RANK, METHODS, learned, logits_of, prepare, rows
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_weights import read_adapter_weights
from worker.inference.runtime import load_runtime
from worker.training import adapter_output
from worker.training.adapter_output import Made
from worker.training.methods import full
from worker.training.methods.base import quantization_config
from worker.training.methods.model import Machine, TunableModel
from worker.training.parity import Identity

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
SHIPPED_AS_ADAPTER = [name for name in METHODS if name != "full"]


def export(folder: Path, model: TunableModel, name: str, base_model_dir: Path, *, best_step: int = 8) -> Path:
    made = Made(
        model=model,
        run=RunInput(base_model="tiny", method=METHODS[name], base_model_dir=base_model_dir),
        identity=Identity(template_sha256="0" * 64, tokenizer_sha256="1" * 64, base_sha256=None),
        compute_dtype=torch.float32,
        results={"best_step": best_step, "steps": 8},
    )
    adapter_output.write(folder, made, model.adapter_tensors())
    return folder


def plain_base(base_model_dir: Path, name: str) -> PreTrainedModel:
    options = {"quantization_config": quantization_config(torch.float32)} if quantization_of(METHODS[name]) else {}
    return AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32, **options)


def plain_peft(base_model_dir: Path, name: str, folder: Path) -> PeftModel:
    with warnings.catch_warnings():
        # peft still reads a property that transformers has renamed
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        tuned = PeftModel.from_pretrained(plain_base(base_model_dir, name), str(folder))
    # out of training mode bitsandbytes repacks 4-bit weights for another, less exact product
    return tuned.train(quantization_of(METHODS[name]) is not None)


def last_logits(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Of the real tokens: PEFT also answers at learned vectors before them."""
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids[None]).logits[0, -len(ids) :]
    return logits


def served_logits(folder: Path, name: str, base_model_dir: Path, ids: torch.Tensor) -> torch.Tensor:
    """Of the last token, by the inference runtime."""
    runtime = load_runtime(base_model_dir, quantization_of(METHODS[name]))
    adapter = read_adapter_weights(
        (folder / adapter_output.WEIGHTS).read_bytes(),
        parse_adapter_config((folder / adapter_output.CONFIG).read_bytes()),
        digest="d",
        base=runtime,
    )
    runtime.prefill(0, ids[:5].tolist(), 0, adapter)
    return runtime.prefill(0, ids[5:].tolist(), 5, adapter)


@pytest.mark.parametrize("name", SHIPPED_AS_ADAPTER)
def test_plain_peft_loads_an_adapter_with_equal_logits(tmp_path: Path, base_model_dir: Path, name: str) -> None:
    model, [ids] = learned(base_model_dir, name), rows(12)
    folder = export(tmp_path / "adapter", model, name, base_model_dir)
    expected = logits_of(model, [ids])
    tuned = plain_peft(base_model_dir, name, folder)
    torch.testing.assert_close(last_logits(tuned, ids), expected, **TOLERANCE)
    assert not torch.allclose(last_logits(plain_base(base_model_dir, name), ids), expected, atol=1e-2)


@pytest.mark.parametrize("name", ["lora", "dora", "pissa"])
def test_a_rank_above_the_width_of_a_layer_is_shipped_as_any_other(
    tmp_path: Path, base_model_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Keys and values of the tiny base are 32 wide, and all else is 64 or more."""
    monkeypatch.setitem(METHODS, name, METHODS[name].model_copy(update={"rank": 100}))
    model, [ids] = learned(base_model_dir, name), rows(12)
    folder = export(tmp_path / "adapter", model, name, base_model_dir)
    expected = logits_of(model, [ids])
    torch.testing.assert_close(last_logits(plain_peft(base_model_dir, name, folder), ids), expected, **TOLERANCE)
    torch.testing.assert_close(served_logits(folder, name, base_model_dir, ids), expected[-1], **TOLERANCE)


@pytest.mark.parametrize("name", [name for name in LOW_RANK if quantization_of(METHODS[name]) is None])
def test_merged_into_the_base_it_computes_the_same(tmp_path: Path, base_model_dir: Path, name: str) -> None:
    model, [ids] = learned(base_model_dir, name), rows(12)
    folder = export(tmp_path / "adapter", model, name, base_model_dir)
    merged = plain_peft(base_model_dir, name, folder).merge_and_unload()
    torch.testing.assert_close(last_logits(merged, ids), logits_of(model, [ids]), **TOLERANCE)


@pytest.mark.parametrize("name", SHIPPED_AS_ADAPTER)
def test_served_it_computes_the_same(tmp_path: Path, base_model_dir: Path, name: str) -> None:
    model, [ids] = learned(base_model_dir, name), rows(12)
    folder = export(tmp_path / "adapter", model, name, base_model_dir)
    served = served_logits(folder, name, base_model_dir, ids)
    torch.testing.assert_close(served, logits_of(model, [ids])[-1], **TOLERANCE)


def test_transformers_loads_a_whole_model_with_equal_logits(tmp_path: Path, base_model_dir: Path) -> None:
    model, [ids] = learned(base_model_dir, "full"), rows(12)
    folder = export(tmp_path / "model", model, "full", base_model_dir)
    tuned = AutoModelForCausalLM.from_pretrained(folder)
    assert tuned.dtype == torch.float32
    torch.testing.assert_close(last_logits(tuned, ids), logits_of(model, [ids]), **TOLERANCE)
    assert tuned.lm_head.weight is tuned.get_input_embeddings().weight  # tied, and in the file once
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert not (folder / "tailorbird.json").exists()


def test_a_whole_model_trained_in_bfloat16_is_shipped_in_it(base_model_dir: Path) -> None:
    model = full.prepare(FullMethod(), base_model_dir, machine=Machine("cpu", torch.bfloat16))
    assert {weight.dtype for weight in model.trainable().values()} == {torch.float32}
    assert {tensor.dtype for tensor in model.adapter_tensors().values()} == {torch.bfloat16}


@pytest.mark.parametrize("name", ["lora", "prompt_tuning", "full"])
def test_the_manifest_proves_every_file(tmp_path: Path, base_model_dir: Path, name: str) -> None:
    folder = export(tmp_path / "adapter", prepare(base_model_dir, name), name, base_model_dir)
    manifest = json.loads((folder / adapter_output.MANIFEST).read_text())
    files = {path.name: path for path in folder.iterdir() if path.name != adapter_output.MANIFEST}
    assert manifest["files"] == {
        file: {"sha256": sha256_file(path), "bytes": path.stat().st_size} for file, path in files.items()
    }
    weights = adapter_output.WHOLE_MODEL if name == "full" else adapter_output.WEIGHTS
    assert weights in files
    assert adapter_output.LAST not in files  # the best state is the last one
    assert str(base_model_dir) not in "".join(path.read_text() for path in folder.glob("*.json"))


@pytest.mark.parametrize("name", ["lora", "full"])
def test_the_last_state_lies_beside_a_better_one(tmp_path: Path, base_model_dir: Path, name: str) -> None:
    folder = export(tmp_path / "adapter", learned(base_model_dir, name), name, base_model_dir, best_step=5)
    manifest = json.loads((folder / adapter_output.MANIFEST).read_text())
    assert manifest["files"][adapter_output.LAST]["sha256"] == sha256_file(folder / adapter_output.LAST)
    # saved anew into the same folder, where nothing of before stays
    export(folder, learned(base_model_dir, name), name, base_model_dir)
    assert not (folder / adapter_output.LAST).exists()


def test_the_same_adapter_is_the_same_bytes(tmp_path: Path, base_model_dir: Path) -> None:
    first, second = (export(tmp_path / one, prepare(base_model_dir, "lora"), "lora", base_model_dir) for one in "ab")
    for file in (adapter_output.WEIGHTS, adapter_output.CONFIG):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    targets = json.loads((first / adapter_output.CONFIG).read_text())["target_modules"]
    assert targets == sorted(targets)
