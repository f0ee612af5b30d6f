from pathlib import Path

import pytest
from pydantic import ValidationError

from core.training.methods import LoraMethod, QloraMethod
from core.training.spec import RunInput, TrainingSpec


def test_the_type_decides_the_method() -> None:
    lora = TrainingSpec.model_validate({"base_model": "m", "method": {"type": "lora", "rank": 8}})
    qlora = TrainingSpec.model_validate({"base_model": "m", "method": {"type": "qlora"}})
    assert lora.method == LoraMethod(rank=8)
    assert isinstance(qlora.method, QloraMethod)
    assert qlora.method.double_quantization


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rte": 1e-4},
        {"learning_rate": 0},
        {"num_epochs": 0},
        {"method": {"type": "lora", "quantization": "nf4"}},
        {"method": {"type": "os.system"}},
        {"method": {"type": "lora", "target_modules": "q_proj"}},
        {"method": {"type": "pissa", "rank": 256}},
        {"method": {"type": "full"}, "objective": {"type": "dpo"}},
        {"method": {"type": "pissa"}, "objective": {"type": "dpo"}},
    ],
)
def test_what_is_not_in_the_spec_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingSpec.model_validate({"base_model": "m", **wrong})


def test_the_knobs_are_these_and_a_new_one_must_justify_itself_here() -> None:
    assert set(TrainingSpec.model_fields) == {
        "base_model", "method", "objective", "num_epochs", "max_seen_tokens", "learning_rate", "batch_size",
        "max_length_tokens", "warmup_ratio", "schedule", "weight_decay", "max_grad_norm", "seed", "eval_every_steps",
        "max_heldout_rows", "early_stopping_patience", "optimizer",
    }  # fmt: skip


def test_a_run_folders_document_gives_back_the_spec_alone(tmp_path: Path) -> None:
    spec = TrainingSpec(base_model="m", learning_rate=3e-4, method=LoraMethod(rank=2, alpha=4))
    document = RunInput(**spec.model_dump(), base_model_dir=tmp_path).model_dump_json()
    assert RunInput.model_validate_json(document).training_spec() == spec
