from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.audit.models import AuditEvent
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest


class AuditRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(
        self,
        *,
        actor_user_id: str,
        actor_api_key_id: str | None,
        actor_name: str,
        action: str,
        target_id: str,
        details: dict[str, Any],
    ) -> AuditEvent:
        found = AuditEvent(
            id=new_id("aud_"),
            workspace_id=self._workspace_id,
            actor_user_id=actor_user_id,
            actor_api_key_id=actor_api_key_id,
            actor_name=actor_name,
            action=action,
            target_id=target_id,
            details=details,
        )
        self._session.add(found)
        self._session.flush()
        return found

    def page(self, page: PageRequest, *, action: str | None = None) -> Page[AuditEvent]:
        query = (
            select(AuditEvent)
            .where(AuditEvent.workspace_id == self._workspace_id)
            .order_by(AuditEvent.id.desc())
            .limit(page.limit + 1)
        )
        if page.after:
            query = query.where(AuditEvent.id < page.after)
        if action:
            query = query.where(AuditEvent.action == action)
        return Page.cut(self._session.scalars(query).all(), page.limit)
