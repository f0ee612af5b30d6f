"""Endpoints of a workspace, and the events that they are told.

`core.webhooks.deliveries` is the outbox: what is sent, tried again and looked up afterwards.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.errors import Conflict, Invalid, NotFound
from core.kit.clock import unix_s, utc_now
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.kit.sealing import Sealer
from core.webhooks import signing
from core.webhooks.models import WebhookEndpoint
from core.webhooks.repository import DeliveryRepository, EndpointRepository, OutboxRepository
from core.webhooks.sending import sealing_context
from core.webhooks.types import DisabledReason, EventType
from core.workspaces.principal import Principal

MAX_ENDPOINTS = 20
_MAX_NAME_CHARS = 100
_OVERLAP = timedelta(hours=24)


def create(
    session: Session, *, principal: Principal, name: str, url: str, event_types: Sequence[EventType], sealer: Sealer
) -> WebhookEndpoint:
    """The URL was checked by `OutboundClient.check`, before this session was used: that asks a name server."""
    endpoints = EndpointRepository(session, principal.workspace_id)
    if endpoints.lock_places() >= MAX_ENDPOINTS:
        raise Conflict(
            f"This workspace has {MAX_ENDPOINTS} webhooks already, which is the most. Delete one first.",
            code="too_many_webhooks",
        )
    endpoint_id, secret = new_id("whe_"), signing.new_secret()
    endpoint = endpoints.add(
        WebhookEndpoint(
            id=endpoint_id,
            workspace_id=principal.workspace_id,
            name=_checked_name(name),
            url=url,
            event_types=_checked_types(event_types),
            secret_sealed=sealer.seal(secret, context=sealing_context(endpoint_id)),
            secret_hint=signing.hint(secret),
            created_by=principal.user_id,
        )
    )
    audit.record(
        session,
        principal=principal,
        action="webhook_endpoint.created",
        target_id=endpoint.id,
        details={"name": endpoint.name, "event_types": endpoint.event_types},
    )
    return endpoint


def get(session: Session, *, workspace_id: str, endpoint_id: str) -> WebhookEndpoint:
    endpoint = EndpointRepository(session, workspace_id).get(endpoint_id)
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    return endpoint


def list_endpoints(session: Session, *, workspace_id: str, page: PageRequest) -> Page[WebhookEndpoint]:
    """Newest first."""
    return EndpointRepository(session, workspace_id).page(page)


def num_pending(session: Session, *, workspace_id: str, endpoint_ids: Sequence[str]) -> dict[str, int]:
    """By endpoint, how many deliveries are still to be made."""
    return DeliveryRepository(session, workspace_id).num_pending(endpoint_ids)


def secret_of(endpoint: WebhookEndpoint, sealer: Sealer) -> str:
    """For whoever just made it or had it changed, and for nobody else."""
    return sealer.open(endpoint.secret_sealed, context=sealing_context(endpoint.id))


def change(session: Session, *, principal: Principal, endpoint_id: str, changes: Mapping[str, Any]) -> WebhookEndpoint:
    """Change `name`, `url`, `event_types` or `disabled`, whichever `changes` has.

    A URL was checked as for `create`. What waits for an endpoint that is switched off is given up; what happens while
    it is off is not told later.
    """
    endpoints = EndpointRepository(session, principal.workspace_id)
    endpoint = endpoints.lock(endpoint_id)
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    new: dict[str, Any] = {}
    if "name" in changes:
        new["name"] = _checked_name(changes["name"])
    if "url" in changes:
        new["url"] = changes["url"]
    if "event_types" in changes:
        new["event_types"] = _checked_types(changes["event_types"])
    new = {name: value for name, value in new.items() if value != getattr(endpoint, name)}
    if new:
        told = {name: value for name, value in new.items() if name != "url"} | {"has_new_url": "url" in new}
        audit.record(
            session, principal=principal, action="webhook_endpoint.updated", target_id=endpoint_id, details=told
        )
    is_disabled = endpoint.disabled_at is not None
    if changes.get("disabled", is_disabled) != is_disabled:
        new |= _switched(session, endpoint, principal=principal, is_on=is_disabled)
    return endpoints.change(endpoint, updated_at=endpoints.now(), **new) if new else endpoint


def rotate_secret(
    session: Session, *, principal: Principal, endpoint_id: str, keeps_old: bool, sealer: Sealer
) -> WebhookEndpoint:
    """A new secret; with `keeps_old` the one before signs too for 24 hours, so that nothing is refused meanwhile."""
    endpoints = EndpointRepository(session, principal.workspace_id)
    endpoint = endpoints.lock(endpoint_id)
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    secret, now = signing.new_secret(), endpoints.now()
    audit.record(
        session,
        principal=principal,
        action="webhook_endpoint.secret_rotated",
        target_id=endpoint_id,
        details={"keeps_old": keeps_old},
    )
    return endpoints.change(
        endpoint,
        secret_sealed=sealer.seal(secret, context=sealing_context(endpoint_id)),
        secret_hint=signing.hint(secret),
        old_secret_sealed=endpoint.secret_sealed if keeps_old else None,
        old_secret_until=now + _OVERLAP if keeps_old else None,
        updated_at=now,
    )


def remove(session: Session, *, principal: Principal, endpoint_id: str) -> None:
    """With its log, and with whatever was still to be sent."""
    endpoints = EndpointRepository(session, principal.workspace_id)
    endpoint = endpoints.lock(endpoint_id)
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    name = endpoint.name
    endpoints.remove(endpoint)
    audit.record(
        session,
        principal=principal,
        action="webhook_endpoint.deleted",
        target_id=endpoint_id,
        details={"name": name},
    )


def emit(session: Session, *, workspace_id: str, event_type: EventType, subject_id: str, occurrence: str) -> int:
    """Tell it to every endpoint that asked, once this transaction is committed; how many that are.

    `subject_id` is what the event is about, and `occurrence` names this one time that it happened: telling it again
    changes nothing.
    """
    endpoint_ids = EndpointRepository(session, workspace_id).subscribed(event_type)
    if not endpoint_ids:
        return 0
    event_id = new_id("evt_")
    return DeliveryRepository(session, workspace_id).add_once(
        endpoint_ids,
        event_id=event_id,
        event_type=event_type,
        occurrence=occurrence,
        body=body_of(event_id, event_type, subject_id),
    )


def body_of(event_id: str, event_type: EventType, subject_id: str) -> str:
    """Thin, as OpenAI's are: whoever is told asks for the rest."""
    event = {
        "id": event_id,
        "object": "event",
        "type": event_type.value,
        "created_at": unix_s(utc_now()),
        "data": {"id": subject_id},
    }
    return json.dumps(event, separators=(",", ":"))


