from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from api.chat.requests import Int64
from api.chat.schemas import ServedBy
from api.schemas import RequestBody, ResponseBody
from core.errors import Invalid
from core.kit.clock import unix_s
from core.serving.preferences.models import Preference
from core.serving.preferences.types import (
    MAX_ANSWERS,
    MIN_ANSWERS,
    Duel,
    GivenAnswer,
    Lead,
    NewPreference,
    Voice,
    VoteVerdict,
    prompt_digest,
)

_MAX_MESSAGES = 500
Name = Annotated[str, Field(min_length=1, max_length=300)]


class SaidMessage(RequestBody):
    """Of a conversation in text."""

    role: Literal["system", "user", "assistant"]
    content: str


Messages = Annotated[list[SaidMessage], Field(min_length=1, max_length=_MAX_MESSAGES)]


class PromptProfileRef(RequestBody):
    """A version of an alias's prompt profile."""

    alias: Name
    version: int = Field(ge=1, le=1_000_000)


class AnsweredBy(RequestBody):
    """As a chat answer names it."""

    model: Name
    release: int = Field(ge=1, le=1_000_000)
    profile: int | None = Field(None, ge=1, le=1_000_000)


class PreferenceAnswer(RequestBody):
    model: Name = Field(description="The name that was asked for.")
    content: str
    served_by: AnsweredBy | None = Field(None, description="Of an alias: who answered, as the chat answer said it.")
    system_prompt: str | None = Field(None, description="What only this one was told first.")
    prompt_profile: PromptProfileRef | None = Field(None, description="Where that is a version of a prompt profile.")
    messages: Messages | None = Field(
        None, description="What was said before this answer, where that is not what was said before the others."
    )

    def to_answer(self, place: str) -> GivenAnswer:
        _check_said(self.messages, f"{place}.messages")
        served, profile = self.served_by, self.prompt_profile
        alias, version = (profile.alias, profile.version) if profile else (None, None)
        # a prompt of its own takes the place of the profile's
        if served is not None and served.profile is not None and not self.system_prompt:
            alias, version = self.model, served.profile
        own = self.system_prompt if version is None else None
        return GivenAnswer(
            content=self.content,
            asked=self.model,
            release=None if served is None else served.release,
            voice=Voice(
                model=self.model if served is None else served.model,
                alias=alias,
                profile=version,
                prompt_sha256=prompt_digest(own) if own else None,
            ),
            system_prompt=self.system_prompt or None,
            messages=None if self.messages is None else [message.model_dump() for message in self.messages],
        )


