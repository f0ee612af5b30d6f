"""Every name that chat answers to in a workspace: aliases, tuned models and base models."""

from sqlalchemy.orm import Session

from core.base_models import service as base_models
from core.config import Settings
from core.errors import Conflict, NotFound
from core.serving import service as serving
from core.serving.aliases import service as aliases
from core.serving.aliases.service import AliasDetails
from core.serving.service import ServedModel
from core.workspaces.principal import Principal


def list_models(session: Session, *, workspace_id: str, settings: Settings) -> list[ServedModel]:
    """Aliases by name, then what `serving.list_models` has."""
    models = serving.list_models(session, workspace_id=workspace_id, settings=settings)
    by_id = {model.id: model for model in models}
    found = aliases.list_aliases(session, workspace_id=workspace_id)
    return [_alias(details, by_id) for details in found] + models


def get_model(session: Session, *, workspace_id: str, model_id: str, settings: Settings) -> ServedModel:
    """Raises `NotFound` (`model_not_found`)."""
    if aliases.choose(session, workspace_id=workspace_id, name=model_id, key="") is None:
        return serving.get_model(session, workspace_id=workspace_id, model_id=model_id, settings=settings)
    models = serving.list_models(session, workspace_id=workspace_id, settings=settings)
    details = aliases.get(session, workspace_id=workspace_id, name=model_id)
    return _alias(details, {model.id: model for model in models})


def delete_model(session: Session, *, principal: Principal, model_id: str) -> None:
    """Raises `Conflict` (`model_in_use`) while an alias points at it, and what `serving.delete_model` raises."""
    names = aliases.names_of(session, workspace_id=principal.workspace_id, model_id=model_id)
    if names and not _is_base(model_id):
        raise Conflict(
            f"{', '.join(names)} would answer nobody: it points at this model. Point it at another one first.",
            code="model_in_use",
            param="model",
            details={"aliases": names},
        )
    serving.delete_model(session, principal=principal, model_id=model_id)


def _is_base(model_id: str) -> bool:
    try:
        base_models.get(model_id)
    except NotFound:
        return False
    return True


def _alias(details: AliasDetails, models: dict[str, ServedModel]) -> ServedModel:
    """Ready when whatever it may answer with is."""
    alias, arms = details.alias, details.plan.arms
    pointed_at = [models[arm.model] for arm in arms if arm.model in models]
    return ServedModel(
        id=alias.name,
        kind="alias",
        name=alias.name,
        base_model=pointed_at[0].base_model if pointed_at else "",
        owned_by=alias.workspace_id,
        is_ready=len(pointed_at) == len(arms) and all(model.is_ready for model in pointed_at),
        created_at=alias.created_at,
    )
