"""A study as it is told: how far it is, the points that are there, and what they say together."""

from dataclasses import dataclass
from typing import Any

from core.jobs.states import JobState
from core.training.scaling.parts import DIVISORS
from core.training.scaling.statistics import Interval, Judgement, Verdict, interval_of
from core.training.scaling.types import Measured, StudyDetails
from core.training.scaling.words import limits_of, sentence_of


@dataclass(frozen=True, slots=True)
class Point:
    num_rows: int
    loss: Interval


@dataclass(frozen=True, slots=True)
class Told:
    """`progress` is from 0 to 1; `sentence` and `limits` are there with the judgement."""

    progress: float
    points: list[Point]
    num_heldout: int | None
    base_loss: float | None
    judgement: Judgement | None
    sentence: str | None
    limits: list[str]


def tell(details: StudyDetails) -> Told:
    study = details.study
    measured = [Measured.model_validate(one) for one in study.measured]
    judgement = None if study.judgement is None else _read(study.judgement)
    num_heldout = len(measured[0].losses) if measured else None
    base_loss = measured[-1].base_loss if measured else None
    return Told(
        progress=_progress(details, num_done=len(measured)),
        points=[Point(one.num_rows, interval_of(one.losses, one.weights)) for one in measured],
        num_heldout=num_heldout,
        base_loss=base_loss,
        judgement=judgement,
        sentence=sentence_of(judgement) if judgement else None,
        limits=limits_of(judgement, num_heldout=num_heldout or 0, base_loss=base_loss) if judgement else [],
    )


def _progress(details: StudyDetails, *, num_done: int) -> float:
    job = details.job
    if job.state is JobState.SUCCEEDED:
        return 1.0
    of_part = 0.0
    if job.state is JobState.RUNNING and job.progress_total_steps:
        of_part = min((job.progress_step or 0) / job.progress_total_steps, 1.0)
    return min((num_done + of_part) / len(DIVISORS), 1.0)


def _read(kept: dict[str, Any]) -> Judgement:
    intervals = {name: Interval(**kept[name]) for name in ("exponent", "gain", "loss_with_more")}
    return Judgement(
        losses=tuple(Interval(**one) for one in kept["losses"]),
        scale=kept["scale"],
        flattens=kept["flattens"],
        num_more=kept["num_more"],
        verdict=Verdict(kept["verdict"]),
        **intervals,
    )
