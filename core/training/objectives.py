"""What is learned from the rows: one closed union of objectives. Each is one file of `worker/training/objectives`."""

from typing import Annotated, Literal

from pydantic import Field

from core.datasets.types import RowKind
from core.training.methods import Closed


class SftObjective(Closed):
    """Supervised fine-tuning: cross-entropy on the assistant's words only."""

    type: Literal["sft"] = "sft"


class DpoObjective(Closed):
    """Direct preference optimisation (Rafailov et al. 2023) against the untouched base."""

    type: Literal["dpo"] = "dpo"
    beta: float = Field(0.1, gt=0, le=10, description="How strongly the model is held near its base.")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Share of pairs believed to be the wrong way round.")


class OrpoObjective(Closed):
    """Odds-ratio preference optimisation (Hong et al. 2024): supervised and preference loss in one, no reference."""

    type: Literal["orpo"] = "orpo"
    beta: float = Field(0.1, gt=0, le=10, description="Weight of the odds ratio beside the supervised loss.")


class ContinuedPretrainingObjective(Closed):
    """Continued pre-training: next-token cross-entropy on plain text."""

    type: Literal["continued_pretraining"] = "continued_pretraining"


Objective = Annotated[
    SftObjective | DpoObjective | OrpoObjective | ContinuedPretrainingObjective, Field(discriminator="type")
]


def row_kind_of(objective: Objective) -> RowKind:
    if isinstance(objective, DpoObjective | OrpoObjective):
        return RowKind.PREFERENCE
    return RowKind.TEXT if isinstance(objective, ContinuedPretrainingObjective) else RowKind.CHAT
