"""Whole models, packed from small ones: what transformers makes of them, and what is measured on the way."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.base_models import service as base_models
from core.datasets.types import RowKind
from core.exports.child import ADAPTER, HELDOUT, PACKED, REPORT, SPEC, MergeReport, PackReport, PackSpec
from core.exports.forms import ModelExportFormat
from core.jobs.exit_codes import ExitCode
from tests.worker.inference.tiny_models import make_adapter, make_home, make_prompt
from worker.export import run

IDS = torch.tensor([[1, 40, 41, 42, 43, 44, 45, 46]])
MAKE = {"lora": {"seed": 1}, "rslora": {"seed": 2, "rank": 8, "rslora": True}, "dora": {"seed": 3, "dora": True}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    home = make_home(tmp_path_factory.mktemp("home"))
    return home / "base_models" / base_models.default_base_model().id


def run_folder(folder: Path, base: Path, method: str, **changes: Any) -> Path:  # noqa: ANN401 - fields of a PackSpec
    (folder / ADAPTER).mkdir(parents=True)
    if method == "prompt_tuning":
        make_prompt(base, folder / ADAPTER, seed=4)
    else:
        make_adapter(base, folder / ADAPTER, **MAKE[method])  # type: ignore[arg-type]
    told = {
        "format": ModelExportFormat.MERGED,
        "base_model": "tiny",
        "base_model_dir": base,
        "method": method,
        "quantization": None,
        "model_name": "Claims helper",
        "num_threads": 1,
    }
    spec = PackSpec.model_validate(told | changes)
    (folder / SPEC).write_text(spec.model_dump_json())
    return folder


def packed(folder: Path) -> MergeReport:
    assert run.run(folder, lambda: False) is ExitCode.DONE, (folder / "events.jsonl").read_text()
    report = PackReport.model_validate_json((folder / REPORT).read_bytes())
    assert report.merge is not None
    return report.merge


def error_of(folder: Path) -> dict[str, Any]:
    assert run.run(folder, lambda: False) is ExitCode.USER_ERROR
    found: dict[str, Any] = json.loads((folder / "events.jsonl").read_text().splitlines()[-1])
    return found


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:  # noqa: ANN401 - transformers has no types
    found: torch.Tensor = model(input_ids=IDS).logits
    return found


def plain_peft(base: Path, adapter: Path) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads what transformers renamed
        return logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval())


@pytest.mark.parametrize("method", list(MAKE))
def test_plain_transformers_loads_the_merged_model_which_answers_as_base_and_adapter(
    tmp_path: Path, base: Path, method: str
) -> None:
    folder = run_folder(tmp_path / "run", base, method)
    report = packed(folder)
    merged = AutoModelForCausalLM.from_pretrained(folder / PACKED)
    torch.testing.assert_close(logits(merged), plain_peft(base, folder / ADAPTER), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(merged), logits(AutoModelForCausalLM.from_pretrained(base)), atol=0.1)
    assert AutoTokenizer.from_pretrained(folder / PACKED).chat_template
    assert not (folder / PACKED / "tailorbird.json").exists()
    assert report.max_difference < 1e-3
    assert (report.same_choice, report.prompts, report.num_prompts) == (1.0, "general", 4)
    assert report.num_places == 64


def test_the_difference_is_measured_with_held_out_examples_on_the_base_as_it_is_served(
    tmp_path: Path, base: Path
) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "Four."}]}
        for _ in range(3)
    ]
    exact, rounded = (
        run_folder(tmp_path / name, base, "lora", row_kind=RowKind.CHAT, quantization=quantization)
        for name, quantization in (("exact", None), ("rounded", "nf4"))
    )
    for folder in (exact, rounded):
        (folder / HELDOUT).write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = packed(exact), packed(rounded)
    assert (first.prompts, first.num_prompts) == ("heldout", 3)
    # merged into weights that were not rounded: it is another model than the one that is served, and that is told
    assert second.max_difference > 100 * first.max_difference
    assert second.mean_divergence > first.mean_divergence
    assert second.serving_quantization == "nf4"
    one, other = (safe_open(folder / PACKED / "model.safetensors", "pt") for folder in (exact, rounded))
    assert all(torch.equal(one.get_tensor(name), other.get_tensor(name)) for name in one.keys())  # noqa: SIM118


def test_weights_keep_the_type_of_the_base(tmp_path: Path, base: Path) -> None:
    narrow = tmp_path / "narrow"
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(narrow)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (narrow / name).write_bytes((base / name).read_bytes())
    folder = run_folder(tmp_path / "run", narrow, "lora")
    report = packed(folder)
    with safe_open(folder / PACKED / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118
    assert report.dtype == "bfloat16"
    assert 1e-4 < report.max_difference < 3


def test_what_changed_no_weight_cannot_be_merged(tmp_path: Path, base: Path) -> None:
    error = error_of(run_folder(tmp_path / "run", base, "prompt_tuning"))
    assert error["code"] == "export_not_possible"
    assert "there is nothing to merge" in error["message"]


def test_amazon_gets_the_files_that_it_reads_in_the_words_it_knows(tmp_path: Path, base: Path) -> None:
    folder = run_folder(tmp_path / "run", base, "lora", format=ModelExportFormat.BEDROCK)
    packed(folder)
    assert {path.name for path in (folder / PACKED).iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    config = json.loads((folder / PACKED / "config.json").read_text())
    assert (config["torch_dtype"], config["architectures"]) == ("float32", ["LlamaForCausalLM"])
    assert isinstance(config["rope_theta"], float)
    tokenizer = json.loads((folder / PACKED / "tokenizer_config.json").read_text())
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "<|im_start|>" in tokenizer["chat_template"]


def test_amazon_does_not_take_every_kind_of_model(tmp_path: Path, base: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    for path in base.iterdir():
        (strange / path.name).write_bytes(path.read_bytes())
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps(config | {"architectures": ["OlmoForCausalLM"]}))
    error = error_of(run_folder(tmp_path / "run", strange, "lora", format=ModelExportFormat.BEDROCK))
    assert error["code"] == "export_not_possible"
    assert "Amazon Bedrock imports models built like Llama" in error["message"]
