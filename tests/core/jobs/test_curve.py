"""The curve of a job, thinned out for a chart: it must look as if all of it were drawn."""

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.states import AttemptOutcome
from core.jobs.types import Curve, EventType, Lease, NewEvent

pytestmark = pytest.mark.stack

Measured = dict[str, Any]


class Trained:
    """A job whose attempts say what they measure."""

    def __init__(self, database: Database, workspace_id: str) -> None:
        self.database, self.workspace_id = database, workspace_id
        with database.session(workspace_scope(workspace_id)) as session:
            self.job_id = jobs.submit(
                session, workspace_id=workspace_id, kind=JobKind.TRAINING_RUN, payload={}, created_by=None
            ).id
        self.lease = self._claim()

    def say(self, *measured: Measured) -> None:
        events = [NewEvent("measured", EventType.METRICS, data=data) for data in measured]
        with self.database.session(workspace_scope(self.workspace_id)) as session:
            assert jobs.record_events(session, self.lease, events)

    def interrupt(self) -> None:
        with self.database.session(workspace_scope(self.workspace_id)) as session:
            jobs.requeue(session, self.lease, outcome=AttemptOutcome.INTERRUPTED)
        self.lease = self._claim()

    def curve(self, max_points: int = 1000, **range_: int) -> Curve:
        with self.database.session(workspace_scope(self.workspace_id)) as session:
            return jobs.curve(
                session, workspace_id=self.workspace_id, job_id=self.job_id, max_points=max_points, **range_
            )

    def _claim(self) -> Lease:
        with self.database.session(SYSTEM) as session:
            lease = jobs.claim(session, queue_name="cpu", worker_id="w", lease_s=60)
        assert lease is not None
        return lease


@pytest.fixture
def trained(database: Database, workspace_id: str) -> Trained:
    return Trained(database, workspace_id)


def losses(num_steps: int, loss: Callable[[int], float]) -> list[Measured]:
    return [{"step": step, "train_loss": loss(step)} for step in range(1, num_steps + 1)]


def test_a_short_curve_comes_whole(trained: Trained) -> None:
    trained.say(
        {"step": 0, "full_valid_loss": 3.0}, *losses(40, lambda step: 1 / step), {"step": 40, "valid_loss": 2.0}
    )
    curve = trained.curve(max_points=40)
    assert (curve.num_steps, curve.is_downsampled) == (41, False)
    assert curve.points[0] == {"step": 0, "full_valid_loss": 3.0}
    assert curve.points[-1] == {"step": 40, "train_loss": 1 / 40, "valid_loss": 2.0}
    assert [point["step"] for point in curve.points] == list(range(41))


def test_a_job_that_measured_nothing_has_no_points(trained: Trained) -> None:
    assert trained.curve() == Curve(points=[], num_steps=0, is_downsampled=False)


def test_of_each_stretch_the_ends_and_the_extremes_are_kept(trained: Trained) -> None:
    chance = random.Random(5)
    measured = losses(5000, lambda step: math.exp(-step / 1000) + chance.random())
    trained.say(*measured)
    curve = trained.curve(max_points=100)
    assert (curve.num_steps, curve.is_downsampled) == (5000, True)
    assert 75 <= len(curve.points) <= 100
    shown = {point["step"]: point["train_loss"] for point in curve.points}
    for first in range(0, 5000, 200):
        stretch = measured[first : first + 200]
        for wanted in (
            stretch[0],
            stretch[-1],
            min(stretch, key=lambda point: point["train_loss"]),
            max(stretch, key=lambda point: point["train_loss"]),
        ):
            assert shown[wanted["step"]] == wanted["train_loss"]


def test_a_flat_curve_is_thinned_out_too(trained: Trained) -> None:
    trained.say(*losses(2000, lambda _: 1.0))
    assert len(trained.curve(max_points=40).points) <= 40


def test_every_held_out_measurement_is_kept(trained: Trained) -> None:
    measured = losses(1000, lambda step: 1 / step)
    for step in (137, 555, 998):
        measured.append({"step": step, "valid_loss": step / 1000})
    trained.say(*measured)
    curve = trained.curve(max_points=12)
    kept = [point for point in curve.points if "valid_loss" in point]
    assert [point["step"] for point in kept] == [137, 555, 998]
    # with the training loss of their step
    assert all("train_loss" in point for point in curve.points)
    assert curve.num_steps == 1000


def test_a_part_of_it_may_be_asked_for(trained: Trained) -> None:
    trained.say(*losses(1000, lambda step: 1 / step))
    curve = trained.curve(max_points=100, from_step=301, to_step=350)
    assert [point["step"] for point in curve.points] == list(range(301, 351))
    assert (curve.num_steps, curve.is_downsampled) == (50, False)


def test_what_an_attempt_repeats_counts_in_the_place_of_what_was_said_before(trained: Trained) -> None:
    trained.say(*losses(500, lambda step: 100.0 if step == 450 else 1.0))
    trained.interrupt()
    trained.say(*({"step": step, "train_loss": 2.0} for step in range(401, 481)))
    whole = {point["step"]: point["train_loss"] for point in trained.curve(max_points=1000).points}
    assert (whole[400], whole[401], whole[450], whole[480], whole[481]) == (1.0, 2.0, 2.0, 2.0, 1.0)
    thin = trained.curve(max_points=40)
    assert thin.num_steps == 500
    assert max(point["train_loss"] for point in thin.points) == 2.0
    steps = [point["step"] for point in thin.points]
    assert all(earlier < later for earlier, later in pairwise(steps))


@pytest.mark.parametrize("loss", [None, "nan", {"a": 1}])
def test_what_is_not_a_number_breaks_no_chart(trained: Trained, loss: object) -> None:
    trained.say(*losses(100, lambda step: 1 / step), {"step": 101, "train_loss": loss}, {"step": "x"}, {"a": 1})
    assert trained.curve(max_points=12).points[-1]["step"] == 101
