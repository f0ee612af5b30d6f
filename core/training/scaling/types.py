from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from core.jobs.models import Job
from core.jobs.waits import Wait
from core.training.hardware import Place
from core.training.models import ScalingStudy
from core.training.planning import Plan

MAX_HELDOUT_ROWS = 5000

Loss = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class HeldoutLosses(BaseModel):
    """What a trainer says of the held-out rows, in their order. It is not trusted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    losses: list[Loss] = Field(min_length=1, max_length=MAX_HELDOUT_ROWS)
    weights: list[Weight] = Field(min_length=1, max_length=MAX_HELDOUT_ROWS)


class Measured(HeldoutLosses):
    """A part that is done."""

    num_rows: int
    base_loss: float | None
    billable_s: float
    trained_tokens: int


@dataclass(frozen=True, slots=True)
class StudyDetails:
    study: ScalingStudy
    job: Job
    wait: Wait | None = None
    """What it waits for, if it does."""


@dataclass(frozen=True, slots=True)
class StudyQuote:
    """What a study would take and cost now; `plan` is of the part with all rows, and the others are as long."""

    plan: Plan
    place: Place
    num_train: int
    num_heldout: int
    seconds: float
    seconds_low: float
    seconds_high: float
    cost_micros: int
    cost_micros_low: int
    cost_micros_high: int
