"""The record of who did what, written in the transaction of the deed: one is never there without the other."""

from typing import Any

from sqlalchemy.orm import Session

from core.audit.models import AuditEvent
from core.audit.repository import AuditRepository
from core.kit.pagination import Page, PageRequest
from core.workspaces.principal import Principal


def record(
    session: Session, *, principal: Principal, action: str, target_id: str, details: dict[str, Any] | None = None
) -> AuditEvent:
    """`action` is `thing.done_to_it`, such as `dataset.created`. Never put a secret or a row's text in `details`."""
    return AuditRepository(session, principal.workspace_id).add(
        actor_user_id=principal.user_id,
        actor_api_key_id=principal.api_key_id,
        actor_name=principal.display_name,
        action=action,
        target_id=target_id,
        details=details or {},
    )


def list_events(
    session: Session, *, workspace_id: str, page: PageRequest, action: str | None = None
) -> Page[AuditEvent]:
    """Newest first."""
    return AuditRepository(session, workspace_id).page(page, action=action)
