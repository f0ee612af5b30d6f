from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false, func
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned
from core.db.enum_text import EnumText
from core.webhooks.types import DeliveryState, DisabledReason, EventType


class WebhookEndpoint(WorkspaceOwned, Base):
    """An address of the workspace's own that is told what happens here."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    url: Mapped[str]
    event_types: Mapped[list[Any]]
    secret_sealed: Mapped[str]
    secret_hint: Mapped[str]
    old_secret_sealed: Mapped[str | None]
    """Signs too, until `old_secret_until`."""
    old_secret_until: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Of the last change of what its owner can set."""
    created_by: Mapped[str]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[DisabledReason | None] = mapped_column(EnumText(DisabledReason))
    failing_since: Mapped[datetime | None]
    """When the first try failed since one succeeded; null while all is well."""
    held_until: Mapped[datetime | None]
    """The other side asked not to be called before this."""


class WebhookDelivery(WorkspaceOwned, Base):
    """One event for one endpoint: the outbox, and once it is over the log.

    Like a job it is leased and fenced. The row is written in the transaction of what it tells, or not at all.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        # what happened is told once: `occurrence` names it among all of its type
        UniqueConstraint("endpoint_id", "event_type", "occurrence"),
        Index("ix_webhook_deliveries_due", "endpoint_id", "next_attempt_at", postgresql_where="state = 'pending'"),
        Index("ix_webhook_deliveries_log", "endpoint_id", "id"),
        Index("ix_webhook_deliveries_finished_at", "finished_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    event_id: Mapped[str]
    """The `webhook-id`: the same at every try, and for every endpoint that is told of the event."""
    event_type: Mapped[EventType] = mapped_column(EnumText(EventType))
    occurrence: Mapped[str]
    body: Mapped[str]
    """Exactly what is sent."""
    is_test: Mapped[bool] = mapped_column(default=False, server_default=false())
    state: Mapped[DeliveryState] = mapped_column(EnumText(DeliveryState))
    num_tries: Mapped[int] = mapped_column(default=0)
    """That came to an end, since it was last sent by hand."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Times it was claimed; the fencing number."""
    next_attempt_at: Mapped[datetime | None]
    lease_expires_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class WebhookAttempt(WorkspaceOwned, Base):
    """One try, and what was answered."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index("ix_webhook_attempts_delivery_id", "delivery_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    status_code: Mapped[int | None]
    error: Mapped[str | None]
    answer: Mapped[str | None]
    duration_ms: Mapped[int]
