"""One run in two real processes, with gloo between them: the run of one process but for rounding."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from core.jobs.exit_codes import ExitCode
from core.kit.hashing import sha256_file
from core.training.methods import LoraMethod, PissaMethod, QloraMethod
from core.training.spec import ExecutionPlan
from tests.worker.training.conftest import events_of, write_run
from worker.training import __main__ as program
from worker.training import run as runner
from worker.training import several, snapshot
from worker.training.data.packing import pack, pack_evenly
from worker.training.events import EventWriter
from worker.training.failures import Interrupted
from worker.training.objectives.objective import MicroLoss
from worker.training.objectives.sft import Sft
from worker.training.processes import OneProcess, SeveralProcesses
from worker.training.several import ALONE, Place

MakeRun = Callable[..., Path]
# several micro-batches a step; and an odd number of them in some
TWO = ExecutionPlan(micro_batch_tokens=64, num_processes=2)
PARTED = TWO.model_copy(update={"sharding": "full", "gradient_checkpointing": True})
CHOICES: dict[str, Any] = {
    "method": LoraMethod(rank=4, alpha=8, dropout=0.0),
    "eval_every_steps": 3,
    "checkpoint_every_s": 1000,
    "checkpoint_every_steps": 2,
    "execution": TWO,
}


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Two processes that have imported torch already; each takes a place in one run after the other."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def in_two(pool: ProcessPoolExecutor, tmp_path: Path) -> Callable[..., list[Any]]:
    num_runs = 0

    def start(work: Callable[..., Any], folder: Path, **options: object) -> list[Any]:
        nonlocal num_runs
        num_runs += 1
        meeting = tmp_path / f"meeting-{num_runs}"
        meeting.mkdir()
        places = [Place(rank, 2, meeting) for rank in range(2)]
        waiting = [pool.submit(within, work, folder, place, **options) for place in places]
        return [one.result(timeout=120) for one in waiting]

    return start


def within(work: Callable[..., Any], folder: Path, place: Place, **options: object) -> Any:  # noqa: ANN401
    """A process that has failed ends with its group still there; this one has more to do."""
    try:
        return work(folder, place, **options)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, base_model_dir: Path) -> Path:
    """The run of one process that all others are compared with."""
    folder = write_run(tmp_path_factory.mktemp("processes"), base_model_dir, "alone", **CHOICES)
    assert execute(folder)
    return folder


def execute(folder: Path, place: Place = ALONE, *, stop_after: int | None = None) -> bool:
    """Whether it came to its end. Of several processes only the last is told to stop, after some steps."""
    own_events = folder / ("events.jsonl" if place.is_first else f"events-{place.rank}.jsonl")

    def stop_requested() -> bool:
        steps = [event for event in _events(own_events) if "train_loss" in event.get("data", {})]
        return stop_after is not None and place.rank == place.num - 1 and len(steps) == stop_after

    # rounding is what is compared, and bfloat16 would round a hundred times as much where a processor has it
    in_float32 = mock.patch.object(runner, "compute_dtype", return_value=torch.float32)
    with in_float32, closing(EventWriter(own_events)) as events:
        try:
            runner.execute(folder, events=events, stop_requested=stop_requested, place=place)
        except Interrupted:
            return False
    return True


def _events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def curve(folder: Path) -> list[float]:
    measured = [event["data"] for event in events_of(folder, "metrics")]
    return [data[name] for data in measured for name in ("train_loss", "grad_norm", "valid_loss") if name in data]


def result(folder: Path) -> dict[str, Any]:
    return dict(events_of(folder, "result")[-1]["data"])


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def sha256(folder: Path) -> str:
    return sha256_file(folder / "adapter" / "adapter_model.safetensors")


def assert_alike(found: Path, expected: Path) -> None:
    """The same sums in another order."""
    assert curve(found) == pytest.approx(curve(expected), rel=2e-4)
    ours, theirs = adapter(found), adapter(expected)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-2, atol=2e-4)


def test_two_processes_learn_what_one_does_and_the_very_same_with_the_base_in_parts(
    make_run: MakeRun, in_two: Callable[..., Any], alone: Path
) -> None:
    together, again, spread = (
        make_run(name, **CHOICES | {"execution": plan})
        for name, plan in {"together": TWO, "again": TWO, "spread": PARTED}.items()
    )
    for folder in (together, again, spread):
        assert in_two(execute, folder) == [True, True]
    assert_alike(together, alone)
    counted = ("steps", "seen_tokens", "trained_tokens", "best_step")
    assert [result(together)[name] for name in counted] == [result(alone)[name] for name in counted]
    assert result(together)["peak_memory_bytes"] > 0
    assert sha256(again) == sha256(together) == sha256(spread)
    assert curve(again) == curve(together) == curve(spread)


def test_a_base_of_4_bits_in_parts_gives_the_very_same_bits(make_run: MakeRun, in_two: Callable[..., Any]) -> None:
    choices = CHOICES | {"method": QloraMethod(rank=4, alpha=8, dropout=0.0), "num_epochs": 1}
    whole, spread = (make_run(str(plan.sharding), **choices | {"execution": plan}) for plan in (TWO, PARTED))
    for folder in (whole, spread):
        assert in_two(execute, folder) == [True, True]
    assert sha256(spread) == sha256(whole)
    assert curve(spread) == curve(whole)


@pytest.mark.parametrize("begins_in", [1, 2])
def test_a_checkpoint_of_two_is_continued_by_one_and_the_other_way_round(
    make_run: MakeRun, in_two: Callable[..., Any], alone: Path, begins_in: int
) -> None:
    moved = make_run("moved", **CHOICES)
    if begins_in == 2:
        assert in_two(execute, moved, stop_after=5) == [False, False]
        assert execute(moved)
    else:
        assert not execute(moved, stop_after=5)
        assert in_two(execute, moved) == [True, True]
    assert [event["step"] for event in events_of(moved, "checkpoint")] == [0, 2, 4, 5, 6, 8]
    assert events_of(moved, "message")[-1]["message"].startswith("Continuing after step 5 of 8")
    assert_alike(moved, alone)


def main_with_a_bad_loss(folder: Path, place: Place) -> int:
    """The loss of the second process is no number from its third micro-batch on."""
    real, num_losses = Sft.micro_loss, 0

    def bad(*args: Any) -> MicroLoss:  # noqa: ANN401
        nonlocal num_losses
        num_losses += 1
        micro = real(*args)
        factor = float("nan") if place.rank == 1 and num_losses >= 6 else 1.0
        return MicroLoss(micro.loss * factor, {name: value * factor for name, value in micro.shares.items()})

    Sft.micro_loss = bad  # type: ignore[method-assign]
    try:
        return program.main(folder, place)
    finally:
        Sft.micro_loss = real  # type: ignore[method-assign]


def test_a_loss_that_is_no_number_in_one_process_ends_both(
    make_run: MakeRun, in_two: Callable[..., Any], tmp_path: Path
) -> None:
    folder = make_run(**CHOICES)
    assert in_two(main_with_a_bad_loss, folder) == [ExitCode.NON_FINITE_LOSS, ExitCode.NON_FINITE_LOSS]
    notes = [json.loads(path.read_text()) for path in tmp_path.glob("meeting-1/failure-*.json")]
    assert [note["code"] for note in notes] == ["non_finite_loss", "non_finite_loss"]
    assert notes[0]["message"] == notes[1]["message"]
    assert not events_of(folder, "error")  # whoever started them says it, once


def main_until_told_to_stop(folder: Path, place: Place) -> int:
    (folder / f"pid-{place.rank}").write_text(str(os.getpid()))
    return program.main(folder, place)


def wait_for_checkpoint(folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not (folder / "events.jsonl").exists() or len(events_of(folder, "checkpoint")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_told_to_stop_they_save_once(make_run: MakeRun, in_two: Callable[..., Any]) -> None:
    folder = make_run(**CHOICES | {"num_epochs": 50, "eval_every_steps": None})

    def tell() -> None:
        wait_for_checkpoint(folder)
        for path in folder.glob("pid-*"):
            os.kill(int(path.read_text()), signal.SIGTERM)

    telling = threading.Thread(target=tell)
    telling.start()
    assert in_two(main_until_told_to_stop, folder) == [ExitCode.INTERRUPTED, ExitCode.INTERRUPTED]
    telling.join()
    steps = [event["step"] for event in events_of(folder, "checkpoint")]
    assert steps == sorted(set(steps))
    assert steps[-1] == events_of(folder, "progress")[-1]["step"]


def test_a_killed_process_ends_all_and_leaves_a_checkpoint(make_run: MakeRun) -> None:
    folder = make_run(**CHOICES | {"num_epochs": 50, "eval_every_steps": None})
    command = several.command([sys.executable, "-m", "worker.training"], folder, 2)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for_checkpoint(folder)
    ranks = psutil.Process(process.pid).children()
    [second] = [rank for rank in ranks if rank.cmdline()[-3:-1] == ["1", "2"]]
    second.kill()
    killed_at = time.monotonic()
    assert process.wait(timeout=30) == -signal.SIGKILL
    assert time.monotonic() - killed_at < 10
    assert not any(rank.is_running() for rank in ranks)
    assert snapshot.read(snapshot.newest_first(folder / "checkpoints")[0]).step >= 2
    assert not events_of(folder, "error")
    assert not (folder / "adapter").exists()


def test_a_base_in_parts_is_refused_to_methods_that_change_it(make_run: MakeRun, in_two: Callable[..., Any]) -> None:
    folder = make_run(**CHOICES | {"method": PissaMethod(rank=4, alpha=4), "execution": PARTED})
    assert in_two(program.main, folder) == [ExitCode.USER_ERROR, ExitCode.USER_ERROR]


class TestShares:
    LENGTHS = (50, 40, 30, 20, 20, 10, 10, 5, 5, 5)

    @pytest.mark.parametrize("num", [1, 2, 3, 4, 16])
    @pytest.mark.parametrize("capacity", [20, 64, 100, 1000])
    def test_every_example_counts_once_and_all_do_equally_often(self, num: int, capacity: int) -> None:
        shares = [SeveralProcesses(rank, num).shares(self.LENGTHS, capacity=capacity) for rank in range(num)]
        assert len({len(own) for own in shares}) == 1
        counted = [place for own in shares for share in own if share.counts for place in share.places]
        assert sorted(counted) == list(range(len(self.LENGTHS)))

    def test_a_step_smaller_than_a_micro_batch_is_split_up(self) -> None:
        tokens = [
            sum(
                self.LENGTHS[place]
                for share in SeveralProcesses(rank, 3).shares(self.LENGTHS, capacity=1000)
                for place in share.places
            )
            for rank in range(3)
        ]
        assert sum(tokens) == sum(self.LENGTHS)
        assert max(tokens) - min(tokens) <= 5

    def test_no_more_rounds_than_the_capacity_asks_for(self) -> None:
        lengths = [30 + 7 * n % 31 for n in range(64)]
        whole = pack(lengths, capacity=256)
        bins = pack_evenly(lengths, capacity=256, num_shares=4)
        assert -(-len(bins) // 4) == -(-len(whole) // 4)
        assert max(sum(lengths[place] for place in places) for places in bins) <= 256

    def test_one_process_packs_as_tight_as_it_can(self) -> None:
        shares = OneProcess().shares(self.LENGTHS, capacity=64)
        assert [share.places for share in shares] == pack(self.LENGTHS, capacity=64)

    def test_nothing_is_shared_out_if_there_is_nothing(self) -> None:
        assert SeveralProcesses(0, 2).shares([], capacity=64) == []
