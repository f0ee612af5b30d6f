"""The outbox of a workspace, each call a transaction of its own, and a clock that tests may turn."""

from typing import Any

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM, Database, workspace_scope
from core.kit.sealing import Sealer
from core.webhooks import deliveries, service
from core.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from core.webhooks.types import DisabledReason, EventType, Outcome, Parcel
from core.workspaces.principal import Principal

SEALER = Sealer.of_settings("", "a secret for tests")
OK = Outcome(status_code=200, error=None, answer="fine", duration_ms=5)
BAD = Outcome(status_code=500, error=None, answer="broken", duration_ms=5)


class Outbox:
    def __init__(self, database: Database, principal: Principal) -> None:
        self.database, self.principal = database, principal
        self._scope = workspace_scope(principal.workspace_id)

    def endpoint(self, *event_types: EventType, **changes: Any) -> WebhookEndpoint:  # noqa: ANN401 - columns
        values: dict[str, Any] = {"name": "ours", "url": "https://example.com/hooks"} | changes
        with self.database.session(self._scope) as session:
            return service.create(
                session,
                principal=self.principal,
                event_types=event_types or tuple(EventType),
                sealer=SEALER,
                **values,
            )

    def emit(self, occurrence: str, event_type: EventType = EventType.JOB_SUCCEEDED) -> int:
        with self.database.session(self._scope) as session:
            return service.emit(
                session,
                workspace_id=self.principal.workspace_id,
                event_type=event_type,
                subject_id="ftjob-1",
                occurrence=occurrence,
            )

    def claim(self, num: int = 100) -> list[Parcel]:
        with self.database.session(SYSTEM) as session:
            return deliveries.claim(session, num=num)

    def record(self, parcel: Parcel, outcome: Outcome) -> DisabledReason | None:
        with self.database.session(workspace_scope(parcel.workspace_id)) as session:
            return deliveries.record(session, parcel, outcome)

    def change(self, endpoint: WebhookEndpoint, **changes: Any) -> WebhookEndpoint:  # noqa: ANN401 - columns
        with self.database.session(self._scope) as session:
            return service.change(session, principal=self.principal, endpoint_id=endpoint.id, changes=changes)

    def replay(self, delivery: WebhookDelivery) -> WebhookDelivery:
        with self.database.session(self._scope) as session:
            return deliveries.replay(
                session, principal=self.principal, endpoint_id=delivery.endpoint_id, delivery_id=delivery.id
            )

    def pass_time(self, seconds: float) -> None:
        """Everything in the database is so much older."""
        with self.database.session(SYSTEM) as session:
            for table, columns in (
                ("webhook_deliveries", ("next_attempt_at", "lease_expires_at", "finished_at")),
                ("webhook_endpoints", ("failing_since", "held_until", "old_secret_until")),
            ):
                older = ", ".join(f"{column} = {column} - :seconds * interval '1 second'" for column in columns)
                session.execute(text(f"update {table} set {older}"), {"seconds": seconds})

    def waits_s(self) -> list[float | None]:
        """Until each delivery is tried next."""
        with self.database.session(SYSTEM) as session:
            query = "select extract(epoch from next_attempt_at - now())::float from webhook_deliveries order by id"
            return list(session.scalars(text(query)))

    def look(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        with self.database.session(SYSTEM) as session:
            return session.get_one(WebhookEndpoint, endpoint.id)

    def deliveries(self) -> list[WebhookDelivery]:
        with self.database.session(SYSTEM) as session:
            return list(session.query(WebhookDelivery).order_by(WebhookDelivery.id))

    def attempts(self) -> list[WebhookAttempt]:
        with self.database.session(SYSTEM) as session:
            return list(session.query(WebhookAttempt).order_by(WebhookAttempt.id))

    def states(self) -> list[str]:
        return [delivery.state.value for delivery in self.deliveries()]


@pytest.fixture
def outbox(database: Database, principal: Principal) -> Outbox:
    return Outbox(database, principal)
