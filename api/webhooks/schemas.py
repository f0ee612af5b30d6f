"""Webhook endpoints as `client.webhooks` of the official client has them; what it has no word for are extra fields."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.kit.clock import unix_s
from core.kit.ssrf import MAX_URL_CHARS
from core.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from core.webhooks.types import DeliveryState, DisabledReason, EventType

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARS)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=100)]


class NewWebhookEndpointBody(RequestBody):
    name: Name
    url: Url
    event_types: EventTypes


class WebhookEndpointChangeBody(RequestBody):
    """What is left out stays."""

    name: Name | None = None
    url: Url | None = None
    event_types: EventTypes | None = None
    disabled: bool | None = Field(
        None, description="Switched off, nothing is sent, and what happens meanwhile is not told later."
    )


class SecretRotationBody(RequestBody):
    keep_old_secret_active_for_24_hours: bool = Field(
        False, description="Sign with the old secret too for a day, so that nothing is refused while you change it."
    )


class WebhookTestBody(RequestBody):
    event_type: EventType


class WebhookEndpointBody(ResponseBody):
    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    name: str
    url: str
    event_types: list[EventType]
    signing_secret_hint: str
    created_at: int
    updated_at: int
    status: Literal["enabled", "disabled"]
    disabled_at: int | None
    disabled_reason: DisabledReason | None
    failing_since: int | None = Field(description="When the first try failed since one succeeded.")
    old_secret_until: int | None = Field(description="Until when the secret before this one signs too.")
    num_pending: int = Field(description="Deliveries that are still to be made.")


class WebhookEndpointWithSecretBody(WebhookEndpointBody):
    signing_secret: str = Field(description="Shown this once. With it you check that a call is from here.")


class DeletedWebhookEndpointBody(ResponseBody):
    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: bool = True


class WebhookEventTypeListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[EventType]


class WebhookTestResultBody(ResponseBody):
    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: EventType
    success: Literal[True] = Field(True, description="The call was answered. Whether well, `status_code` says.")
    status_code: int
    delivery_id: str
    duration_ms: int
    answer: str | None = Field(description="The beginning of what was answered; without what looks like a secret.")


class WebhookAttemptBody(ResponseBody):
    id: str
    object: Literal["webhook_attempt"] = "webhook_attempt"
    created_at: int
    status_code: int | None = Field(description="Null if there was no answer.")
    error: str | None = Field(description="Why there was none.")
    answer: str | None = Field(description="The beginning of what was answered; without what looks like a secret.")
    duration_ms: int


class WebhookDeliveryBody(ResponseBody):
    id: str
    object: Literal["webhook_delivery"] = "webhook_delivery"
    event_id: str = Field(description="The `webhook-id` of every try.")
    event_type: EventType
    status: DeliveryState
    is_test: bool
    created_at: int
    finished_at: int | None
    next_attempt_at: int | None
    num_attempts: int
    attempts: list[WebhookAttemptBody] = Field(description="Oldest first.")
    payload: str = Field(description="Exactly what is sent.")


def endpoint_body(endpoint: WebhookEndpoint, *, num_pending: int = 0) -> WebhookEndpointBody:
    return WebhookEndpointBody(
        id=endpoint.id,
        name=endpoint.name,
        url=endpoint.url,
        event_types=[EventType(known) for known in endpoint.event_types],
        signing_secret_hint=endpoint.secret_hint,
        created_at=unix_s(endpoint.created_at),
        updated_at=unix_s(endpoint.updated_at),
        status="enabled" if endpoint.disabled_at is None else "disabled",
        disabled_at=unix_s(endpoint.disabled_at) if endpoint.disabled_at else None,
        disabled_reason=endpoint.disabled_reason,
        failing_since=unix_s(endpoint.failing_since) if endpoint.failing_since else None,
        old_secret_until=unix_s(endpoint.old_secret_until) if endpoint.old_secret_until else None,
        num_pending=num_pending,
    )


def delivery_body(delivery: WebhookDelivery, attempts: Sequence[WebhookAttempt]) -> WebhookDeliveryBody:
    return WebhookDeliveryBody(
        id=delivery.id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        status=delivery.state,
        is_test=delivery.is_test,
        created_at=unix_s(delivery.created_at),
        finished_at=unix_s(delivery.finished_at) if delivery.finished_at else None,
        next_attempt_at=unix_s(delivery.next_attempt_at) if delivery.next_attempt_at else None,
        num_attempts=len(attempts),
        attempts=[
            WebhookAttemptBody(
                id=attempt.id,
                created_at=unix_s(attempt.created_at),
                status_code=attempt.status_code,
                error=attempt.error,
                answer=attempt.answer,
                duration_ms=attempt.duration_ms,
            )
            for attempt in attempts
        ],
        payload=delivery.body,
    )
