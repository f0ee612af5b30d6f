from typing import Literal

from pydantic import Field

from api.fine_tuning.estimates import EstimateQueue
from api.pagination import ListBody, list_body
from api.schemas import JobWaitBody, RequestBody, ResponseBody
from core.jobs.states import JobState
from core.kit.clock import unix_s
from core.kit.money import usd
from core.kit.pagination import Page
from core.training.scaling.parts import DIVISORS, MIN_HELDOUT, MIN_TRAIN, sizes_of
from core.training.scaling.reading import Point, Told, tell
from core.training.scaling.statistics import Interval, Verdict
from core.training.scaling.types import StudyDetails, StudyQuote


class NewScalingStudy(RequestBody):
    model: str | None = Field(None, max_length=200, description="A base model; the usual one when absent.")


class IntervalBody(ResponseBody):
    value: float
    low: float = Field(description="Of 95 of 100 draws of the rows that are kept back.")
    high: float


class ScalingPointBody(ResponseBody):
    num_rows: int
    loss: IntervalBody = Field(description="Held-out loss after training on so many rows.")


class ScalingFitBody(ResponseBody):
    """`loss = scale * num_rows ** -exponent`, a line in a picture whose axes are both logarithmic."""

    scale: float
    exponent: IntervalBody
    flattens: bool = Field(description="The curve is surely flatter in its last part; the law is that of it alone.")


class ScalingVerdictBody(ResponseBody):
    verdict: Verdict
    sentence: str = Field(description="In plain words.")
    limits: list[str] = Field(description="What it does not say, the most important first.")
    num_more: int = Field(description="How many rows more are meant: 300, and no more than there are.")
    gain: IntervalBody = Field(description="Share of the held-out loss that they would take away.")
    loss_with_more: IntervalBody


class ScalingStudyError(ResponseBody):
    code: str
    message: str


class ScalingStudyBody(ResponseBody):
    id: str
    object: Literal["scaling_study"] = "scaling_study"
    created_at: int
    finished_at: int | None
    dataset_version_id: str
    model: str
    status: JobState
    is_cancelling: bool
    waits_for: JobWaitBody | None = Field(description="While its `status` is `queued`; of a list, the first ten.")
    progress: float = Field(description="From 0 to 1.")
    learning_from: int | None = Field(description="How many rows the part has that is worked on.")
    num_train: int
    num_heldout: int | None
    base_loss: float | None = Field(description="Held-out loss of the untouched base model.")
    points: list[ScalingPointBody] = Field(description="The parts that are done: a quarter, a half, all.")
    fit: ScalingFitBody | None
    result: ScalingVerdictBody | None
    estimated_seconds: float
    estimated_cost_usd: float
    cost_usd: float | None = Field(description="What was charged, once it is over.")
    error: ScalingStudyError | None


class ScalingStudyListBody(ListBody[ScalingStudyBody]):
    min_train: int = Field(description="A version with fewer rows to learn from cannot be judged.")
    min_heldout: int = Field(description="... nor one of which fewer are kept back.")


class ScalingEstimateBody(ResponseBody):
    object: Literal["scaling_study.estimate"] = "scaling_study.estimate"
    model: str
    hardware: str
    num_train: int
    num_heldout: int
    parts: list[int] = Field(description="Rows of each training.")
    seconds: float
    seconds_low: float
    seconds_high: float
    cost_usd: float
    cost_usd_low: float
    cost_usd_high: float
    queue: EstimateQueue


def scaling_estimate_body(quote: StudyQuote) -> ScalingEstimateBody:
    place = quote.place
    return ScalingEstimateBody(
        model=quote.plan.spec.base_model,
        hardware=quote.plan.hardware,
        num_train=quote.num_train,
        num_heldout=min(quote.num_heldout, quote.plan.spec.max_heldout_rows),
        parts=sizes_of(quote.num_train),
        seconds=quote.seconds,
        seconds_low=quote.seconds_low,
        seconds_high=quote.seconds_high,
        cost_usd=usd(quote.cost_micros),
        cost_usd_low=usd(quote.cost_micros_low),
        cost_usd_high=usd(quote.cost_micros_high),
        queue=EstimateQueue(
            name=place.queue.value, position=place.outlook.position, starts_in_s=place.outlook.starts_in_s
        ),
    )


def scaling_study_body(details: StudyDetails) -> ScalingStudyBody:
    study, job, told = details.study, details.job, tell(details)
    is_running = job.state is JobState.RUNNING and len(told.points) < len(DIVISORS)
    return ScalingStudyBody(
        id=study.id,
        created_at=unix_s(study.created_at),
        finished_at=None if job.finished_at is None else unix_s(job.finished_at),
        dataset_version_id=study.dataset_version_id,
        model=study.base_model,
        status=job.state,
        is_cancelling=job.cancel_requested_at is not None and job.state is JobState.RUNNING,
        waits_for=JobWaitBody.of(details.wait),
        progress=told.progress,
        learning_from=sizes_of(study.num_train)[len(told.points)] if is_running else None,
        num_train=study.num_train,
        num_heldout=told.num_heldout,
        base_loss=told.base_loss,
        points=[_point(point) for point in told.points],
        fit=_fit(told),
        result=_verdict(told),
        estimated_seconds=study.estimate["seconds"],
        estimated_cost_usd=usd(study.estimate["cost_micros"]),
        cost_usd=None if study.cost_micros is None else usd(study.cost_micros),
        error=None
        if job.error is None or job.state is not JobState.FAILED
        else ScalingStudyError(code=job.error["code"], message=job.error["message"]),
    )


def scaling_study_list_body(page: Page[StudyDetails]) -> ScalingStudyListBody:
    listed = list_body(page, scaling_study_body)
    return ScalingStudyListBody(
        data=listed.data,
        has_more=listed.has_more,
        first_id=listed.first_id,
        last_id=listed.last_id,
        min_train=MIN_TRAIN,
        min_heldout=MIN_HELDOUT,
    )


def _point(point: Point) -> ScalingPointBody:
    return ScalingPointBody(num_rows=point.num_rows, loss=_interval(point.loss))


def _fit(told: Told) -> ScalingFitBody | None:
    if told.judgement is None:
        return None
    judgement = told.judgement
    return ScalingFitBody(scale=judgement.scale, exponent=_interval(judgement.exponent), flattens=judgement.flattens)


def _verdict(told: Told) -> ScalingVerdictBody | None:
    judgement = told.judgement
    if judgement is None or told.sentence is None:
        return None
    return ScalingVerdictBody(
        verdict=judgement.verdict,
        sentence=told.sentence,
        limits=told.limits,
        num_more=judgement.num_more,
        gain=_interval(judgement.gain),
        loss_with_more=_interval(judgement.loss_with_more),
    )


def _interval(found: Interval) -> IntervalBody:
    return IntervalBody(value=found.value, low=found.low, high=found.high)
