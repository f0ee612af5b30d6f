"""From the name that a request asks for to the model that answers it, and to its shadow."""

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.backends.blobs import BlobStore
from core.config import Settings
from core.errors import AppError
from core.serving import service as serving
from core.serving.aliases import service as aliases
from core.serving.aliases.models import PromptProfile
from core.serving.aliases.service import Chosen
from core.serving.service import Target

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Voice:
    """A model, and what is said to it before anybody speaks."""

    target: Target
    system_prompt: str = ""
    sampling: dict[str, Any] | None = None
    profile: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers; for an alias also by which of its releases, and who answers in secret."""

    asked: str
    voice: Voice
    alias_id: str | None = None
    release: int | None = None
    shadow: Voice | None = None


def route(session: Session, *, workspace_id: str, name: str, key: str, settings: Settings, blobs: BlobStore) -> Route:
    """`key` stands for who asks, see `aliases.choose`. Raises what `serving.resolve` raises."""

    def voice(model_id: str, profile: PromptProfile | None) -> Voice:
        target = serving.resolve(session, workspace_id=workspace_id, model_id=model_id, settings=settings, blobs=blobs)
        if profile is None:
            return Voice(target)
        return Voice(target, profile.system_prompt, profile.sampling, profile.version)

    def shadow(chosen: Chosen) -> Voice | None:
        """None, too, for one that cannot answer any more: no answer fails by its shadow."""
        if chosen.shadow is None:
            return None
        try:
            return voice(chosen.shadow.model, chosen.shadow_profile)
        except AppError as error:
            logger.warning("the shadow of alias %s cannot answer: %s", chosen.alias.id, error.error_code)
            return None

    chosen = aliases.choose(session, workspace_id=workspace_id, name=name, key=key)
    if chosen is None:
        return Route(asked=name, voice=voice(name, None))
    return Route(
        asked=name,
        voice=voice(chosen.arm.model, chosen.profile),
        alias_id=chosen.alias.id,
        release=chosen.release,
        shadow=shadow(chosen),
    )
