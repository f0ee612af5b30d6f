"""Queries of kept answers."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.kit.pagination import Page, PageRequest
from core.serving.completions.models import Completion
from core.serving.completions.types import CompletionFilter


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
            query = query.where(Completion.model == wanted.model)
        if wanted.metadata:
            query = query.where(Completion.user_metadata.contains(wanted.metadata))
        order = Completion.id.asc() if page.ascending else Completion.id.desc()
        return Page.cut(self._session.scalars(query.order_by(order).limit(page.limit + 1)).all(), page.limit)

    def remove(self, completion: Completion) -> None:
        self._session.delete(completion)
        self._session.flush()


class ExpiredRepository:
    """Across workspaces: needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remove(self, *, older_than_days: int, limit: int) -> int:
        """The oldest first, at most `limit`; how many that were."""
        expired = (
            select(Completion.id)
            .where(Completion.created_at < func.now() - timedelta(days=older_than_days))
            .order_by(Completion.created_at)
            .limit(limit)
        )
        removed = self._session.execute(delete(Completion).where(Completion.id.in_(expired)).returning(Completion.id))
        return len(removed.all())