def reseal(session: Session, sealer: Sealer) -> int:
    """Seal anew what was sealed with an earlier key; how many secrets that were. Needs a system session.

    Raises `Unsealable` if a key is missing.
    """
    num = 0
    for endpoint in OutboxRepository(session).lock_endpoints():
        context = sealing_context(endpoint.id)
        if not sealer.is_current(endpoint.secret_sealed):
            endpoint.secret_sealed = sealer.seal(sealer.open(endpoint.secret_sealed, context=context), context=context)
            num += 1
        old = endpoint.old_secret_sealed
        if old is not None and not sealer.is_current(old):
            endpoint.old_secret_sealed = sealer.seal(sealer.open(old, context=context), context=context)
            num += 1
    session.flush()
    return num


def endpoint_not_found(endpoint_id: str) -> NotFound:
    return NotFound(
        f"There is no webhook {endpoint_id!r} in this workspace.",
        code="webhook_endpoint_not_found",
        param="webhook_endpoint_id",
    )


def _switched(session: Session, endpoint: WebhookEndpoint, *, principal: Principal, is_on: bool) -> dict[str, Any]:
    if is_on:
        audit.record(session, principal=principal, action="webhook_endpoint.enabled", target_id=endpoint.id)
        return {"disabled_at": None, "disabled_reason": None, "failing_since": None, "held_until": None}
    num_given_up = DeliveryRepository(session, endpoint.workspace_id).give_up(endpoint.id)
    audit.record(
        session,
        principal=principal,
        action="webhook_endpoint.disabled",
        target_id=endpoint.id,
        details={"num_given_up": num_given_up},
    )
    now = EndpointRepository(session, endpoint.workspace_id).now()
    return {"disabled_at": now, "disabled_reason": DisabledReason.BY_ADMIN}


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARS:
        raise Invalid(
            f"Give the webhook a name of 1 to {_MAX_NAME_CHARS} characters.", code="invalid_name", param="name"
        )
    return name


def _checked_types(event_types: Sequence[EventType]) -> list[str]:
    if not event_types:
        raise Invalid("Choose at least one event.", code="no_event_types", param="event_types")
    return [known.value for known in EventType if known in event_types]
