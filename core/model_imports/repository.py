from collections.abc import Sequence

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from core.adapters.models import Adapter
from core.jobs.models import Job
from core.jobs.states import TERMINAL
from core.kit.pagination import Page, PageRequest
from core.model_imports.models import ModelImport
from core.model_imports.types import ImportDetails


class ImportRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, record: ModelImport) -> None:
        self._session.add(record)
        self._session.flush()

    def find(self, import_id: str) -> ImportDetails | None:
        row = self._session.execute(
            self._found().where(ModelImport.id == import_id).execution_options(populate_existing=True)
        ).one_or_none()
        return None if row is None else ImportDetails(row[0], row[1], row[2])

    def page(self, page: PageRequest) -> Page[ImportDetails]:
        """Newest first."""
        query = self._found()
        if page.after:
            query = query.where(ModelImport.id < page.after)
        rows = self._session.execute(query.order_by(ModelImport.id.desc()).limit(page.limit + 1))
        return Page.cut([ImportDetails(row[0], row[1], row[2]) for row in rows], page.limit)

    def _found(self) -> Select[ModelImport, Job, Adapter]:
        return (
            select(ModelImport, Job, Adapter)
            .join(Job, Job.id == ModelImport.job_id)
            .outerjoin(Adapter, Adapter.id == ModelImport.adapter_id)
            .where(ModelImport.workspace_id == self._workspace_id)
        )


class EveryImportRepository:
    """Of all workspaces. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def failed(self, *, limit: int) -> Sequence[ModelImport]:
        """Those that came to nothing, and may have left something in the object store."""
        query = (
            select(ModelImport)
            .join(Job, Job.id == ModelImport.job_id)
            .where(ModelImport.swept_at.is_(None), ModelImport.adapter_id.is_(None), Job.state.in_(TERMINAL))
            .order_by(ModelImport.id)
        )
        return self._session.scalars(query.limit(limit)).all()

    def mark_swept(self, import_ids: Sequence[str]) -> None:
        self._session.execute(update(ModelImport).where(ModelImport.id.in_(import_ids)).values(swept_at=func.now()))
