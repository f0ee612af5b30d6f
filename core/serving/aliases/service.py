"""Stable names that traffic asks for: switched, split, shadowed and rolled back without a word to who calls.

What an alias points at is a *release*; every change is a new one, so the history is whole and going back is one step.
What it says before anybody speaks is a *prompt profile*, in versions. Neither is ever changed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from core.adapters.permissions import service as permissions
from core.adapters.types import ProofStatus
from core.audit import service as audit
from core.base_models import service as base_models
from core.errors import Conflict, Invalid, NotFound
from core.kit.clock import utc_now
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.serving.aliases.models import Alias, AliasRelease, PromptProfile, ShadowAnswer
from core.serving.aliases.repository import AliasRepository, ExpiredShadowRepository
from core.serving.aliases.types import Arm, Plan, SamplingDefaults, Shadow
from core.workspaces.principal import Principal

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SWEPT_AT_ONCE: Final = 1000
# who changes words more often than this does it by a program, and the list of versions is read whole
_MAX_PROFILES: Final = 1000


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who answers one request, and by which prompt profile."""

    alias: Alias
    release: int
    arm: Arm
    profile: PromptProfile | None
    shadow: Shadow | None
    shadow_profile: PromptProfile | None


@dataclass(frozen=True, slots=True)
class AliasDetails:
    alias: Alias
    release: AliasRelease
    plan: Plan


def create(
    session: Session, *, principal: Principal, name: str, plan: Plan, note: str = "", max_aliases: int = 0
) -> AliasDetails:
    """A name of a deleted alias may be taken again only by restoring it: its history is still there.

    Raises `Invalid` for a name that cannot be one, `Conflict` (`alias_exists`, and `too_many_aliases` beyond
    `max_aliases` of the workspace; 0 is no limit), and what `release` raises.
    """
    if not _NAME.fullmatch(name) or name in {model.id for model in base_models.list_base_models()}:
        raise Invalid(
            f"{name!r} cannot be the name of an alias: up to 63 small letters, digits, '-', '_' and '.', beginning "
            "with a letter or digit, and not the name of a base model.",
            code="alias_name_invalid",
            param="name",
        )
    repository = AliasRepository(session, principal.workspace_id)
    _require_place(repository, max_aliases)
    found = repository.by_name(name)
    if found is not None:
        how = "Restore it" if found.deleted_at else "Change what it points at"
        raise Conflict(f"There is an alias {name} already. {how}, or choose another name.", code="alias_exists")
    alias = Alias(
        id=new_id("als_"),
        workspace_id=principal.workspace_id,
        created_by=principal.user_id,
        name=name,
        release=0,
        deleted_at=None,
    )
    repository.add(alias)
    audit.record(session, principal=principal, action="alias.created", target_id=name)
    return _release(session, principal, alias, plan, note=note)


def release(session: Session, *, principal: Principal, name: str, plan: Plan, note: str = "") -> AliasDetails:
    """Point at something else from now on: another model, several in shares, with a shadow or without.

    Raises `NotFound` for an unknown alias, model or profile, and `Invalid` (`model_proof_failed`).
    """
    return _release(session, principal, _found(session, principal.workspace_id, name, for_update=True), plan, note=note)


def roll_back(session: Session, *, principal: Principal, name: str, number: int | None = None) -> AliasDetails:
    """Point at what an earlier release pointed at; without a number, at the one before."""
    alias = _found(session, principal.workspace_id, name, for_update=True)
    number = alias.release - 1 if number is None else number
    earlier = AliasRepository(session, principal.workspace_id).release(alias.id, number)
    if earlier is None or number == alias.release:
        raise NotFound(
            f"{name} has no earlier release {number} to go back to.", code="release_not_found", param="release"
        )
    plan = Plan.model_validate(earlier.plan)
    return _release(session, principal, alias, plan, note=f"Back to release {number}", rolled_back_to=number)


