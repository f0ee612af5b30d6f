"""Adapters that plain PEFT makes for the bundled model, as somebody would bring them."""

import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from core.inference.types import Proof
from core.jobs.exit_codes import ExitCode
from core.model_imports.child import ADAPTER, SPEC, GivenFile, ImportSpec
from tests.worker.inference.tiny_models import load_adapter
from worker.inference import proof
from worker.inference.runtime import load_runtime
from worker.inference.scheduler import Scheduler
from worker.model_import import run
from worker.training import parity

pytestmark = pytest.mark.model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_is_brought_and_served_as_peft_computes_it(bundled_model: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    theirs = made_by_peft(bundled_model, tmp_path / "theirs", dtype)
    folder = tmp_path / "run"
    folder.mkdir()
    names = ("adapter_config.json", "adapter_model.safetensors")
    spec = ImportSpec(
        base_model=bundled_model.name,
        base_model_dir=bundled_model,
        files=tuple(GivenFile(name=name, path=theirs / name) for name in names),
        is_base_confirmed=True,
        quantization=None,
    )
    (folder / SPEC).write_text(spec.model_dump_json())
    assert run.run(folder, lambda: False) is ExitCode.DONE, (folder / "events.jsonl").read_text()
    found = proved(bundled_model, folder / ADAPTER)
    assert found.is_passed, found.reason
    assert found.effect is not None
    assert found.effect > 0.1


def made_by_peft(base: Path, folder: Path, dtype: torch.dtype) -> Path:
    """Attention and feed-forward layers, with weights that change what is said."""
    torch.manual_seed(11)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads what transformers renamed
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.02)
    model.to(dtype).save_pretrained(folder)
    return folder


def proved(base: Path, adapter: Path) -> Proof:
    runtime, scheduler = load_runtime(base, None), Scheduler()
    scheduler.start()
    try:
        reference = parity.read((adapter / parity.NAME).read_bytes())
        return proof.prove(runtime, load_adapter(runtime, adapter), reference, scheduler.submit)
    finally:
        scheduler.stop()
