"""What each step sees, how fast it learns and how far it may go."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import get_constant_schedule_with_warmup as constant
from transformers import get_cosine_schedule_with_warmup as cosine
from transformers import get_linear_schedule_with_warmup as linear

from core.training.methods import LoraPlusMethod
from core.training.spec import TrainingSpec
from tests.worker.training.conftest import execute
from tests.worker.training.objectives.conftest import metrics_of
from worker.training.data.token_index import TokenIndex
from worker.training.schedule import learning_rate, plan_batches

MakeRun = Callable[..., Path]


def spec(**changes: object) -> TrainingSpec:
    values: dict[str, Any] = {"base_model": "tiny", "learning_rate": 1e-3, "warmup_ratio": 0.0}
    return TrainingSpec(**(values | changes))


def index_of(lengths: Sequence[int], *, sequences_per_example: int = 1) -> TokenIndex:
    num_tokens = sum(lengths)
    return TokenIndex(
        token_ids=np.zeros(num_tokens, dtype=np.uint32),
        weights=np.ones(num_tokens, dtype=np.float32),
        offsets=np.asarray([0, *np.cumsum(lengths)], dtype=np.int64),
        sequences_per_example=sequences_per_example,
        num_rows=len(lengths),
        num_cut_rows=0,
        num_dropped_rows=0,
        num_refused_rows=0,
        first_refusal=None,
    )


def rates(total_steps: int, **changes: object) -> list[float]:
    at = learning_rate(spec(**changes), total_steps=total_steps)
    return [at(step) for step in range(total_steps)]


class TestLearningRate:
    def test_it_rises_in_equal_parts_and_never_from_zero(self) -> None:
        found = rates(20, warmup_ratio=0.2, schedule="constant")
        assert found == pytest.approx([0.0002, 0.0004, 0.0006, 0.0008] + [0.001] * 16)

    @pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
    def test_without_warm_up_it_begins_at_the_peak_and_never_rises(self, schedule: str) -> None:
        found = rates(50, schedule=schedule)
        assert found[0] == 1e-3
        assert found == sorted(found, reverse=True)
        assert min(found) > 0

    def test_half_way_it_is_half(self) -> None:
        for schedule in ("linear", "cosine"):
            assert rates(40, schedule=schedule)[20] == pytest.approx(5e-4)
        assert rates(40, schedule="cosine")[10] == pytest.approx(1e-3 * (1 + 2**-0.5) / 2)
        assert rates(40, schedule="linear")[-1] == pytest.approx(1e-3 / 40)

    @pytest.mark.parametrize(("schedule", "peers"), [("linear", linear), ("cosine", cosine), ("constant", constant)])
    def test_after_warm_up_it_falls_as_transformers_does(self, schedule: str, peers: Callable[..., Any]) -> None:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
        total = {} if schedule == "constant" else {"num_training_steps": 60}
        peer = peers(optimizer, num_warmup_steps=6, **total)
        expected = []
        for _ in range(60):
            expected.append(peer.get_last_lr()[0])
            optimizer.step()
            peer.step()
        assert rates(60, schedule=schedule, warmup_ratio=0.1)[6:] == pytest.approx(expected[6:])

    @pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
    @pytest.mark.parametrize("warmup_ratio", [0.0, 0.05, 0.99])
    @pytest.mark.parametrize("total_steps", [1, 2, 3])
    def test_no_step_of_a_short_run_is_wasted(self, total_steps: int, warmup_ratio: float, schedule: str) -> None:
        assert all(0 < rate <= 1e-3 for rate in rates(total_steps, warmup_ratio=warmup_ratio, schedule=schedule))


class TestBatches:
    def test_every_epoch_sees_every_example_once_in_an_order_of_its_own(self) -> None:
        batches = plan_batches(index_of([5] * 10), spec(num_epochs=3, batch_size=4))
        assert [len(batch) for batch in batches] == [4, 4, 2] * 3
        epochs = [[one for batch in batches[start : start + 3] for one in batch] for start in (0, 3, 6)]
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == 3

    def test_the_seed_decides_and_lengths_do_not(self) -> None:
        chosen = spec(num_epochs=2, batch_size=4)
        assert plan_batches(index_of([5] * 10), chosen) == plan_batches(index_of([90, *[3] * 9]), chosen)
        assert plan_batches(index_of([5] * 10), chosen) != plan_batches(index_of([5] * 10), spec(seed=7, batch_size=4))

    def test_the_step_that_reaches_the_last_token_is_the_last(self) -> None:
        index = index_of([5] * 10)
        for limit, num_steps in ((1, 1), (20, 1), (21, 2), (50, 3), (51, 4), (10_000, 6)):
            batches = plan_batches(index, spec(num_epochs=2, batch_size=4, max_seen_tokens=limit))
            assert len(batches) == num_steps

    def test_a_pair_is_one_example_of_a_batch(self) -> None:
        batches = plan_batches(index_of([5] * 10, sequences_per_example=2), spec(batch_size=4, max_seen_tokens=40))
        assert [len(batch) for batch in batches] == [4]
        assert all(example < 5 for batch in batches for example in batch)


class TestSteps:
    def test_each_is_made_at_the_planned_rate(self, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[list[float]] = []
        real = torch.optim.AdamW.step

        def note(optimizer: torch.optim.AdamW) -> None:
            seen.append(sorted(group["lr"] for group in optimizer.param_groups))
            real(optimizer)

        monkeypatch.setattr(torch.optim.AdamW, "step", note)
        method = LoraPlusMethod(rank=4, alpha=8, learning_rate_ratio=4)
        folder = make_run(method=method, warmup_ratio=0.25, learning_rate=1e-3)
        result = execute(folder)
        planned = rates(result["steps"], warmup_ratio=0.25)
        assert metrics_of(folder, "learning_rate") == planned
        assert np.array(seen) == pytest.approx(np.outer(planned, [1, 4]))

    def test_gradients_are_scaled_down_to_the_longest_allowed_and_never_up(
        self, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[float, torch.Tensor]] = []
        real = torch.optim.AdamW.step

        def note(optimizer: torch.optim.AdamW) -> None:
            gradients = [weight.grad.flatten() for group in optimizer.param_groups for weight in group["params"]]
            seen.append((float(torch.cat(gradients).norm()), torch.cat(gradients).clone()))
            real(optimizer)

        monkeypatch.setattr(torch.optim.AdamW, "step", note)
        free, held = make_run("free", max_grad_norm=100), make_run("held", max_grad_norm=0.4)
        execute(free)
        [first, *_] = seen
        seen.clear()
        execute(held)
        reported = metrics_of(held, "grad_norm")  # as they were before
        assert reported[0] == pytest.approx(first[0]) == pytest.approx(metrics_of(free, "grad_norm")[0])
        assert any(norm > 0.4 for norm in reported)
        for norm, (kept, _) in zip(reported, seen, strict=True):
            assert kept == pytest.approx(min(norm, 0.4), rel=1e-4)
        # the direction stays
        torch.testing.assert_close(seen[0][1], first[1] * (0.4 / first[0]), rtol=1e-4, atol=1e-7)