def add_profile(
    session: Session, *, principal: Principal, name: str, system_prompt: str, sampling: SamplingDefaults, note: str
) -> PromptProfile:
    """A new version. It says nothing until a release names it. Raises `Conflict` (`too_many_profiles`)."""
    alias = _found(session, principal.workspace_id, name, for_update=True)
    repository = AliasRepository(session, principal.workspace_id)
    version = repository.num_profiles(alias.id) + 1
    if version > _MAX_PROFILES:
        raise Conflict(
            f"{name} has {_MAX_PROFILES} prompt profiles, which is the most. Give the model another alias.",
            code="too_many_profiles",
        )
    profile = PromptProfile(
        id=new_id("prf_"),
        workspace_id=principal.workspace_id,
        created_by=principal.user_id,
        alias_id=alias.id,
        version=version,
        system_prompt=system_prompt,
        sampling=sampling.model_dump(exclude_none=True),
        note=note,
    )
    repository.add(profile)
    session.refresh(profile)
    details = {"version": profile.version}
    audit.record(session, principal=principal, action="alias.profile.created", target_id=name, details=details)
    return profile


def delete(session: Session, *, principal: Principal, name: str) -> None:
    """From now on the name is unknown. `restore` undoes it."""
    alias = _found(session, principal.workspace_id, name, for_update=True)
    alias.deleted_at = utc_now()
    audit.record(session, principal=principal, action="alias.deleted", target_id=name)


def restore(session: Session, *, principal: Principal, name: str, max_aliases: int = 0) -> AliasDetails:
    """Raises `NotFound`, and `Conflict` (`too_many_aliases`) as `create` does."""
    repository = AliasRepository(session, principal.workspace_id)
    alias = repository.by_name(name, for_update=True)
    if alias is None:
        raise alias_not_found(name)
    if alias.deleted_at is not None:
        _require_place(repository, max_aliases)
    alias.deleted_at = None
    audit.record(session, principal=principal, action="alias.restored", target_id=name)
    return _details(session, alias)


def get(session: Session, *, workspace_id: str, name: str) -> AliasDetails:
    """Raises `NotFound` (`alias_not_found`)."""
    return _details(session, _found(session, workspace_id, name))


def list_aliases(session: Session, *, workspace_id: str) -> list[AliasDetails]:
    """By name."""
    found = AliasRepository(session, workspace_id).releases_in_force()
    return [AliasDetails(alias, release, Plan.model_validate(release.plan)) for alias, release in found]


def releases(session: Session, *, workspace_id: str, name: str, page: PageRequest) -> Page[AliasRelease]:
    alias = _found(session, workspace_id, name)
    return AliasRepository(session, workspace_id).releases(alias.id, page)


def profiles(session: Session, *, workspace_id: str, name: str) -> Sequence[PromptProfile]:
    alias = _found(session, workspace_id, name)
    return AliasRepository(session, workspace_id).profiles(alias.id)


def shadow_answers(session: Session, *, workspace_id: str, name: str, page: PageRequest) -> Page[ShadowAnswer]:
    alias = _found(session, workspace_id, name)
    return AliasRepository(session, workspace_id).shadow_answers(alias.id, page)


def names_of(session: Session, *, workspace_id: str, model_id: str) -> list[str]:
    """The aliases that point at a model now, openly or as a shadow."""
    found = list_aliases(session, workspace_id=workspace_id)
    return [details.alias.name for details in found if model_id in _models_of(details.plan)]


def choose(session: Session, *, workspace_id: str, name: str, key: str) -> Chosen | None:
    """Who answers a request for this name; None if it is the name of no alias.

    `key` stands for who asks or for the conversation: the same key has the same model while the shares allow it.
    """
    repository = AliasRepository(session, workspace_id)
    alias = repository.by_name(name) if _NAME.fullmatch(name) else None
    if alias is None or alias.deleted_at is not None:
        return None
    details = _details(session, alias)
    arm, shadow = details.plan.arm_of(alias.id, key), details.plan.shadow

    def profile(of: Shadow | None) -> PromptProfile | None:
        return None if of is None or of.profile is None else repository.profile(alias.id, of.profile)

    return Chosen(
        alias=alias,
        release=alias.release,
        arm=arm,
        profile=profile(arm),
        shadow=shadow,
        shadow_profile=profile(shadow),
    )


