"""What an alias points at: models in shares, each with a version of a prompt profile, and perhaps a shadow."""

import hashlib
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NUM_BUCKETS: Final = 10_000
MAX_ARMS: Final = 4
WHOLE: Final = 100


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SamplingDefaults(_Value):
    """Used where a request does not say otherwise."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None


class Shadow(_Value):
    """Answers too, in secret: stored, never sent."""

    model: str
    profile: int | None = None
    """The version of the alias's prompt profile; None is none."""


class Arm(Shadow):
    percent: int = Field(ge=1, le=WHOLE)


class Plan(_Value):
    """Who answers."""

    arms: tuple[Arm, ...] = Field(min_length=1, max_length=MAX_ARMS)
    shadow: Shadow | None = None

    @model_validator(mode="after")
    def _shares_make_a_whole(self) -> Self:
        if sum(arm.percent for arm in self.arms) != WHOLE:
            raise ValueError(f"the shares must add up to {WHOLE} percent")
        return self

    def arm_of(self, alias_id: str, key: str) -> Arm:
        """The same for the same key, also when shares change: who was in the first 10 % is in the first 20 %."""
        place = bucket(alias_id, key)
        end = 0
        for arm in self.arms:
            end += arm.percent * NUM_BUCKETS // WHOLE
            if place < end:
                return arm
        return self.arms[-1]


def bucket(alias_id: str, key: str) -> int:
    """A place from 0 to 9,999 that says nothing of the key, and another for each alias."""
    return int.from_bytes(hashlib.sha256(f"{alias_id}\0{key}".encode()).digest()[:8]) % NUM_BUCKETS
