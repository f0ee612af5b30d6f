from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned


class AuditEvent(WorkspaceOwned, Base):
    """Who did what. The database refuses to change or delete one."""

    __tablename__ = "audit_events"

    id: Mapped[str] = mapped_column(primary_key=True)
    actor_user_id: Mapped[str]
    actor_api_key_id: Mapped[str | None]
    # as it was then: people change their names and leave
    actor_name: Mapped[str]
    action: Mapped[str]
    target_id: Mapped[str]
    details: Mapped[dict[str, Any]]
