from collections.abc import Sequence

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.adapters.models import Adapter, CheckpointPermission
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest


class PermissionRepository:
    """Permissions that a workspace gave."""

    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, *, adapter_id: str, project_id: str, created_by: str) -> tuple[CheckpointPermission, bool]:
        """The permission, and whether it is new: of two who give it at once, one does."""
        made = self._session.execute(
            insert(CheckpointPermission)
            .values(
                id=new_id("cp_"),
                workspace_id=self._workspace_id,
                adapter_id=adapter_id,
                project_id=project_id,
                created_by=created_by,
            )
            .on_conflict_do_nothing(index_elements=["adapter_id", "project_id"])
            .returning(CheckpointPermission.id)
        ).one_or_none()
        found = self._session.scalars(self._of(adapter_id).where(CheckpointPermission.project_id == project_id)).one()
        return found, made is not None

    def get(self, adapter_id: str, permission_id: str) -> CheckpointPermission | None:
        return self._session.scalar(self._of(adapter_id).where(CheckpointPermission.id == permission_id))

    def page(self, adapter_id: str, page: PageRequest, *, project_id: str | None) -> Page[CheckpointPermission]:
        found = self._of(adapter_id)
        if project_id is not None:
            found = found.where(CheckpointPermission.project_id == project_id)
        key = CheckpointPermission.id
        if page.after is not None:
            found = found.where(key > page.after if page.ascending else key < page.after)
        found = found.order_by(key if page.ascending else key.desc()).limit(page.limit + 1)
        return Page.cut(self._session.scalars(found).all(), page.limit)

    def remove(self, permission_id: str) -> bool:
        """False if somebody else was first."""
        removed = self._session.execute(
            delete(CheckpointPermission)
            .where(CheckpointPermission.workspace_id == self._workspace_id, CheckpointPermission.id == permission_id)
            .returning(CheckpointPermission.id)
        )
        return removed.one_or_none() is not None

    def _of(self, adapter_id: str) -> Select[CheckpointPermission]:
        return select(CheckpointPermission).where(
            CheckpointPermission.workspace_id == self._workspace_id, CheckpointPermission.adapter_id == adapter_id
        )


class SharedAdapterRepository:
    """Adapters of others that a workspace was permitted to use; row-level security shows it these and no more."""

    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def living(self) -> Sequence[Adapter]:
        """Newest first."""
        return self._session.scalars(self._shared().order_by(Adapter.created_at.desc(), Adapter.id.desc())).all()

    def by_model_id(self, model_id: str) -> Adapter | None:
        return self._session.scalar(self._shared().where(Adapter.model_id == model_id))

    def _shared(self) -> Select[Adapter]:
        return (
            select(Adapter)
            .join(CheckpointPermission, CheckpointPermission.adapter_id == Adapter.id)
            .where(CheckpointPermission.project_id == self._workspace_id, Adapter.deleted_at.is_(None))
        )
