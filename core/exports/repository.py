from collections.abc import Sequence

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.adapters.models import Adapter
from core.exports.models import ModelExport, SigningKey
from core.exports.types import ExportDetails
from core.identity.models import User
from core.jobs.models import Job
from core.jobs.states import TERMINAL, JobState
from core.kit.pagination import Page, PageRequest


class ExportRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, export: ModelExport) -> None:
        self._session.add(export)
        self._session.flush()

    def get(self, export_id: str) -> ModelExport | None:
        return self._session.scalar(
            select(ModelExport).where(ModelExport.workspace_id == self._workspace_id, ModelExport.id == export_id)
        )

    def find(self, export_id: str) -> ExportDetails | None:
        row = self._session.execute(
            self._found().where(ModelExport.id == export_id).execution_options(populate_existing=True)
        ).one_or_none()
        return None if row is None else ExportDetails(row[0], row[1], row[2])

    def page(self, page: PageRequest, *, adapter_id: str | None) -> Page[ExportDetails]:
        """Newest first."""
        query = self._found()
        if adapter_id is not None:
            query = query.where(ModelExport.adapter_id == adapter_id)
        if page.after:
            query = query.where(ModelExport.id < page.after)
        rows = self._session.execute(query.order_by(ModelExport.id.desc()).limit(page.limit + 1))
        return Page.cut([ExportDetails(row[0], row[1], row[2]) for row in rows], page.limit)

    def hold_adapter(self, adapter_id: str) -> None:
        """Until the transaction ends: of two exports that are asked for at once, the second sees the first."""
        self._session.execute(
            select(Adapter.id)
            .where(Adapter.workspace_id == self._workspace_id, Adapter.id == adapter_id)
            .with_for_update(key_share=True)
        )

    def unfinished_of(self, adapter_id: str, export_format: str) -> str | None:
        """The id of one that waits or runs."""
        query = (
            select(ModelExport.id)
            .join(Job, Job.id == ModelExport.job_id)
            .where(
                ModelExport.workspace_id == self._workspace_id,
                ModelExport.adapter_id == adapter_id,
                ModelExport.format == export_format,
                Job.state.not_in(TERMINAL),
            )
        )
        return self._session.scalar(query.limit(1))

    def names_of_people(self, user_ids: Sequence[str | None]) -> dict[str | None, str]:
        """People's only: a service has none."""
        query = select(User.id, User.name).where(User.id.in_([one for one in user_ids if one is not None]))
        return {row.id: row.name for row in self._session.execute(query)}

    def _found(self) -> Select[ModelExport, Adapter, Job]:
        return (
            select(ModelExport, Adapter, Job)
            .join(Adapter, Adapter.id == ModelExport.adapter_id)
            .join(Job, Job.id == ModelExport.job_id)
            .where(ModelExport.workspace_id == self._workspace_id)
        )


class EveryExportRepository:
    """Of all workspaces. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def over(self, *, limit: int) -> Sequence[ModelExport]:
        """Those whose files nobody may fetch any more, and that are still in the object store."""
        is_expired = (Job.state == JobState.SUCCEEDED) & (ModelExport.expires_at < func.now())
        is_none = Job.state.in_(TERMINAL) & (Job.state != JobState.SUCCEEDED)
        query = (
            select(ModelExport)
            .join(Job, Job.id == ModelExport.job_id)
            .where(ModelExport.swept_at.is_(None), is_expired | is_none)
            .order_by(ModelExport.id)
        )
        return self._session.scalars(query.limit(limit)).all()

    def mark_swept(self, export_ids: Sequence[str]) -> None:
        self._session.execute(
            update(ModelExport).where(ModelExport.id.in_(export_ids)).values(swept_at=func.now())
        )  # fmt: skip


class SigningKeyRepository:
    """The installation's one key pair; it belongs to no workspace."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, *, for_update: bool = False) -> SigningKey | None:
        query = select(SigningKey)
        return self._session.scalar(query.with_for_update() if for_update else query)

    def add_first(self, *, key_id: str, public_key: str, sealed_private_key: str) -> SigningKey:
        """Of two that are made at once the first stands."""
        self._session.execute(
            insert(SigningKey)
            .values(id=key_id, public_key=public_key, sealed_private_key=sealed_private_key, place=1)
            .on_conflict_do_nothing(index_elements=[SigningKey.place])
        )
        return self._session.scalars(select(SigningKey)).one()
