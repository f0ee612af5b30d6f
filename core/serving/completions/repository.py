"""Queries of kept answers."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, cast, delete, func, or_, select
from sqlalchemy.dialects.postgresql import INTERVAL, insert
from sqlalchemy.orm import Session

from core.kit.pagination import Page, PageRequest
from core.serving.completions.models import Completion, RequestLog
from core.serving.completions.types import CompletionFilter, LogRule, Origin


class CompletionRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, completion: Completion) -> None:
        """One that is there already stays as it is."""
        if self.get(completion.id) is None:
            self._session.add(completion)
            self._session.flush()

    def get(self, completion_id: str, *, for_update: bool = False) -> Completion | None:
        query = select(Completion).where(Completion.workspace_id == self._workspace_id, Completion.id == completion_id)
        return self._session.scalar(query.with_for_update() if for_update else query)

    def page(self, page: PageRequest, *, wanted: CompletionFilter) -> Page[Completion]:
        query = select(Completion).where(Completion.workspace_id == self._workspace_id)
        if page.after:
            query = query.where(Completion.id > page.after if page.ascending else Completion.id < page.after)
        if wanted.model is not None:
            query = query.where(or_(Completion.model == wanted.model, Completion.served_model == wanted.model))
        if wanted.metadata:
            query = query.where(Completion.user_metadata.contains(wanted.metadata))
        if wanted.query:
            query = query.where(_says(wanted.query))
        if wanted.origin is not None:
            query = query.where(Completion.origin == wanted.origin)
        if wanted.outcome is not None:
            query = query.where(Completion.outcome == wanted.outcome)
        if wanted.after is not None:
            query = query.where(Completion.created_at >= wanted.after)
        if wanted.before is not None:
            query = query.where(Completion.created_at < wanted.before)
        order = Completion.id.asc() if page.ascending else Completion.id.desc()
        return Page.cut(self._session.scalars(query.order_by(order).limit(page.limit + 1)).all(), page.limit)

    def by_ids(self, ids: Sequence[str]) -> dict[str, Completion]:
        query = select(Completion).where(Completion.workspace_id == self._workspace_id, Completion.id.in_(ids))
        return {completion.id: completion for completion in self._session.scalars(query)}

    def log(self) -> RequestLog | None:
        return self._session.scalar(select(RequestLog).where(RequestLog.workspace_id == self._workspace_id))

    def held_log(self, otherwise: LogRule) -> RequestLog:
        """As it is now, held until the transaction ends; where there is none, a new one that says `otherwise`."""
        new = {"workspace_id": self._workspace_id} | asdict(otherwise)
        # another may turn it on in this moment
        self._session.execute(insert(RequestLog).values(new).on_conflict_do_nothing())
        query = select(RequestLog).where(RequestLog.workspace_id == self._workspace_id).with_for_update()
        return self._session.scalars(query.execution_options(populate_existing=True)).one()

    def remove(self, completion: Completion) -> None:
        self._session.delete(completion)
        self._session.flush()


class ExpiredRepository:
    """Across workspaces: needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remove_stored(self, *, older_than_days: int, limit: int) -> int:
        """The oldest first, at most `limit`; how many that were."""
        return self._remove(
            select(Completion.id)
            .where(
                Completion.created_at < func.now() - timedelta(days=older_than_days),
                Completion.origin == Origin.STORED,
            )
            .order_by(Completion.created_at)
            .limit(limit)
        )

    def remove_logged(self, *, limit: int) -> int:
        """By what each workspace's log says now; also where it was turned off since."""
        kept_for = cast(func.concat(RequestLog.retention_days, " days"), INTERVAL)
        return self._remove(
            select(Completion.id)
            .join(RequestLog, RequestLog.workspace_id == Completion.workspace_id)
            .where(Completion.origin == Origin.LOGGED, Completion.created_at < func.now() - kept_for)
            .limit(limit)
        )

    def _remove(self, expired: Select[Any]) -> int:
        removed = self._session.execute(delete(Completion).where(Completion.id.in_(expired)).returning(Completion.id))
        return len(removed.all())


def _says(words: str) -> ColumnElement[bool]:
    """Somebody said it, in any case; as it stands in JSON."""
    written = json.dumps(words, ensure_ascii=False)[1:-1]
    return or_(
        *(cast(said, Text).icontains(written, autoescape=True) for said in (Completion.messages, Completion.answer))
    )
