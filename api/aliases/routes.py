"""Stable names for models: what they point at, its history, and what is said before anybody speaks."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.aliases.schemas import (
    AliasListView,
    AliasView,
    DeletedAliasView,
    NewAliasBody,
    NewProfileBody,
    PlanBody,
    ProfileListView,
    ProfileView,
    ReleaseView,
    RollBackBody,
    ShadowAnswerView,
    alias_view,
    profile_view,
    release_view,
    shadow_answer_view,
)
from api.dependencies import SessionDep, SettingsDep, require
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.serving.aliases import service as aliases
from core.serving.aliases.types import WHOLE, Arm, Plan
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/aliases", tags=["aliases"], route_class=RetriedRoute)

Reader = Annotated[Principal, Depends(require(Permission.MODELS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.MODELS_WRITE))]
# what people said is read by who may talk to models, as kept answers are
Listener = Annotated[Principal, Depends(require(Permission.CHAT_USE))]


@router.get("")
def list_aliases(principal: Reader, session: SessionDep) -> AliasListView:
    """By name."""
    found = aliases.list_aliases(session, workspace_id=principal.workspace_id)
    return AliasListView(data=[alias_view(details) for details in found])


@router.post("")
def create_alias(
    body: NewAliasBody, principal: Writer, session: SessionDep, settings: SettingsDep, once: OnceDep
) -> AliasView:
    """Give a model a stable name."""

    def create() -> AliasView:
        details = aliases.create(
            session,
            principal=principal,
            name=body.name,
            plan=Plan(arms=(Arm(model=body.model, percent=WHOLE),)),
            note=body.note,
            max_aliases=settings.max_aliases_per_workspace,
        )
        return alias_view(details)

    return once.answer(AliasView, create)


@router.get("/{alias_name}")
def get_alias(alias_name: str, principal: Reader, session: SessionDep) -> AliasView:
    """An alias, and what it points at."""
    return alias_view(aliases.get(session, workspace_id=principal.workspace_id, name=alias_name))


@router.delete("/{alias_name}")
def delete_alias(alias_name: str, principal: Writer, session: SessionDep) -> DeletedAliasView:
    """Take the name out of use. `restore` brings it back, with its history."""
    aliases.delete(session, principal=principal, name=alias_name)
    return DeletedAliasView(id=alias_name)


@router.post("/{alias_name}/restore")
def restore_alias(alias_name: str, principal: Writer, session: SessionDep, settings: SettingsDep) -> AliasView:
    """Bring a deleted alias back."""
    max_aliases = settings.max_aliases_per_workspace
    return alias_view(aliases.restore(session, principal=principal, name=alias_name, max_aliases=max_aliases))


@router.get("/{alias_name}/releases")
def list_alias_releases(
    alias_name: str, principal: Reader, session: SessionDep, page: PageDep
) -> ListBody[ReleaseView]:
    """What it pointed at, the newest first."""
    found = aliases.releases(session, workspace_id=principal.workspace_id, name=alias_name, page=page)
    return list_body(found, release_view)


@router.post("/{alias_name}/releases")
def release_alias(alias_name: str, body: PlanBody, principal: Writer, session: SessionDep, once: OnceDep) -> AliasView:
    """Point at something else: one model, several in shares, with a shadow or without."""

    def release() -> AliasView:
        plan = body.to_plan()
        return alias_view(aliases.release(session, principal=principal, name=alias_name, plan=plan, note=body.note))

    return once.answer(AliasView, release)


@router.post("/{alias_name}/roll_back")
def roll_back_alias(
    alias_name: str, body: RollBackBody, principal: Writer, session: SessionDep, once: OnceDep
) -> AliasView:
    """Point at what an earlier release pointed at. That is a new release: nothing of the history is lost."""

    def roll_back() -> AliasView:
        return alias_view(aliases.roll_back(session, principal=principal, name=alias_name, number=body.release))

    return once.answer(AliasView, roll_back)


@router.get("/{alias_name}/profiles")
def list_prompt_profiles(alias_name: str, principal: Reader, session: SessionDep) -> ProfileListView:
    """Every version, the newest first."""
    found = aliases.profiles(session, workspace_id=principal.workspace_id, name=alias_name)
    return ProfileListView(data=[profile_view(profile) for profile in found])


@router.post("/{alias_name}/profiles")
def create_prompt_profile(
    alias_name: str, body: NewProfileBody, principal: Writer, session: SessionDep, once: OnceDep
) -> ProfileView:
    """A new version. It is in use once a release names it."""

    def create() -> ProfileView:
        profile = aliases.add_profile(
            session,
            principal=principal,
            name=alias_name,
            system_prompt=body.system_prompt,
            sampling=body.to_sampling(),
            note=body.note,
        )
        return profile_view(profile)

    return once.answer(ProfileView, create)


@router.get("/{alias_name}/shadow_answers")
def list_shadow_answers(
    alias_name: str, principal: Listener, session: SessionDep, page: PageDep
) -> ListBody[ShadowAnswerView]:
    """What shadows said beside the answers that were sent, the newest first."""
    found = aliases.shadow_answers(session, workspace_id=principal.workspace_id, name=alias_name, page=page)
    return list_body(found, shadow_answer_view)
