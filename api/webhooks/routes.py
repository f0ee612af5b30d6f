import threading
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query

from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, require
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from api.webhooks.schemas import (
    DeletedWebhookEndpointBody,
    NewWebhookEndpointBody,
    SecretRotationBody,
    WebhookDeliveryBody,
    WebhookEndpointBody,
    WebhookEndpointChangeBody,
    WebhookEndpointWithSecretBody,
    WebhookEventTypeListBody,
    WebhookTestBody,
    WebhookTestResultBody,
    delivery_body,
    endpoint_body,
)
from core.db.session import workspace_scope
from core.errors import Invalid, RateLimited
from core.kit.sealing import Sealer
from core.webhooks import deliveries, sending
from core.webhooks import service as webhooks
from core.webhooks.types import DeliveryState, EventType
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["webhooks"], route_class=RetriedRoute)

Manager = Annotated[Principal, Depends(require(Permission.WEBHOOKS_MANAGE))]

# each keeps a thread of this process waiting for somebody else's answer
_TESTS_AT_ONCE = 4
_testing = threading.BoundedSemaphore(_TESTS_AT_ONCE)


def _sealer(settings: SettingsDep) -> Sealer:
    return Sealer.of_settings(settings.encryption_keys, settings.secret_key)


SealerDep = Annotated[Sealer, Depends(_sealer)]


@router.get("/v1/webhook_event_types")
def list_webhook_event_types(principal: Manager) -> WebhookEventTypeListBody:
    """What a webhook can be told."""
    del principal
    return WebhookEventTypeListBody(data=list(EventType))


@router.post("/v1/webhook_endpoints")
def create_webhook_endpoint(
    body: NewWebhookEndpointBody,
    principal: Manager,
    session: SessionDep,
    backends: BackendsDep,
    sealer: SealerDep,
    once: OnceDep,
) -> WebhookEndpointWithSecretBody:
    """Have an address of yours told what happens here. Its secret is in this answer and in no later one."""
    # asks a name server, so before the session holds a connection
    backends.outbound.check(body.url)
    # what is kept for a retry of this request has no secret in it; a retry is given it anew
    made = once.answer(
        WebhookEndpointBody,
        lambda: endpoint_body(
            webhooks.create(
                session,
                principal=principal,
                name=body.name,
                url=body.url,
                event_types=body.event_types,
                sealer=sealer,
            )
        ),
    )
    return _with_secret(session, principal, made, sealer)


@router.get("/v1/webhook_endpoints")
def list_webhook_endpoints(principal: Manager, session: SessionDep, page: PageDep) -> ListBody[WebhookEndpointBody]:
    """Newest first."""
    found = webhooks.list_endpoints(session, workspace_id=principal.workspace_id, page=page)
    pending = webhooks.num_pending(
        session, workspace_id=principal.workspace_id, endpoint_ids=[one.id for one in found.items]
    )
    return list_body(found, lambda endpoint: endpoint_body(endpoint, num_pending=pending.get(endpoint.id, 0)))


@router.get("/v1/webhook_endpoints/{webhook_endpoint_id}")
def retrieve_webhook_endpoint(webhook_endpoint_id: str, principal: Manager, session: SessionDep) -> WebhookEndpointBody:
    endpoint = webhooks.get(session, workspace_id=principal.workspace_id, endpoint_id=webhook_endpoint_id)
    pending = webhooks.num_pending(session, workspace_id=principal.workspace_id, endpoint_ids=[endpoint.id])
    return endpoint_body(endpoint, num_pending=pending.get(endpoint.id, 0))


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}")
def update_webhook_endpoint(
    webhook_endpoint_id: str,
    body: WebhookEndpointChangeBody,
    principal: Manager,
    session: SessionDep,
    backends: BackendsDep,
) -> WebhookEndpointBody:
    """Change its name, its address or its events, or switch it off and on."""
    if body.url is not None:
        backends.outbound.check(body.url)
    webhooks.change(
        session,
        principal=principal,
        endpoint_id=webhook_endpoint_id,
        changes=body.model_dump(exclude_none=True),
    )
    return retrieve_webhook_endpoint(webhook_endpoint_id, principal, session)


