"""Whatever stops a run, it ends in the bits of the undisturbed one."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from core.jobs.exit_codes import ExitCode
from core.kit.hashing import sha256_file
from core.training.methods import LoraMethod
from tests.worker.training.conftest import events_of, execute
from worker.training import __main__ as program
from worker.training import checkpoint, loop, snapshot
from worker.training import run as runner
from worker.training.checkpoint import Position
from worker.training.failures import Interrupted, classify
from worker.training.objectives.objective import MicroLoss
from worker.training.objectives.sft import Sft

MakeRun = Callable[..., Path]

CHOICES: dict[str, Any] = {
    "method": LoraMethod(rank=4, alpha=8, dropout=0.1),
    "eval_every_steps": 3,
    "checkpoint_every_s": 1000,
    "checkpoint_every_steps": 2,
}


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Fate:
    """Kills the run at the n-th call of one of its functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: dict[str, int] = {}
        for name, owner, attribute in (
            ("backward", Sft, "micro_loss"),
            ("measure", loop.Loop, "_measure"),
            ("step", torch.optim.AdamW, "step"),
            ("disk", snapshot, "sync"),
            ("write", checkpoint, "save_file"),
        ):
            monkeypatch.setattr(owner, attribute, self._fatal(name, getattr(owner, attribute)))

    def _fatal(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def maybe_die(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if name in self.left:
                self.left[name] -= 1
                if self.left[name] < 0:
                    self.left.clear()
                    raise Killed
            return real(*args, **kwargs)

        return maybe_die


def adapter_sha256(folder: Path) -> dict[str, str]:
    """Of what is shipped, and of the last epochs."""
    return {path.parent.name: sha256_file(path) for path in sorted(folder.glob("*/**/adapter_model.safetensors"))}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several micro-batches a step, so that a kill can fall between them."""
    monkeypatch.setattr(runner, "micro_batch_tokens", lambda _: 60)


@pytest.mark.usefixtures("small_batches")
def test_kills_at_random_places_change_no_bit(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = CHOICES | {"num_epochs": 3}
    whole, killed = make_run("whole", **choices), make_run("killed", **choices)
    result = execute(whole)
    fate, chance = Fate(monkeypatch), random.Random(11)
    for _ in range(7):
        name = chance.choice(["backward", "measure", "step", "disk", "write"])
        fate.left = {name: chance.randrange(6 if name == "disk" else 2)}
        with pytest.raises(Killed):
            execute(killed)
    again = execute(killed)
    assert adapter_sha256(killed) == adapter_sha256(whole)
    assert set(adapter_sha256(whole)) == {"adapter", "step-00000004", "step-00000008"}
    untimed = {"seconds", "billable_s", "tokens_per_second", "peak_memory_bytes"}
    assert {k: v for k, v in again.items() if k not in untimed} == {k: v for k, v in result.items() if k not in untimed}


@pytest.mark.usefixtures("small_batches")
def test_a_stop_at_every_look_changes_no_bit(make_run: MakeRun) -> None:
    whole, stopped = make_run("whole", **CHOICES), make_run("stopped", **CHOICES)
    execute(whole)
    for look in (3, 8, 5, 6, 4, 5):
        try:
            execute(stopped, stop_at_check=look)
        except Interrupted:
            assert not (stopped / "adapter").exists()
        else:
            break
    execute(stopped)
    assert adapter_sha256(stopped) == adapter_sha256(whole)


def test_sigkill_of_the_process_itself_changes_no_bit(make_run: MakeRun) -> None:
    choices = {"checkpoint_every_s": 0, "num_epochs": 6}
    whole, killed = make_run("whole", **choices), make_run("killed", **choices)
    execute(whole)
    command = [sys.executable, "-m", "worker.training", str(killed)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (killed / "events.jsonl").exists() or not events_of(killed, "checkpoint")[3:]:
        assert process.poll() is None
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "adapter").exists()
    execute(killed)
    assert events_of(killed, "message")[-1]["message"].startswith("Continuing after step")
    assert adapter_sha256(killed) == adapter_sha256(whole)


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_is_used(make_run: MakeRun) -> None:
    whole, folder = make_run("whole", **CHOICES), make_run("damaged", **CHOICES)
    execute(whole)
    with pytest.raises(Interrupted):
        execute(folder, stop_at_check=9)
    before, newest = sorted((folder / "checkpoints").glob("step-*"))
    path = newest / "state.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)
    execute(folder)
    [said] = [event for event in events_of(folder, "message") if event["level"] == "warn"]
    assert said["data"]["checkpoint"] == newest.name
    assert said["data"]["used"] == before.name
    assert "state.safetensors is not what was written" in said["message"]
    assert adapter_sha256(folder) == adapter_sha256(whole)


def test_without_any_whole_checkpoint_it_begins_anew(make_run: MakeRun) -> None:
    whole, folder = make_run("whole", **CHOICES), make_run("damaged", **CHOICES)
    execute(whole)
    with pytest.raises(Interrupted):
        execute(folder, stop_at_check=9)
    for path in (folder / "checkpoints").glob("step-*/manifest.json"):
        os.truncate(path, 50)
    execute(folder)
    said = [event["message"] for event in events_of(folder, "message") if event["level"] == "warn"]
    assert len(said) == 2
    assert all(message.endswith("training starts from the beginning.") for message in said)
    assert adapter_sha256(folder) == adapter_sha256(whole)


def test_half_the_micro_batch_keeps_the_effective_batch(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "micro_batch_tokens", lambda _: 120)
    whole, halved = make_run("whole", **CHOICES), make_run("halved", **CHOICES, micro_batch_divisor=2)
    expected, found = execute(whole), execute(halved)
    for name in ("steps", "seen_tokens", "trained_tokens"):
        assert found[name] == expected[name]
    # the same sums in another order
    assert found["tuned_heldout_loss"] == pytest.approx(expected["tuned_heldout_loss"], rel=1e-3)


def test_a_run_that_ran_out_of_memory_goes_on_from_its_checkpoint_with_half(make_run: MakeRun) -> None:
    folder = make_run(**CHOICES)
    with pytest.raises(Interrupted):
        execute(folder, stop_at_check=9)
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(spec | {"micro_batch_divisor": 64}))
    execute(folder)
    assert events_of(folder, "message")[-1]["message"].startswith("Continuing after step")


def test_billed_are_the_seconds_of_the_history_that_counts(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(**CHOICES)
    fate = Fate(monkeypatch)
    fate.left = {"step": 5}
    with pytest.raises(Killed):
        execute(folder)
    reported = [event["billable_s"] for event in events_of(folder, "progress")]
    assert reported == sorted(reported)
    kept = json.loads((max((folder / "checkpoints").glob("step-*")) / "state.json").read_text())["position"]
    assert 0 < kept["billable_s"] < reported[-1]  # the fifth step is lost, and free
    result = execute(folder)
    after = [event["billable_s"] for event in events_of(folder, "progress")][len(reported) :]
    assert after[0] == pytest.approx(kept["billable_s"], abs=1e-3)
    assert result["billable_s"] == after[-1]
    assert result["billable_s"] > result["seconds"]  # evaluations count, too


def test_an_infinite_gradient_ends_the_run_before_it_touches_a_weight(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real, steps = make_run(**CHOICES), torch.nn.utils.clip_grad_norm_, 0

    def explode(*args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ANN401
        nonlocal steps
        steps += 1
        return torch.tensor(float("inf")) if steps == 4 else real(*args, **kwargs)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", explode)
    assert program.main(folder) == ExitCode.NON_FINITE_LOSS
    assert "step 4" in events_of(folder, "error")[-1]["message"]
    assert not (folder / "adapter").exists()
    assert [event["step"] for event in events_of(folder, "metrics") if "train_loss" in event["data"]] == [1, 2, 3]


def test_a_loss_that_is_no_number_ends_the_run_whatever_its_gradient(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real, steps = make_run(**CHOICES), Sft.micro_loss, 0

    def explode(*args: Any) -> MicroLoss:  # noqa: ANN401
        nonlocal steps
        steps += torch.is_grad_enabled()
        micro = real(*args)
        return replace(micro, shares=micro.shares | {"loss": torch.tensor(float("inf"))}) if steps == 4 else micro

    monkeypatch.setattr(Sft, "micro_loss", explode)
    assert program.main(folder) == ExitCode.NON_FINITE_LOSS
    assert [event["code"] for event in events_of(folder, "error")] == ["non_finite_loss"]
    assert not (folder / "adapter").exists()
    assert len([event for event in events_of(folder, "metrics") if "train_loss" in event["data"]]) == 3


def test_a_full_disk_keeps_the_last_checkpoint_and_has_its_own_end(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = make_run(**CHOICES), checkpoint.save_file

    def fill(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if "00000006" in str(path):
            path.write_bytes(b"half")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", fill)
    assert program.main(folder) == ExitCode.DISK_FULL
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-00000002", "step-00000004"]
    assert snapshot.read(folder / "checkpoints" / "step-00000004").step == 4


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (MemoryError(), ExitCode.OUT_OF_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), ExitCode.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ExitCode.OUT_OF_MEMORY),
        (SafetensorError("I/O error: Cannot allocate memory (os error 12)"), ExitCode.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), ExitCode.DISK_FULL),
        (OSError("Not enough free space to write 100 bytes after offset 128"), ExitCode.DISK_FULL),
        (SafetensorError("header too large"), ExitCode.BUG),
        (OSError(errno.EIO, "Input/output error"), ExitCode.BUG),
    ],
)
def test_the_machines_refusals_are_told_apart(error: Exception, exit_code: ExitCode) -> None:
    assert classify(error).exit_code is exit_code


def test_a_position_of_another_version_is_passed_over(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "state.json").write_text(json.dumps({"position": asdict(Position()) | {"unknown": 1}}))

    written = snapshot.write(tmp_path, step=1, belongs_to="", fill=fill)
    with pytest.raises(snapshot.Damaged, match="another version"):
        checkpoint.load(written)
