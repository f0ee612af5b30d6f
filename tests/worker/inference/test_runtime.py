import shutil
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM

from tests.worker.inference.tiny_models import load_adapter, make_adapter
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.lora_linear import FrozenLinear, LoraLinear
from worker.inference.runtime import BaseRuntime, DecodeRow, load_runtime

PROMPT = [1, 40, 41, 42, 43, 60, 61, 5, 9, 77]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def plain_scores(base: Path, adapter: Path | None, token_ids: list[int]) -> torch.Tensor:
    model = LlamaForCausalLM.from_pretrained(base)
    if adapter is not None:
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([token_ids])).logits[0, -1]


@pytest.mark.parametrize("name", [None, "red", "blue", "green", "violet"])
def test_scores_equal_those_of_plain_peft(
    runtime: BaseRuntime,
    adapters: dict[str, AdapterWeights],
    base_folder: Path,
    adapter_folders: dict[str, Path],
    name: str | None,
) -> None:
    scores = runtime.prefill(0, PROMPT, 0, adapters[name] if name else None)
    expected = plain_scores(base_folder, adapter_folders[name] if name else None, PROMPT)
    torch.testing.assert_close(scores, expected, **TOLERANCE)


@pytest.mark.parametrize("name", ["red", "green", "violet"])
def test_a_prompt_read_in_pieces_scores_as_one_read_at_once(
    runtime: BaseRuntime, adapters: dict[str, AdapterWeights], name: str
) -> None:
    runtime.prefill(0, PROMPT[:3], 0, adapters[name])
    in_pieces = runtime.prefill(0, PROMPT[3:], 3, adapters[name])
    torch.testing.assert_close(in_pieces, runtime.prefill(1, PROMPT, 0, adapters[name]), **TOLERANCE)


def test_each_row_of_a_batch_gets_its_own_adapter_and_its_own_past(
    runtime: BaseRuntime, adapters: dict[str, AdapterWeights], base_folder: Path, adapter_folders: dict[str, Path]
) -> None:
    order = ["red", None, "violet", "blue", "blue", "green"]
    lengths = [10, 4, 7, 7, 2, 5]
    for row, (name, length) in enumerate(zip(order, lengths, strict=True)):
        runtime.prefill(row, PROMPT[:length], 0, adapters[name] if name else None)
    rows = [
        DecodeRow(99, length + (adapters[name].num_virtual_tokens if name else 0), adapters[name] if name else None)
        for name, length in zip(order, lengths, strict=True)
    ]
    scores = runtime.decode(rows)
    for row, (name, length) in enumerate(zip(order, lengths, strict=True)):
        folder = adapter_folders[name] if name else None
        torch.testing.assert_close(scores[row], plain_scores(base_folder, folder, [*PROMPT[:length], 99]), **TOLERANCE)


def test_the_cache_keeps_what_it_holds_when_it_grows(runtime: BaseRuntime) -> None:
    long = [3 + index % 290 for index in range(700)]
    runtime.prefill(0, long[:200], 0, None)
    runtime.prefill(1, long[:300], 0, None)  # another row, and more tokens than fit before
    grown = runtime.prefill(0, long[200:], 200, None)
    torch.testing.assert_close(grown, runtime.prefill(0, long, 0, None), **TOLERANCE)


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("num_rows", "num_tokens"), [(1, 1), (2, 1), (8, 1), (1, 16), (1, 17), (3, 7)])
def test_a_frozen_layer_computes_the_same_however_many_rows_there_are(
    num_rows: int,
    num_tokens: int,
    has_bias: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(24, 40, bias=has_bias)
    inputs = torch.randn(num_rows, num_tokens, 24)
    with torch.inference_mode():
        found = FrozenLinear(plain)(inputs)
        torch.testing.assert_close(found, plain(inputs), rtol=1e-5, atol=1e-6)
    assert found.is_contiguous()


def test_learned_lengths_leave_a_bias_as_it_is(base_folder: Path, tmp_path: Path) -> None:
    config = LlamaConfig.from_pretrained(base_folder, attention_bias=True, mlp_bias=True)
    torch.manual_seed(5)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_()
    biased = tmp_path / "biased"
    shutil.copytree(base_folder, biased)
    model.save_pretrained(biased)
    adapter = make_adapter(biased, tmp_path / "adapter", seed=6, dora=True)
    runtime = load_runtime(biased, None)
    scores = runtime.prefill(0, PROMPT, 0, load_adapter(runtime, adapter))
    torch.testing.assert_close(scores, plain_scores(biased, adapter, PROMPT), **TOLERANCE)


def test_the_output_head_is_not_a_target(runtime: BaseRuntime) -> None:
    assert "lm_head" not in runtime.linear_shapes
    assert runtime.linear_shapes["model.layers.0.mlp.up_proj"] == (128, 64)


@pytest.mark.filterwarnings("ignore:Failed to load CPU gemm_4bit_forward")
def test_rounded_weights_compute_what_a_4bit_layer_computes_in_training(base_folder: Path) -> None:
    from bitsandbytes.nn import Linear4bit, Params4bit

    plain, rounded = load_runtime(base_folder, None), load_runtime(base_folder, "nf4")
    name = "model.layers.1.mlp.down_proj"
    before, after = (runtime._model.get_submodule(name) for runtime in (plain, rounded))
    assert isinstance(before, LoraLinear)
    assert isinstance(after, LoraLinear)
    four_bit = Linear4bit(128, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4", compress_statistics=True)
    four_bit.weight = Params4bit(
        before.weight.data.clone(), requires_grad=False, quant_type="nf4", compress_statistics=True
    )
    four_bit = four_bit.to("cpu")
    inputs = torch.randn(3, 128, requires_grad=True)  # with a gradient: the training path, not the inference kernel
    torch.testing.assert_close(after(inputs), four_bit(inputs), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(after(inputs), before(inputs), atol=1e-2)
    torch.testing.assert_close(plain._model.lm_head.weight, rounded._model.lm_head.weight)
