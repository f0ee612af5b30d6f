from collections.abc import Generator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.audit.chain import GENESIS
from core.audit.models import AuditChain, AuditEvent
from core.audit.types import INSTALLATION, AuditFilter, Link
from core.kit.pagination import Page, PageRequest

_BATCH = 1000


class AuditRepository:
    """The log of one workspace; with None, that of the installation, for which it takes a system session."""

    def __init__(self, session: Session, workspace_id: str | None) -> None:
        self._session = session
        self._workspace_id = workspace_id
        self._chain_id = workspace_id or INSTALLATION
        # null is equal to nothing, but it is a chain of its own
        self._is_ours = AuditEvent.workspace_id.is_not_distinct_from(workspace_id)

    def hold_end(self) -> tuple[AuditChain, datetime]:
        """The end of the chain, held until the transaction ends, and the time by the database's clock."""
        query = (
            select(AuditChain, func.clock_timestamp())
            .where(AuditChain.id == self._chain_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        found = self._session.execute(query).one_or_none()
        if found is None:
            first = {"id": self._chain_id, "workspace_id": self._workspace_id, "sequence": 0, "hash": GENESIS}
            # another may have begun the chain in this moment
            self._session.execute(insert(AuditChain).values(first).on_conflict_do_nothing())
            found = self._session.execute(query).one()
        return found[0], found[1]

    def append(self, event: AuditEvent, end: AuditChain) -> None:
        self._session.add(event)
        end.sequence, end.hash = event.sequence, event.hash
        self._session.flush()

    def end(self) -> AuditChain | None:
        return self._session.scalar(select(AuditChain).where(AuditChain.id == self._chain_id))

    def hash_at(self, sequence: int) -> str | None:
        return self._session.scalar(select(AuditEvent.hash).where(self._is_ours, AuditEvent.sequence == sequence))

    def walk(self, *, after_sequence: int) -> Generator[tuple[Link, str, int | None, str | None]]:
        """The events after a place in order, with their hashes, and beside each the end of the chain.

        One statement and so one moment, however many are appended meanwhile. Close it if you leave early.
        """
        end = AuditChain.id == self._chain_id
        query = (
            select(
                *_LINK_COLUMNS,
                AuditEvent.hash,
                select(AuditChain.sequence).where(end).scalar_subquery(),
                select(AuditChain.hash).where(end).scalar_subquery(),
            )
            .where(self._is_ours, AuditEvent.sequence > after_sequence)
            .order_by(AuditEvent.sequence)
        )
        with self._session.execute(query, execution_options={"yield_per": _BATCH}) as rows:
            for *fields, stored_hash, end_sequence, end_hash in rows:
                yield Link(self._chain_id, *fields), stored_hash, end_sequence, end_hash

    def page(self, page: PageRequest, wanted: AuditFilter) -> Page[AuditEvent]:
        """Newest first, or from the oldest on."""
        order = AuditEvent.sequence.asc() if page.ascending else AuditEvent.sequence.desc()
        query = select(AuditEvent).where(self._is_ours, *_conditions(wanted)).order_by(order).limit(page.limit + 1)
        if page.after:
            last = select(AuditEvent.sequence).where(self._is_ours, AuditEvent.id == page.after).scalar_subquery()
            query = query.where(AuditEvent.sequence > last if page.ascending else AuditEvent.sequence < last)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def batch(self, wanted: AuditFilter, *, before: int, limit: int) -> Sequence[AuditEvent]:
        """Some events before a place of the chain, newest first."""
        query = (
            select(AuditEvent)
            .where(self._is_ours, AuditEvent.sequence < before, *_conditions(wanted))
            .order_by(AuditEvent.sequence.desc())
            .limit(limit)
        )
        return self._session.scalars(query).all()


class EveryAuditRepository:
    """The logs of all workspaces and of the installation together. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(self, page: PageRequest, wanted: AuditFilter, *, workspace_id: str | None) -> Page[AuditEvent]:
        query = select(AuditEvent).where(*_conditions(wanted)).order_by(AuditEvent.id.desc()).limit(page.limit + 1)
        if workspace_id == INSTALLATION:
            query = query.where(AuditEvent.workspace_id.is_(None))
        elif workspace_id:
            query = query.where(AuditEvent.workspace_id == workspace_id)
        if page.after:
            query = query.where(AuditEvent.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def chain_ids(self) -> Sequence[str]:
        """Every chain there is, by its end or by an event of it."""
        of_events = select(func.coalesce(AuditEvent.workspace_id, INSTALLATION)).distinct()
        return sorted(set(self._session.scalars(select(AuditChain.id).union(of_events))))


_LINK_COLUMNS = (
    AuditEvent.sequence,
    AuditEvent.id,
    AuditEvent.created_at,
    AuditEvent.workspace_id,
    AuditEvent.actor_user_id,
    AuditEvent.actor_api_key_id,
    AuditEvent.actor_name,
    AuditEvent.action,
    AuditEvent.target_id,
    AuditEvent.request_id,
    AuditEvent.client_address,
    AuditEvent.user_agent,
    AuditEvent.details,
)
_TEXTS = (AuditEvent.actor_name, AuditEvent.action, AuditEvent.target_id, cast(AuditEvent.details, Text))


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.action and wanted.action.endswith(".*"):
        conditions.append(AuditEvent.action.startswith(wanted.action[:-1], autoescape=True))
    elif wanted.action:
        conditions.append(AuditEvent.action == wanted.action)
    if wanted.actor:
        is_actor = or_(AuditEvent.actor_user_id == wanted.actor, AuditEvent.actor_api_key_id == wanted.actor)
        conditions.append(is_actor)
    if wanted.target:
        conditions.append(AuditEvent.target_id == wanted.target)
    if wanted.text:
        conditions.append(or_(*(column.icontains(wanted.text, autoescape=True) for column in _TEXTS)))
    if wanted.since:
        conditions.append(AuditEvent.created_at >= wanted.since)
    if wanted.until:
        conditions.append(AuditEvent.created_at < wanted.until)
    return conditions
