from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from core.adapters.models import Adapter
from core.adapters.types import AdapterOrigin


class AdapterRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, adapter: Adapter) -> None:
        self._session.add(adapter)
        self._session.flush()

    def get(self, adapter_id: str) -> Adapter | None:
        return self._session.scalar(self._own().where(Adapter.id == adapter_id))

    def by_model_id(self, model_id: str, *, include_deleted: bool = False) -> Adapter | None:
        found = self._own().where(Adapter.model_id == model_id)
        if not include_deleted:
            found = found.where(Adapter.deleted_at.is_(None))
        return self._session.scalar(found)

    def by_model_id_for_update(self, model_id: str) -> Adapter | None:
        """Deleted or not, locked until the transaction ends: delete and restore do not cross."""
        return self._session.scalar(self._own().where(Adapter.model_id == model_id).with_for_update())

    def living(self) -> Sequence[Adapter]:
        """Newest first; of a run what it ships, then its checkpoints from the last."""
        order = (Adapter.created_at.desc(), Adapter.run_id.desc(), Adapter.checkpoint_step.desc().nulls_first())
        return self._session.scalars(self._own().where(Adapter.deleted_at.is_(None)).order_by(*order)).all()

    def of_runs(self, run_ids: Sequence[str]) -> Sequence[Adapter]:
        """What they ship."""
        shipped = self._own().where(Adapter.run_id.in_(run_ids), Adapter.checkpoint_step.is_(None))
        return self._session.scalars(shipped).all() if run_ids else []

    def of_run(self, run_id: str) -> Sequence[Adapter]:
        """What it ships, and the checkpoints beside it."""
        return self._session.scalars(self._own().where(Adapter.run_id == run_id)).all()

    def imported(self) -> Sequence[Adapter]:
        """Made elsewhere, deleted ones too; the oldest first."""
        is_imported = Adapter.origin == AdapterOrigin.IMPORTED
        return self._session.scalars(self._own().where(is_imported).order_by(Adapter.id)).all()

    def num_imported_bytes(self) -> int:
        found = select(func.coalesce(func.sum(Adapter.num_bytes), 0)).where(
            Adapter.workspace_id == self._workspace_id, Adapter.origin == AdapterOrigin.IMPORTED
        )
        return int(self._session.scalars(found).one())

    def _own(self) -> Select[Adapter]:
        return select(Adapter).where(Adapter.workspace_id == self._workspace_id)
