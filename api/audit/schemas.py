from typing import Any, Literal

from api.schemas import ResponseBody
from core.audit.models import AuditEvent
from core.audit.types import Fault, Verdict
from core.kit.clock import unix_s

_FAULTS = {
    Fault.CHANGED: "Event {n} was changed after it was written.",
    Fault.MISSING: "Event {n} was removed.",
    Fault.CUT_OFF: "The newest events, from {n} on, were removed.",
    Fault.UNKNOWN: "Event {n} was put in from outside.",
    Fault.REPLACED: "Event {n} is not the one whose hash was noted elsewhere.",
}


class ActorBody(ResponseBody):
    user_id: str
    api_key_id: str | None
    name: str


class AuditEventBody(ResponseBody):
    id: str
    object: Literal["audit_event"] = "audit_event"
    created_at: int
    workspace_id: str | None
    """Null for what concerns the installation."""
    actor: ActorBody
    action: str
    target_id: str
    details: dict[str, Any]
    request_id: str | None
    client_address: str | None
    user_agent: str | None
    sequence: int
    hash: str


class BreakBody(ResponseBody):
    sequence: int
    event_id: str | None
    fault: Fault
    message: str


class AuditChainBody(ResponseBody):
    object: Literal["audit_chain"] = "audit_chain"
    id: str
    is_unbroken: bool
    num_checked: int
    first_sequence: int
    """Where the check began: 1 unless the log is longer than one request may check."""
    since: int | None
    """When the first event that was checked was written; null for an empty log."""
    sequence: int
    """The last event that fits, and its hash: note both where the database cannot reach."""
    hash: str
    first_break: BreakBody | None


def event_body(event: AuditEvent) -> AuditEventBody:
    return AuditEventBody(
        id=event.id,
        created_at=unix_s(event.created_at),
        workspace_id=event.workspace_id,
        actor=ActorBody(user_id=event.actor_user_id, api_key_id=event.actor_api_key_id, name=event.actor_name),
        action=event.action,
        target_id=event.target_id,
        details=event.details,
        request_id=event.request_id,
        client_address=event.client_address,
        user_agent=event.user_agent,
        sequence=event.sequence,
        hash=event.hash,
    )


def chain_body(verdict: Verdict) -> AuditChainBody:
    found = verdict.first_break
    return AuditChainBody(
        id=verdict.chain_id,
        is_unbroken=found is None,
        num_checked=verdict.num_checked,
        first_sequence=verdict.first_sequence,
        since=unix_s(verdict.since) if verdict.since else None,
        sequence=verdict.sequence,
        hash=verdict.hash,
        first_break=BreakBody(
            sequence=found.sequence,
            event_id=found.event_id,
            fault=found.fault,
            message=_FAULTS[found.fault].format(n=found.sequence),
        )
        if found
        else None,
    )
