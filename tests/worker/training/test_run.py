"""Whole runs over a tiny model: what is learned, what comes out, and that stopping in between changes nothing."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from core.datasets.types import RowKind
from core.errors import Invalid
from core.jobs.exit_codes import ExitCode
from core.kit.hashing import sha256_file
from core.training.methods import FullMethod, LoraMethod
from tests.worker.training.conftest import events_of, execute
from worker.training import __main__ as program
from worker.training.data import token_index
from worker.training.events import EventWriter

MakeRun = Callable[..., Path]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "adapter" / "adapter_model.safetensors"))


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(make_run: MakeRun) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        execute(make_run(name, seed=seed, method=LoraMethod(rank=4, alpha=8, dropout=0.1)))
    folder = Path(make_run("unused")).parent
    one, again, other = (weights(folder / name) for name in ("one", "again", "other"))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft reads it
def test_an_adapter_loads_in_plain_peft_with_equal_logits(make_run: MakeRun, base_model_dir: Path) -> None:
    folder = make_run()
    result = execute(folder)
    base = AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, str(folder / "adapter")).eval()
    heldout = token_index.build(  # the very rows that were measured
        folder / "heldout.jsonl",
        folder / "index" / "heldout",
        kind=RowKind.CHAT,
        model_dir=base_model_dir,
        max_length=128,
    )
    loss_sum = count = 0.0
    for number in range(heldout.num_examples):
        ids = torch.from_numpy(heldout.tokens(number).astype("int64"))[None]
        logits = tuned(input_ids=ids).logits[0, :-1].float()
        mask = torch.from_numpy(heldout.sequence_weights(number).copy())[1:] > 0
        loss_sum += float(torch.nn.functional.cross_entropy(logits[mask], ids[0, 1:][mask], reduction="sum"))
        count += float(mask.sum())
    assert loss_sum / count == pytest.approx(result["tuned_heldout_loss"], rel=1e-2)


def test_the_manifest_proves_the_files_and_names_their_origin(make_run: MakeRun, base_model_dir: Path) -> None:
    folder = make_run(lineage={"run_id": "ftjob-1", "dataset_version_id": "dsv_1"})
    execute(folder)
    manifest = json.loads((folder / "adapter" / "manifest.json").read_text())
    assert set(manifest["files"]) == {"adapter_model.safetensors", "adapter_config.json", "parity.safetensors"}
    for name, proof in manifest["files"].items():
        assert proof == {
            "sha256": sha256_file(folder / "adapter" / name),
            "bytes": (folder / "adapter" / name).stat().st_size,
        }
    marker = base_model_dir / "tailorbird.json"
    assert manifest["base_model"] == {"id": "tiny", "revision": "r1", "sha256": sha256_file(marker)}
    assert manifest["lineage"]["run_id"] == "ftjob-1"
    assert manifest["spec"]["learning_rate"] == 1e-2
    assert json.loads((folder / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"


def test_the_events_tell_the_whole_story_in_order(make_run: MakeRun) -> None:
    folder = make_run(eval_every_steps=3)
    execute(folder)
    stages = [event["stage"] for event in events_of(folder, "stage")]
    assert stages[:4] == ["tokenizing", "loading_model", "measuring_base", "training"]
    assert stages[-2:] == ["evaluating", "saving"]
    progress = events_of(folder, "progress")
    # after each step, and after each measurement
    assert [event["step"] for event in progress] == [0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 8]
    assert {event["total_steps"] for event in progress} == {8}
    told = [event["data"] for event in events_of(folder, "metrics")]
    # one event a step, with what was measured after it
    assert [data["step"] for data in told] == list(range(9))
    assert [data["step"] for data in told if "valid_loss" in data] == [3, 6, 8]
    assert [data["step"] for data in told if "full_valid_loss" in data] == [0, 8]
    assert {
        "step", "total_steps", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy",
        "full_valid_loss", "full_valid_mean_token_accuracy",
    } <= told[-1].keys()  # fmt: skip


def test_the_adapters_of_the_last_epochs_are_kept_beside_the_best(make_run: MakeRun) -> None:
    steady = {"learning_rate": 1e-3, "schedule": "constant", "warmup_ratio": 0}
    folder, shorter = make_run(num_epochs=5, **steady), make_run("shorter", num_epochs=3, **steady)
    assert execute(folder)["best_step"] == 20  # the last one, of four steps an epoch
    kept = {path.name: path for path in (folder / "epochs").iterdir()}
    # of the last three the best is the adapter itself
    assert set(kept) == {"step-00000012", "step-00000016"}
    manifest = json.loads((kept["step-00000016"] / "manifest.json").read_text())
    assert manifest["results"] == {"best_step": 16, "steps": 16}
    # what a run that ends there ships
    assert execute(shorter)["best_step"] == 12
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert sha256_file(kept["step-00000012"] / name) == sha256_file(shorter / "adapter" / name)


def test_full_fine_tuning_keeps_no_epochs(make_run: MakeRun) -> None:
    folder = make_run(method=FullMethod(), learning_rate=1e-4)
    execute(folder)
    assert list((folder / "epochs").glob("*")) == []


def test_long_stages_without_steps_say_that_they_get_on(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    stages = {"tokenizing", "loading_model", "measuring_base", "training", "evaluating"}
    real = EventWriter.stage

    def note_stage(events: EventWriter, stage: str) -> None:
        heard.append(stage)
        real(events, stage)

    monkeypatch.setattr(EventWriter, "stage", note_stage)
    monkeypatch.setattr(EventWriter, "alive", lambda _: heard.append("alive"))
    execute(make_run())
    assert {before for before, after in pairwise(heard) if after == "alive" and before != "alive"} == stages


def test_seen_tokens_end_a_run_with_the_step_that_reaches_them(make_run: MakeRun) -> None:
    result = execute(make_run(max_seen_tokens=100))
    assert 100 <= result["seen_tokens"] < 400
    assert result["steps"] < 8


def test_rows_that_lose_their_whole_answer_are_a_clear_user_error(make_run: MakeRun) -> None:
    folder = make_run(max_length_tokens=8)
    with pytest.raises(Invalid) as refused:
        execute(folder)
    assert refused.value.error_code == "no_usable_rows"
    assert program.main(folder) == ExitCode.USER_ERROR
    assert "8 tokens" in events_of(folder, "error")[-1]["message"]


def test_a_loss_that_is_no_number_ends_the_run_with_its_own_exit_code(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.training.loop.math.isfinite", lambda _: False)
    folder = make_run()
    assert program.main(folder) == ExitCode.NON_FINITE_LOSS
    assert events_of(folder, "error")[-1]["code"] == "non_finite_loss"
