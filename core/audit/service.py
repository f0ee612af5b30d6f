"""The record of who did what, written in the transaction of the deed: one is never there without the other."""

import logging
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from core.audit.chain import GENESIS, Walk, next_hash, plain_details
from core.audit.models import AuditEvent
from core.audit.origin import origin, user_agent_family
from core.audit.repository import AuditRepository, EveryAuditRepository
from core.audit.types import INSTALLATION, Anchor, AuditFilter, Link, Verdict
from core.db.session import after_commit, before_commit
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.kit.redaction import redacted
from core.workspaces.principal import Principal

logger = logging.getLogger(__name__)


def record(
    session: Session, *, principal: Principal, action: str, target_id: str, details: dict[str, Any] | None = None
) -> AuditEvent:
    """`action` is `thing.done_to_it`, such as `dataset.created`. Never put a secret or a row's text in `details`.

    It gets its place in the workspace's chain as the last thing before the commit: only who commits in this very moment
    waits for another, and only for one of the same workspace.
    """
    return _record(
        session,
        workspace_id=principal.workspace_id,
        principal=principal,
        action=action,
        target_id=target_id,
        details=details,
    )


def record_above(
    session: Session, *, principal: Principal, action: str, target_id: str, details: dict[str, Any] | None = None
) -> AuditEvent:
    """The same for what concerns the installation and no workspace. Needs a system session."""
    return _record(session, workspace_id=None, principal=principal, action=action, target_id=target_id, details=details)


def list_events(
    session: Session, *, workspace_id: str, page: PageRequest, wanted: AuditFilter | None = None
) -> Page[AuditEvent]:
    """Newest first."""
    return AuditRepository(session, workspace_id).page(page, wanted or AuditFilter())


def list_all(
    session: Session, *, page: PageRequest, wanted: AuditFilter, workspace_id: str | None = None
) -> Page[AuditEvent]:
    """Of every workspace and of the installation, newest first. Needs a system session."""
    return EveryAuditRepository(session).page(page, wanted, workspace_id=workspace_id)


def chain_ids(session: Session) -> list[str]:
    """Of every workspace that has a log, and of the installation. Needs a system session."""
    return list(EveryAuditRepository(session).chain_ids())


def verify(
    session: Session, *, chain_id: str, max_events: int | None = None, anchors: Iterable[Anchor] = ()
) -> Verdict:
    """Look at the newest `max_events` of a chain, or at all of them, and name the first that does not fit."""
    repository = AuditRepository(session, None if chain_id == INSTALLATION else chain_id)
    end = repository.end()
    after = max(0, end.sequence - max_events) if end and max_events is not None else 0
    walk = Walk(after_sequence=after, after_hash=_hash_at(repository, after), anchors=anchors)
    end_sequence, end_hash = (end.sequence, end.hash) if end else (0, GENESIS)
    since = None
    with closing(repository.walk(after_sequence=after)) as links:
        for link, stored_hash, sequence, newest_hash in links:
            since = since or link.created_at
            end_sequence, end_hash = sequence or 0, newest_hash or GENESIS
            walk.take(link, stored_hash)
            if walk.first_break is not None:
                break
    walk.arrive(head_sequence=end_sequence, head_hash=end_hash)
    return Verdict(
        chain_id=chain_id,
        sequence=walk.sequence,
        hash=walk.hash,
        first_sequence=after + 1,
        num_checked=walk.num_checked,
        since=since,
        first_break=walk.first_break,
    )


def _hash_at(repository: AuditRepository, sequence: int) -> str:
    # of an event that is gone there is none, and no hash follows from that
    return GENESIS if sequence == 0 else repository.hash_at(sequence) or ""


def _record(
    session: Session,
    *,
    workspace_id: str | None,
    principal: Principal,
    action: str,
    target_id: str,
    details: dict[str, Any] | None,
) -> AuditEvent:
    came_from = origin.get()
    event = AuditEvent(
        id=new_id("aud_"),
        workspace_id=workspace_id,
        actor_user_id=principal.user_id,
        actor_api_key_id=principal.api_key_id,
        actor_name=principal.display_name,
        action=action,
        target_id=target_id,
        details=redacted(plain_details(details or {})),
        request_id=came_from.request_id,
        client_address=came_from.client_address,
        user_agent=user_agent_family(came_from.user_agent),
    )
    before_commit(session, partial(_append, session, event), order=f"audit {workspace_id or INSTALLATION}")
    return event


def _append(session: Session, event: AuditEvent) -> None:
    repository = AuditRepository(session, event.workspace_id)
    end, now = repository.hold_end()
    event.created_at, event.sequence = now, end.sequence + 1
    event.hash = next_hash(end.hash, _link(event))
    repository.append(event, end)
    after_commit(session, partial(_note, event))


def _link(event: AuditEvent) -> Link:
    return Link(
        chain_id=event.workspace_id or INSTALLATION,
        sequence=event.sequence,
        event_id=event.id,
        created_at=event.created_at,
        workspace_id=event.workspace_id,
        actor_user_id=event.actor_user_id,
        actor_api_key_id=event.actor_api_key_id,
        actor_name=event.actor_name,
        action=event.action,
        target_id=event.target_id,
        request_id=event.request_id,
        client_address=event.client_address,
        user_agent=event.user_agent,
        details=event.details,
    )


def _note(event: AuditEvent) -> None:
    """A hash in the process's log is one that nobody with the database alone can change."""
    fields = {
        "workspace_id": event.workspace_id,
        "action": event.action,
        "sequence": event.sequence,
        "hash": event.hash,
    }
    logger.info("audit", extra={"fields": fields})
