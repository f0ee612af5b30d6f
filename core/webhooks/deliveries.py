"""The outbox: what is due is claimed, sent without a session (`core.webhooks.sending`), and what came of it recorded.

At least once: a process that dies between sending and recording leaves a lease that runs out, and the delivery is sent
again under the same `webhook-id`, by which the other side knows it.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.errors import Conflict, NotFound
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from core.webhooks.repository import DeliveryRepository, EndpointRepository, OutboxRepository
from core.webhooks.service import body_of, endpoint_not_found, get
from core.webhooks.types import (
    DISABLED_AFTER_S,
    SCHEDULE_S,
    DeliveryState,
    DisabledReason,
    EventType,
    Outcome,
    Parcel,
)
from core.workspaces.principal import Principal, service_itself

# the other side's time to answer, and ours to write it down
LEASE_S = 60.0
PER_ENDPOINT = 2
PER_WORKSPACE = 4
_JITTER = 0.1
_GONE = 410
_TEST_SUBJECT = "ftjob-test"


def claim(session: Session, *, num: int) -> list[Parcel]:
    """Lease up to `num` of what is due, fairly among workspaces. Needs a system session."""
    found = OutboxRepository(session).claim(
        num, lease_s=LEASE_S, per_endpoint=PER_ENDPOINT, per_workspace=PER_WORKSPACE
    )
    now = OutboxRepository(session).now()
    return [
        Parcel(
            delivery_id=delivery.id,
            workspace_id=delivery.workspace_id,
            endpoint_id=endpoint.id,
            attempt=delivery.attempt,
            event_id=delivery.event_id,
            url=endpoint.url,
            body=delivery.body,
            sealed_secrets=_signing(endpoint, now=now),
        )
        for delivery, endpoint in found
    ]


def record(session: Session, parcel: Parcel, outcome: Outcome) -> DisabledReason | None:
    """Write down what came of a try, and what follows; the reason if it made us switch the endpoint off.

    What a later claim overtook, or whose endpoint is deleted, is dropped.
    """
    endpoints = EndpointRepository(session, parcel.workspace_id)
    deliveries = DeliveryRepository(session, parcel.workspace_id)
    # in this order, as whoever switches an endpoint off holds them
    endpoint = endpoints.lock(parcel.endpoint_id)
    delivery = deliveries.lock(parcel.endpoint_id, parcel.delivery_id)
    if endpoint is None or delivery is None or delivery.attempt != parcel.attempt or delivery.lease_expires_at is None:
        return None
    deliveries.add_attempt(delivery.id, outcome)
    now, num_tries = endpoints.now(), delivery.num_tries + 1
    over: dict[str, Any] = {
        "num_tries": num_tries,
        "lease_expires_at": None,
        "next_attempt_at": None,
        "finished_at": now,
    }
    if outcome.is_delivered:
        deliveries.change(delivery, state=DeliveryState.DELIVERED, **over)
        if endpoint.failing_since is not None or endpoint.held_until is not None:
            endpoints.change(endpoint, failing_since=None, held_until=None)
        return None
    wait_s = _wait_s(num_tries, outcome)
    if delivery.state is not DeliveryState.PENDING:
        # given up while it was under way
        deliveries.change(delivery, num_tries=num_tries, lease_expires_at=None)
    elif wait_s is None:
        deliveries.change(delivery, state=DeliveryState.FAILED, **over)
    else:
        deliveries.change(delivery, num_tries=num_tries, lease_expires_at=None, due_in_s=wait_s)
    return _note_failure(session, endpoint, outcome, now=now)


def put_off(session: Session, parcel: Parcel, *, seconds: float) -> None:
    """This process cannot send it; another may. It counts for nothing. Needs a system session."""
    OutboxRepository(session).put_off(parcel.delivery_id, attempt=parcel.attempt, seconds=seconds)


def new_test(session: Session, *, workspace_id: str, endpoint_id: str, event_type: EventType) -> Parcel:
    """A sample, signed as the real ones are. It is not in the outbox: `record_test` writes it down when it is over."""
    endpoint = get(session, workspace_id=workspace_id, endpoint_id=endpoint_id)
    event_id, now = new_id("evt_"), EndpointRepository(session, workspace_id).now()
    return Parcel(
        delivery_id=new_id("whd_"),
        workspace_id=workspace_id,
        endpoint_id=endpoint.id,
        attempt=1,
        event_id=event_id,
        url=endpoint.url,
        body=body_of(event_id, event_type, _TEST_SUBJECT),
        sealed_secrets=_signing(endpoint, now=now),
    )


def record_test(
    session: Session, *, principal: Principal, parcel: Parcel, event_type: EventType, outcome: Outcome
) -> None:
    """A test changes nothing about the endpoint, however it ends."""
    endpoints = EndpointRepository(session, parcel.workspace_id)
    if endpoints.lock(parcel.endpoint_id) is None:
        raise endpoint_not_found(parcel.endpoint_id)
    deliveries = DeliveryRepository(session, parcel.workspace_id)
    deliveries.add(
        WebhookDelivery(
            id=parcel.delivery_id,
            workspace_id=parcel.workspace_id,
            endpoint_id=parcel.endpoint_id,
            event_id=parcel.event_id,
            event_type=event_type,
            occurrence=parcel.event_id,
            body=parcel.body,
            is_test=True,
            state=DeliveryState.DELIVERED if outcome.is_delivered else DeliveryState.FAILED,
            num_tries=1,
            attempt=1,
            finished_at=endpoints.now(),
        )
    )
    deliveries.add_attempt(parcel.delivery_id, outcome)
    audit.record(
        session,
        principal=principal,
        action="webhook_endpoint.tested",
        target_id=parcel.endpoint_id,
        details={"status_code": outcome.status_code},
    )


def replay(session: Session, *, principal: Principal, endpoint_id: str, delivery_id: str) -> WebhookDelivery:
    """Send it once more, now, under its own id, as often as a new one would be tried. One that waits is sent sooner.

    Raises `Conflict` while its endpoint is switched off.
    """
    endpoint = EndpointRepository(session, principal.workspace_id).lock(endpoint_id)
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    deliveries = DeliveryRepository(session, principal.workspace_id)
    delivery = deliveries.lock(endpoint_id, delivery_id)
    if delivery is None:
        raise _delivery_not_found(delivery_id)
    if endpoint.disabled_at is not None:
        raise Conflict(
            f"The webhook {endpoint.name} is switched off. Switch it on, and send this again.",
            code="webhook_endpoint_disabled",
        )
    audit.record(
        session,
        principal=principal,
        action="webhook_delivery.replayed",
        target_id=delivery_id,
        details={"webhook_endpoint_id": endpoint_id, "event_id": delivery.event_id},
    )
    # what is under way right now comes back to its own attempt, and is then as good as this
    return deliveries.change(delivery, state=DeliveryState.PENDING, num_tries=0, finished_at=None, due_in_s=0)


def list_deliveries(
    session: Session, *, workspace_id: str, endpoint_id: str, page: PageRequest, state: DeliveryState | None = None
) -> tuple[Page[WebhookDelivery], Mapping[str, Sequence[WebhookAttempt]]]:
    """Newest first, and by delivery what was tried, in order."""
    get(session, workspace_id=workspace_id, endpoint_id=endpoint_id)
    deliveries = DeliveryRepository(session, workspace_id)
    found = deliveries.page(endpoint_id, page, state=state)
    return found, _by_delivery(deliveries.attempts(one.id for one in found.items))


def get_delivery(
    session: Session, *, workspace_id: str, endpoint_id: str, delivery_id: str
) -> tuple[WebhookDelivery, Sequence[WebhookAttempt]]:
    """And what was tried, in order."""
    deliveries = DeliveryRepository(session, workspace_id)
    delivery = deliveries.get(endpoint_id, delivery_id)
    if delivery is None:
        raise _delivery_not_found(delivery_id)
    return delivery, deliveries.attempts([delivery_id])


def sweep(session: Session, *, days: int) -> int:
    """Forget what was over long ago. Needs a system session."""
    return OutboxRepository(session).remove_old(days=days)


def _signing(endpoint: WebhookEndpoint, *, now: datetime) -> Sequence[str]:
    old, until = endpoint.old_secret_sealed, endpoint.old_secret_until
    is_old_valid = old is not None and until is not None and now < until
    return (endpoint.secret_sealed, old) if is_old_valid and old else (endpoint.secret_sealed,)


def _wait_s(num_tries: int, outcome: Outcome) -> float | None:
    """Until the next try; None after the last. A little more each time than was planned, so that many spread out."""
    if num_tries >= len(SCHEDULE_S):
        return None
    planned_s = SCHEDULE_S[num_tries] * random.uniform(1, 1 + _JITTER)
    return max(planned_s, outcome.retry_after_s or 0)


def _note_failure(
    session: Session, endpoint: WebhookEndpoint, outcome: Outcome, *, now: datetime
) -> DisabledReason | None:
    failing_since = endpoint.failing_since or now
    changes: dict[str, Any] = {"failing_since": failing_since}
    if outcome.retry_after_s:
        changes["held_until"] = now + timedelta(seconds=outcome.retry_after_s)
    reason = None
    if outcome.status_code == _GONE:
        reason = DisabledReason.GONE
    elif (now - failing_since).total_seconds() >= DISABLED_AFTER_S:
        reason = DisabledReason.FAILING
    if reason is not None and endpoint.disabled_at is None:
        changes |= {"disabled_at": now, "disabled_reason": reason}
        num_given_up = DeliveryRepository(session, endpoint.workspace_id).give_up(endpoint.id)
        audit.record(
            session,
            principal=service_itself(endpoint.workspace_id),
            action="webhook_endpoint.disabled",
            target_id=endpoint.id,
            details={"reason": reason.value, "num_given_up": num_given_up},
        )
    else:
        reason = None
    EndpointRepository(session, endpoint.workspace_id).change(endpoint, **changes)
    return reason


def _by_delivery(attempts: Sequence[WebhookAttempt]) -> dict[str, list[WebhookAttempt]]:
    found: dict[str, list[WebhookAttempt]] = {}
    for attempt in attempts:
        found.setdefault(attempt.delivery_id, []).append(attempt)
    return found


def _delivery_not_found(delivery_id: str) -> NotFound:
    return NotFound(
        f"There is no delivery {delivery_id!r} of this webhook.", code="webhook_delivery_not_found", param="delivery_id"
    )