class PreferenceParameters(RequestBody):
    """How all of them answered."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    seed: Int64 | None = None
    stop: list[str] | None = Field(None, max_length=16)


class NewPreferenceBody(RequestBody):
    messages: Messages = Field(description="The conversation up to the question, as it was sent to all of them.")
    answers: list[PreferenceAnswer] = Field(
        min_length=MIN_ANSWERS, max_length=MAX_ANSWERS, description="In the order in which they were shown."
    )
    verdict: VoteVerdict
    best: int | None = Field(
        None, ge=0, lt=MAX_ANSWERS, description="The place of the preferred answer, counted from 0, with `best` only."
    )
    is_blind: bool = Field(False, description="Whether who voted did not know which was which.")
    parameters: PreferenceParameters | None = None

    def to_preference(self) -> NewPreference:
        """Raises `Invalid` for a conversation that cannot be read, or that does not end with a question."""
        _check_said(self.messages, "messages")
        given = self.parameters
        return NewPreference(
            messages=[message.model_dump() for message in self.messages],
            answers=[answer.to_answer(f"answers.{at}") for at, answer in enumerate(self.answers)],
            parameters={} if given is None else given.model_dump(mode="json", exclude_none=True),
            verdict=self.verdict,
            best=self.best,
            is_blind=self.is_blind,
        )


def _check_said(messages: list[SaidMessage] | None, place: str) -> None:
    if messages is not None and messages[-1].role == "assistant":
        raise Invalid(
            "The conversation ends with an answer; send it up to the question, and the answers beside it.",
            code="invalid_value",
            param=place,
        )


class PreferenceDatasetBody(RequestBody):
    name: str | None = Field(None, max_length=200, description="Else by the day.")


class VoiceBody(ResponseBody):
    """Who answered: a model, with what it alone was told first."""

    model: str
    alias: str | None = Field(description="Whose prompt profile was in use.")
    profile: int | None = Field(description="The version of that prompt profile.")
    prompt: str | None = Field(
        description="The beginning of the SHA-256 of a prompt of its own, to tell it from others."
    )


class PreferredAnswerBody(ResponseBody):
    content: str
    model: str = Field(description="The name that was asked for.")
    served_by: ServedBy | None
    system_prompt: str | None
    messages: list[dict[str, Any]] | None
    voice: VoiceBody


class PreferenceBody(ResponseBody):
    """What somebody preferred among answers to one question."""

    id: str
    object: Literal["preference"] = "preference"
    created_at: int
    created_by: str | None
    created_by_name: str | None
    messages: list[dict[str, Any]]
    answers: list[PreferredAnswerBody]
    parameters: dict[str, Any]
    verdict: VoteVerdict
    best: int | None
    is_blind: bool
    is_erased: bool = Field(description="Its words were removed with those of a person; the vote still counts.")


class DeletedPreferenceBody(ResponseBody):
    id: str
    object: Literal["preference"] = "preference"
    deleted: Literal[True] = True


class DuelBody(ResponseBody):
    """How blind votes between two went. `share` is the first's, of the votes that chose between them."""

    object: Literal["preference.duel"] = "preference.duel"
    first: VoiceBody
    second: VoiceBody
    num_votes: int
    num_first: int
    num_second: int
    num_equal: int
    num_bad: int
    share: float | None
    low: float | None = Field(description="Where the 95 % interval of the share begins (Wilson).")
    high: float | None = Field(description="Where it ends.")
    lead: Lead = Field(description="`too_few` below ten votes that chose, `undecided` where the interval holds a half.")


class DuelListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[DuelBody]


def preference_body(preference: Preference, names: Mapping[str | None, str]) -> PreferenceBody:
    answers = [GivenAnswer.model_validate(answer) for answer in preference.answers]
    return PreferenceBody(
        id=preference.id,
        created_at=unix_s(preference.created_at),
        created_by=preference.created_by,
        created_by_name=names.get(preference.created_by),
        messages=preference.messages,
        answers=[_answer_body(answer) for answer in answers],
        parameters=preference.parameters,
        verdict=preference.verdict,
        best=preference.best,
        is_blind=preference.is_blind,
        is_erased=preference.erased_at is not None,
    )


def _answer_body(answer: GivenAnswer) -> PreferredAnswerBody:
    voice = answer.voice
    served = None
    if answer.release is not None:
        profile = voice.profile if voice.alias == answer.asked else None
        served = ServedBy(model=voice.model, release=answer.release, profile=profile)
    return PreferredAnswerBody(
        content=answer.content,
        model=answer.asked,
        served_by=served,
        system_prompt=answer.system_prompt,
        messages=answer.messages,
        voice=voice_body(voice),
    )


def voice_body(voice: Voice) -> VoiceBody:
    return VoiceBody(model=voice.model, alias=voice.alias, profile=voice.profile, prompt=voice.prompt_sha256)


def duel_body(duel: Duel) -> DuelBody:
    return DuelBody(
        first=voice_body(duel.first),
        second=voice_body(duel.second),
        num_votes=duel.num_first + duel.num_second + duel.num_equal + duel.num_bad,
        num_first=duel.num_first,
        num_second=duel.num_second,
        num_equal=duel.num_equal,
        num_bad=duel.num_bad,
        share=duel.share,
        low=duel.low,
        high=duel.high,
        lead=duel.lead,
    )
