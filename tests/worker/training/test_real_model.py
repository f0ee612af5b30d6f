"""The bundled model's own chat format, and its own weights learning something."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from core.training.methods import QloraMethod
from core.training.spec import RunInput
from tests.worker.training.conftest import events_of, row, write_rows
from worker.training import run as runner
from worker.training.data.chat_format import ChatFormat
from worker.training.events import EventWriter

pytestmark = pytest.mark.model


@pytest.mark.parametrize("has_system", [True, False], ids=["with system turn", "with the template's default one"])
def test_prompts_are_those_of_the_models_own_template(bundled_model: Path, has_system: bool) -> None:  # noqa: FBT001
    tokenizer, chat_format = AutoTokenizer.from_pretrained(bundled_model), ChatFormat.load(bundled_model)
    system = [{"role": "system", "content": "Answer in one word."}] if has_system else []
    question = [*system, {"role": "user", "content": "Capital of France?\n\n  Naïve 日本 🐦"}]
    answered = [*question, {"role": "assistant", "content": "Paris."}]
    assert chat_format.tokenize(answered).token_ids == tokenizer.apply_chat_template(answered, return_dict=False)
    expected = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=False)
    assert chat_format.render_prompt(question) == expected


def test_three_steps_of_qlora_lower_the_loss(bundled_model: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [row(number, answer="yes") for number in range(6)])
    write_rows(tmp_path / "heldout.jsonl", [row(number, answer="yes") for number in range(6, 8)])
    spec = RunInput(
        base_model="smollm2-135m-instruct",
        method=QloraMethod(),
        num_epochs=1,
        learning_rate=2e-3,
        batch_size=2,
        max_length_tokens=128,
        base_model_dir=bundled_model,
    )
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    with closing(EventWriter(tmp_path / "events.jsonl")) as events:
        runner.execute(tmp_path, events=events, stop_requested=lambda: False)
    result = events_of(tmp_path, "result")[-1]["data"]
    assert result["tuned_heldout_loss"] < result["base_heldout_loss"] / 2
    assert json.loads((tmp_path / "adapter" / "manifest.json").read_text())["base_model"]["sha256"]