@router.delete("/v1/webhook_endpoints/{webhook_endpoint_id}")
def delete_webhook_endpoint(
    webhook_endpoint_id: str, principal: Manager, session: SessionDep
) -> DeletedWebhookEndpointBody:
    """With its log, and with whatever was still to be sent."""
    webhooks.remove(session, principal=principal, endpoint_id=webhook_endpoint_id)
    return DeletedWebhookEndpointBody(id=webhook_endpoint_id)


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret")
def rotate_webhook_secret(
    webhook_endpoint_id: str,
    principal: Manager,
    session: SessionDep,
    sealer: SealerDep,
    once: OnceDep,
    body: Annotated[SecretRotationBody | None, Body()] = None,
) -> WebhookEndpointWithSecretBody:
    """Make a new secret. It is in this answer and in no later one."""
    keeps_old = body is not None and body.keep_old_secret_active_for_24_hours
    made = once.answer(
        WebhookEndpointBody,
        lambda: endpoint_body(
            webhooks.rotate_secret(
                session,
                principal=principal,
                endpoint_id=webhook_endpoint_id,
                keeps_old=keeps_old,
                sealer=sealer,
            )
        ),
    )
    return _with_secret(session, principal, made, sealer)


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}/test")
def test_webhook_endpoint(
    webhook_endpoint_id: str,
    body: WebhookTestBody,
    principal: Manager,
    database: DatabaseDep,
    backends: BackendsDep,
    sealer: SealerDep,
) -> WebhookTestResultBody:
    """Send a sample now, and tell what was answered. No answer is an error (`webhook_unreachable`)."""
    scope = workspace_scope(principal.workspace_id)
    with database.session(scope) as session:
        parcel = deliveries.new_test(
            session,
            workspace_id=principal.workspace_id,
            endpoint_id=webhook_endpoint_id,
            event_type=body.event_type,
        )
    if not _testing.acquire(blocking=False):
        raise RateLimited("Several webhooks are being tested right now. Try again in a few seconds.")
    try:
        outcome = sending.send(parcel, outbound=backends.outbound, sealer=sealer)
    finally:
        _testing.release()
    with database.session(scope) as session:
        deliveries.record_test(session, principal=principal, parcel=parcel, event_type=body.event_type, outcome=outcome)
    if outcome.status_code is None:
        raise Invalid(outcome.error or "There was no answer.", code="webhook_unreachable", param="url")
    return WebhookTestResultBody(
        webhook_endpoint_id=parcel.endpoint_id,
        event_type=body.event_type,
        status_code=outcome.status_code,
        delivery_id=parcel.delivery_id,
        duration_ms=outcome.duration_ms,
        answer=outcome.answer,
    )


@router.get("/v1/webhook_endpoints/{webhook_endpoint_id}/deliveries")
def list_webhook_deliveries(
    webhook_endpoint_id: str,
    principal: Manager,
    session: SessionDep,
    page: PageDep,
    status: Annotated[DeliveryState | None, Query(description="Only those.")] = None,
) -> ListBody[WebhookDeliveryBody]:
    """What was sent, what is to be sent, and what was answered; newest first."""
    found, attempts = deliveries.list_deliveries(
        session, workspace_id=principal.workspace_id, endpoint_id=webhook_endpoint_id, page=page, state=status
    )
    return list_body(found, lambda delivery: delivery_body(delivery, attempts.get(delivery.id, [])))


@router.get("/v1/webhook_endpoints/{webhook_endpoint_id}/deliveries/{delivery_id}")
def retrieve_webhook_delivery(
    webhook_endpoint_id: str, delivery_id: str, principal: Manager, session: SessionDep
) -> WebhookDeliveryBody:
    delivery, attempts = deliveries.get_delivery(
        session, workspace_id=principal.workspace_id, endpoint_id=webhook_endpoint_id, delivery_id=delivery_id
    )
    return delivery_body(delivery, attempts)


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}/deliveries/{delivery_id}/replay")
def replay_webhook_delivery(
    webhook_endpoint_id: str, delivery_id: str, principal: Manager, session: SessionDep
) -> WebhookDeliveryBody:
    """Send it once more, under the same `webhook-id`."""
    deliveries.replay(session, principal=principal, endpoint_id=webhook_endpoint_id, delivery_id=delivery_id)
    return retrieve_webhook_delivery(webhook_endpoint_id, delivery_id, principal, session)


def _with_secret(
    session: SessionDep, principal: Principal, made: WebhookEndpointBody, sealer: Sealer
) -> WebhookEndpointWithSecretBody:
    endpoint = webhooks.get(session, workspace_id=principal.workspace_id, endpoint_id=made.id)
    return WebhookEndpointWithSecretBody(**made.model_dump(), signing_secret=webhooks.secret_of(endpoint, sealer))
