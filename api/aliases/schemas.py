from typing import Annotated, Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.errors import Invalid
from core.kit.clock import unix_s
from core.serving.aliases.models import AliasRelease, PromptProfile, ShadowAnswer
from core.serving.aliases.service import AliasDetails
from core.serving.aliases.types import MAX_ARMS, WHOLE, Arm, Plan, SamplingDefaults, Shadow

Note = Annotated[str, Field(max_length=500)]
Version = Annotated[int | None, Field(ge=1, description="The version of the prompt profile; null is none.")]


class ShadowBody(RequestBody):
    model: str
    profile: Version = None


class ArmBody(ShadowBody):
    percent: int = Field(ge=1, le=WHOLE)


class PlanBody(RequestBody):
    """Who answers from now on."""

    arms: list[ArmBody] = Field(min_length=1, max_length=MAX_ARMS, description="Their shares add up to 100 percent.")
    shadow: ShadowBody | None = Field(None, description="Answers too; what it says is stored, and never sent.")
    note: Note = ""

    def to_plan(self) -> Plan:
        if (total := sum(arm.percent for arm in self.arms)) != WHOLE:
            raise Invalid(
                f"The shares add up to {total} percent, and must to {WHOLE}.", code="shares_no_whole", param="arms"
            )
        return Plan(
            arms=tuple(Arm(model=arm.model, percent=arm.percent, profile=arm.profile) for arm in self.arms),
            shadow=None if self.shadow is None else Shadow(model=self.shadow.model, profile=self.shadow.profile),
        )


class NewAliasBody(RequestBody):
    name: str
    model: str
    note: Note = ""


class RollBackBody(RequestBody):
    release: int | None = Field(None, ge=1, description="The release to go back to; null is the one before.")


class NewProfileBody(RequestBody):
    system_prompt: str = Field("", max_length=100_000)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    note: Note = ""

    def to_sampling(self) -> SamplingDefaults:
        return SamplingDefaults(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)


class ArmView(ResponseBody):
    model: str
    percent: int
    profile: int | None
    template_sha256: str | None = Field(description="Of the chat template that the model was proved with.")


class ShadowView(ResponseBody):
    model: str
    profile: int | None


class ReleaseView(ResponseBody):
    id: str
    object: Literal["alias.release"] = "alias.release"
    number: int
    created_at: int
    created_by: str | None
    arms: list[ArmView]
    shadow: ShadowView | None
    rolled_back_to: int | None
    note: str


class AliasView(ResponseBody):
    id: str
    object: Literal["alias"] = "alias"
    name: str
    created_at: int
    created_by: str | None
    release: ReleaseView = Field(description="The one in force.")


class ProfileView(ResponseBody):
    id: str
    object: Literal["alias.profile"] = "alias.profile"
    version: int
    created_at: int
    created_by: str | None
    system_prompt: str
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    note: str


class ProfileListView(ResponseBody):
    object: Literal["list"] = "list"
    data: list[ProfileView]


class AliasListView(ResponseBody):
    object: Literal["list"] = "list"
    data: list[AliasView]


class ShadowAnswerView(ResponseBody):
    id: str
    object: Literal["alias.shadow_answer"] = "alias.shadow_answer"
    created_at: int
    completion_id: str
    release: int
    question: str
    shown_model: str
    shown_text: str
    model: str
    text: str | None
    problem: str | None = Field(description="Why the shadow said nothing.")
    seconds: float
    tokens: int


class DeletedAliasView(ResponseBody):
    id: str
    object: Literal["alias.deleted"] = "alias.deleted"
    deleted: Literal[True] = True


def alias_view(details: AliasDetails) -> AliasView:
    alias = details.alias
    return AliasView(
        id=alias.id,
        name=alias.name,
        created_at=unix_s(alias.created_at),
        created_by=alias.created_by,
        release=release_view(details.release),
    )


def release_view(release: AliasRelease) -> ReleaseView:
    plan, templates = Plan.model_validate(release.plan), release.template_sha256s
    return ReleaseView(
        id=release.id,
        number=release.number,
        created_at=unix_s(release.created_at),
        created_by=release.created_by,
        arms=[
            ArmView(
                model=arm.model,
                percent=arm.percent,
                profile=arm.profile,
                template_sha256=templates.get(arm.model),
            )
            for arm in plan.arms
        ],
        shadow=None if plan.shadow is None else ShadowView(model=plan.shadow.model, profile=plan.shadow.profile),
        rolled_back_to=release.rolled_back_to,
        note=release.note,
    )


def profile_view(profile: PromptProfile) -> ProfileView:
    sampling = SamplingDefaults.model_validate(profile.sampling)
    return ProfileView(
        id=profile.id,
        version=profile.version,
        created_at=unix_s(profile.created_at),
        created_by=profile.created_by,
        system_prompt=profile.system_prompt,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        note=profile.note,
    )


def shadow_answer_view(answer: ShadowAnswer) -> ShadowAnswerView:
    return ShadowAnswerView(
        id=answer.id,
        created_at=unix_s(answer.created_at),
        completion_id=answer.completion_id,
        release=answer.release,
        question=answer.question,
        shown_model=answer.shown_model,
        shown_text=answer.shown_text,
        model=answer.model,
        text=answer.text,
        problem=answer.problem,
        seconds=answer.seconds,
        tokens=answer.tokens,
    )
