"""A vote on answers to one question, and what votes come to."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

MIN_ANSWERS: Final = 2
MAX_ANSWERS: Final = 4
_DIGEST_CHARS: Final = 12


class VoteVerdict(StrEnum):
    BEST = "best"
    ALL_EQUAL = "all_equal"
    ALL_BAD = "all_bad"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Voice(_Value):
    """Who answered: a model, with what it alone was told first."""

    model: str
    alias: str | None = None
    """Where a version of this alias's prompt profile was in use."""
    profile: int | None = None
    prompt_sha256: str | None = Field(None, description="The beginning of the digest of a prompt of its own.")


class GivenAnswer(_Value):
    """An answer as it is stored, in the place where it was shown."""

    content: str
    asked: str
    """The name that was asked for: a model's or an alias's."""
    release: int | None
    voice: Voice
    system_prompt: str | None
    messages: list[Any] | None
    """What was said before it, where that is not what was said before the others."""


@dataclass(frozen=True, slots=True)
class NewPreference:
    messages: list[Any]
    answers: list[GivenAnswer]
    parameters: dict[str, Any]
    verdict: VoteVerdict
    best: int | None
    is_blind: bool


@dataclass(frozen=True, slots=True)
class PreferenceFilter:
    verdict: VoteVerdict | None = None


class Lead(StrEnum):
    """What the votes on two tell."""

    FIRST = "first"
    SECOND = "second"
    UNDECIDED = "undecided"
    """The interval of the share has a half in it."""
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class Duel:
    """Two who answered the same questions blind, and how that went: `share` is the first's of votes that chose."""

    first: Voice
    second: Voice
    num_first: int
    num_second: int
    num_equal: int
    num_bad: int
    share: float | None
    low: float | None
    high: float | None
    lead: Lead


def prompt_digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:_DIGEST_CHARS]
