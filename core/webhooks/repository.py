from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from core.webhooks.types import DeliveryState, EventType, Outcome

# Which deliveries are sent next: of each endpoint the longest due, of each workspace as many as it has places left, and
# those first whose workspace has the fewest under way. So one that does not answer holds up nobody but itself. Each
# endpoint costs one look at the index `ix_webhook_deliveries_due`.
_CHOOSE = """
with busy as materialized (
    select endpoint_id, workspace_id, count(*) as num from webhook_deliveries
    where state = 'pending' and lease_expires_at > now() group by endpoint_id, workspace_id
), due as materialized (
    select found.id, found.next_attempt_at, endpoint.workspace_id,
        row_number() over (partition by endpoint.workspace_id order by found.place, found.next_attempt_at, found.id)
            + coalesce((select sum(num) from busy where busy.workspace_id = endpoint.workspace_id), 0) as turn
    from webhook_endpoints endpoint
    cross join lateral (
        select id, next_attempt_at, row_number() over (order by next_attempt_at, id)
            + coalesce((select num from busy where busy.endpoint_id = endpoint.id), 0) as place
        from (
            select id, next_attempt_at from webhook_deliveries
            where endpoint_id = endpoint.id and state = 'pending' and next_attempt_at <= now()
              and (lease_expires_at is null or lease_expires_at <= now())
            order by next_attempt_at, id limit :per_endpoint
        ) longest_due
    ) found
    where endpoint.disabled_at is null and (endpoint.held_until is null or endpoint.held_until <= now())
      and found.place <= :per_endpoint
)
select delivery.id from due join webhook_deliveries delivery on delivery.id = due.id and delivery.state = 'pending'
where due.turn <= :per_workspace
order by due.turn, due.next_attempt_at, due.id limit :num for no key update of delivery skip locked
"""
_DELETED_AT_ONCE = 5000


class EndpointRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        self._session.add(endpoint)
        self._session.flush()
        self._session.refresh(endpoint)
        return endpoint

    def get(self, endpoint_id: str) -> WebhookEndpoint | None:
        return self._session.scalar(self._own().where(WebhookEndpoint.id == endpoint_id))

    def lock(self, endpoint_id: str) -> WebhookEndpoint | None:
        """The endpoint as it is now, held until the transaction ends."""
        return self._session.scalar(
            self._own()
            .where(WebhookEndpoint.id == endpoint_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )

    def lock_places(self) -> int:
        """How many endpoints the workspace has; nobody adds one until the transaction ends."""
        self._session.execute(
            text("select pg_advisory_xact_lock(hashtextextended('webhook endpoints of ' || :workspace_id, 0))"),
            {"workspace_id": self._workspace_id},
        )
        num = select(func.count()).where(WebhookEndpoint.workspace_id == self._workspace_id)
        return self._session.scalars(num).one()

    def page(self, page: PageRequest) -> Page[WebhookEndpoint]:
        query = self._own().order_by(WebhookEndpoint.id.desc()).limit(page.limit + 1)
        if page.after:
            query = query.where(WebhookEndpoint.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def subscribed(self, event_type: EventType) -> Sequence[str]:
        """Those that are told of it, which nobody deletes until the transaction ends."""
        return self._session.scalars(
            select(WebhookEndpoint.id)
            .where(
                WebhookEndpoint.workspace_id == self._workspace_id,
                WebhookEndpoint.disabled_at.is_(None),
                WebhookEndpoint.event_types.contains([event_type.value]),
            )
            .order_by(WebhookEndpoint.id)
            .with_for_update(read=True, key_share=True)
        ).all()

    def change(self, endpoint: WebhookEndpoint, **changes: Any) -> WebhookEndpoint:  # noqa: ANN401 - columns
        changed = self._session.scalar(
            update(WebhookEndpoint)
            .where(WebhookEndpoint.id == endpoint.id, WebhookEndpoint.workspace_id == self._workspace_id)
            .values(**changes)
            .returning(WebhookEndpoint)
            .execution_options(populate_existing=True, synchronize_session=False)
        )
        return changed or endpoint

    def remove(self, endpoint: WebhookEndpoint) -> None:
        self._session.delete(endpoint)
        self._session.flush()

    def now(self) -> datetime:
        return self._session.scalars(select(func.now())).one()

    def _own(self) -> Select[WebhookEndpoint]:
        return select(WebhookEndpoint).where(WebhookEndpoint.workspace_id == self._workspace_id)


class DeliveryRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add_once(
        self,
        endpoint_ids: Iterable[str],
        *,
        event_id: str,
        event_type: EventType,
        occurrence: str,
        body: str,
    ) -> int:
        """One delivery, due at once, for each endpoint that has none of this occurrence; how many are new."""
        rows = [
            {
                "id": new_id("whd_"),
                "workspace_id": self._workspace_id,
                "endpoint_id": endpoint_id,
                "event_id": event_id,
                "event_type": event_type,
                "occurrence": occurrence,
                "body": body,
                "state": DeliveryState.PENDING,
                "next_attempt_at": func.now(),
            }
            for endpoint_id in endpoint_ids
        ]
        added = insert(WebhookDelivery).values(rows)
        return len(
            self._session.scalars(
                added.on_conflict_do_nothing(index_elements=["endpoint_id", "event_type", "occurrence"]).returning(
                    WebhookDelivery.id
                )
            ).all()
        )

    def add(self, delivery: WebhookDelivery) -> WebhookDelivery:
        self._session.add(delivery)
        self._session.flush()
        self._session.refresh(delivery)
        return delivery

    def get(self, endpoint_id: str, delivery_id: str) -> WebhookDelivery | None:
        return self._session.scalar(
            self._own().where(WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.id == delivery_id)
        )

    def lock(self, endpoint_id: str, delivery_id: str) -> WebhookDelivery | None:
        return self._session.scalar(
            self._own()
            .where(WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.id == delivery_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )

    def page(self, endpoint_id: str, page: PageRequest, *, state: DeliveryState | None) -> Page[WebhookDelivery]:
        """Newest first."""
        query = self._own().where(WebhookDelivery.endpoint_id == endpoint_id)
        if page.after:
            query = query.where(WebhookDelivery.id < page.after)
        if state is not None:
            query = query.where(WebhookDelivery.state == state)
        found = self._session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(page.limit + 1)).all()
        return Page.cut(found, page.limit)

    def attempts(self, delivery_ids: Iterable[str]) -> Sequence[WebhookAttempt]:
        """Of all of them, in the order of time."""
        return self._session.scalars(
            select(WebhookAttempt)
            .where(
                WebhookAttempt.workspace_id == self._workspace_id, WebhookAttempt.delivery_id.in_(list(delivery_ids))
            )
            .order_by(WebhookAttempt.id)
        ).all()

    def add_attempt(self, delivery_id: str, outcome: Outcome) -> None:
        self._session.add(
            WebhookAttempt(
                id=new_id("wha_"),
                workspace_id=self._workspace_id,
                delivery_id=delivery_id,
                status_code=outcome.status_code,
                error=outcome.error,
                answer=outcome.answer,
                duration_ms=outcome.duration_ms,
            )
        )
        self._session.flush()

    def change(self, delivery: WebhookDelivery, *, due_in_s: float | None = None, **changes: Any) -> WebhookDelivery:  # noqa: ANN401 - columns
        """Change a row that the caller holds; `due_in_s` says when it is tried next."""
        if due_in_s is not None:
            changes["next_attempt_at"] = func.now() + timedelta(seconds=due_in_s)
        changed = self._session.scalar(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery.id, WebhookDelivery.workspace_id == self._workspace_id)
            .values(**changes)
            .returning(WebhookDelivery)
            .execution_options(populate_existing=True, synchronize_session=False)
        )
        return changed or delivery

    def give_up(self, endpoint_id: str) -> int:
        """End everything that waits for an endpoint. What is under way is told so when it comes back."""
        ended = self._session.scalars(
            update(WebhookDelivery)
            .where(
                WebhookDelivery.workspace_id == self._workspace_id,
                WebhookDelivery.endpoint_id == endpoint_id,
                WebhookDelivery.state == DeliveryState.PENDING,
            )
            .values(state=DeliveryState.FAILED, finished_at=func.now(), next_attempt_at=None)
            .returning(WebhookDelivery.id)
            .execution_options(synchronize_session=False)
        ).all()
        return len(ended)

    def num_pending(self, endpoint_ids: Iterable[str]) -> dict[str, int]:
        rows = self._session.execute(
            select(WebhookDelivery.endpoint_id, func.count())
            .where(
                WebhookDelivery.workspace_id == self._workspace_id,
                WebhookDelivery.endpoint_id.in_(list(endpoint_ids)),
                WebhookDelivery.state == DeliveryState.PENDING,
            )
            .group_by(WebhookDelivery.endpoint_id)
        )
        return {row[0]: row[1] for row in rows}

    def _own(self) -> Select[WebhookDelivery]:
        return select(WebhookDelivery).where(WebhookDelivery.workspace_id == self._workspace_id)


class OutboxRepository:
    """Over all workspaces: for those who send, sweep and seal anew. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def claim(
        self, num: int, *, lease_s: float, per_endpoint: int, per_workspace: int
    ) -> Sequence[tuple[WebhookDelivery, WebhookEndpoint]]:
        """Lease up to `num` deliveries that are due. Claims follow one another, which makes the limits exact."""
        self._session.execute(
            text(
                "select set_config('lock_timeout', '5s', true), "
                "pg_advisory_xact_lock(hashtextextended('claim webhooks', 0))"
            )
        )
        chosen = self._session.scalars(
            text(_CHOOSE), {"num": num, "per_endpoint": per_endpoint, "per_workspace": per_workspace}
        ).all()
        if not chosen:
            return []
        claimed = self._session.scalars(
            update(WebhookDelivery)
            .where(WebhookDelivery.id.in_(chosen))
            .values(attempt=WebhookDelivery.attempt + 1, lease_expires_at=func.now() + timedelta(seconds=lease_s))
            .returning(WebhookDelivery)
            .execution_options(populate_existing=True, synchronize_session=False)
        ).all()
        endpoints = {
            endpoint.id: endpoint
            for endpoint in self._session.scalars(
                select(WebhookEndpoint).where(WebhookEndpoint.id.in_({one.endpoint_id for one in claimed}))
            )
        }
        in_order = {delivery_id: place for place, delivery_id in enumerate(chosen)}
        return [
            (one, endpoints[one.endpoint_id])
            for one in sorted(claimed, key=lambda one: in_order[one.id])
            if one.endpoint_id in endpoints
        ]

    def now(self) -> datetime:
        return self._session.scalars(select(func.now())).one()

    def put_off(self, delivery_id: str, *, attempt: int, seconds: float) -> None:
        """Give a claimed delivery back, for somebody else, after a while."""
        self._session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id, WebhookDelivery.attempt == attempt)
            .values(lease_expires_at=None, next_attempt_at=func.now() + timedelta(seconds=seconds))
        )

    def remove_old(self, *, days: int) -> int:
        """Delete what was over long ago, not all at once; how many that were."""
        old = (
            select(WebhookDelivery.id)
            .where(WebhookDelivery.finished_at < func.now() - timedelta(days=days))
            .limit(_DELETED_AT_ONCE)
        )
        return len(
            self._session.scalars(
                delete(WebhookDelivery).where(WebhookDelivery.id.in_(old)).returning(WebhookDelivery.id)
            ).all()
        )

    def lock_endpoints(self) -> Sequence[WebhookEndpoint]:
        return self._session.scalars(select(WebhookEndpoint).order_by(WebhookEndpoint.id).with_for_update()).all()