def keep_shadow_answer(session: Session, answer: ShadowAnswer) -> None:
    AliasRepository(session, answer.workspace_id).add(answer)


def sweep(session: Session, *, older_than_days: int) -> int:
    """Delete some shadow answers that were kept for their time. Needs a system session."""
    return ExpiredShadowRepository(session).remove(older_than_days=older_than_days, limit=_SWEPT_AT_ONCE)


def _release(
    session: Session,
    principal: Principal,
    alias: Alias,
    plan: Plan,
    *,
    note: str,
    rolled_back_to: int | None = None,
) -> AliasDetails:
    templates = _checked_models(session, principal.workspace_id, plan)
    repository = AliasRepository(session, principal.workspace_id)
    for named in [*plan.arms, *([plan.shadow] if plan.shadow else [])]:
        if named.profile is not None and repository.profile(alias.id, named.profile) is None:
            raise NotFound(
                f"{alias.name} has no prompt profile of version {named.profile}.",
                code="profile_not_found",
                param="profile",
            )
    alias.release += 1
    made = AliasRelease(
        id=new_id("alr_"),
        workspace_id=principal.workspace_id,
        created_by=principal.user_id,
        alias_id=alias.id,
        number=alias.release,
        plan=plan.model_dump(mode="json"),
        template_sha256s=dict(templates),
        rolled_back_to=rolled_back_to,
        note=note,
    )
    repository.add(made)
    session.refresh(made)
    audit.record(
        session,
        principal=principal,
        action="alias.rolled_back" if rolled_back_to else "alias.released",
        target_id=alias.name,
        details={"release": made.number, "models": sorted(_models_of(plan)), "rolled_back_to": rolled_back_to},
    )
    return AliasDetails(alias, made, plan)


def _checked_models(session: Session, workspace_id: str, plan: Plan) -> Mapping[str, str]:
    """The chat templates that they were proved with. Raises for a model that cannot answer."""
    bases = {model.id for model in base_models.list_base_models()}
    templates = {}
    for model_id in _models_of(plan) - bases:
        adapter = permissions.get_usable(session, workspace_id=workspace_id, model_id=model_id)
        proof: dict[str, Any] = adapter.proof or {}
        if adapter.proof_status is ProofStatus.FAILED:
            raise Invalid(
                f"{model_id} is not put to use, since it was not proved to answer as it was trained.",
                code="model_proof_failed",
                param="model",
            )
        if "template_sha256" in proof:
            templates[model_id] = str(proof["template_sha256"])
    return templates


def _models_of(plan: Plan) -> set[str]:
    return {arm.model for arm in plan.arms} | ({plan.shadow.model} if plan.shadow else set())


def _details(session: Session, alias: Alias) -> AliasDetails:
    found = AliasRepository(session, alias.workspace_id).release(alias.id, alias.release)
    if found is None:
        raise AssertionError(alias.id)
    return AliasDetails(alias, found, Plan.model_validate(found.plan))


def _require_place(repository: AliasRepository, max_aliases: int) -> None:
    num = repository.lock_places()
    if max_aliases and num >= max_aliases:
        raise Conflict(
            f"This workspace has {max_aliases} aliases, which is the most. Delete one that nobody asks for first.",
            code="too_many_aliases",
        )


def _found(session: Session, workspace_id: str, name: str, *, for_update: bool = False) -> Alias:
    alias = AliasRepository(session, workspace_id).by_name(name, for_update=for_update)
    if alias is None or alias.deleted_at is not None:
        raise alias_not_found(name)
    return alias


def alias_not_found(name: str) -> NotFound:
    return NotFound(f"There is no alias {name!r} in this workspace.", code="alias_not_found", param="name")
