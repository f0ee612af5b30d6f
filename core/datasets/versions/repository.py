"""The versions of one dataset in their order, and its draft."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, delete, func, join, null, or_, select
from sqlalchemy.orm import Session, aliased, undefer

from core.datasets.models import DatasetVersion, DraftChange, Row
from core.datasets.table.repository import Snapshot
from core.datasets.types import VersionStatus
from core.identity.models import User
from core.kit.pagination import Page


class HistoryRepository:
    """Versions, newest first."""

    def __init__(self, session: Session, workspace_id: str, dataset_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id
        self._dataset_id = dataset_id

    def page(self, *, before_number: int | None, limit: int) -> Page[DatasetVersion]:
        query = self._own().order_by(DatasetVersion.number.desc()).limit(limit + 1)
        if before_number is not None:
            query = query.where(DatasetVersion.number < before_number)
        return Page.cut(self._session.scalars(query).all(), limit)

    def ids(self) -> Sequence[str]:
        return self._session.scalars(self._own().with_only_columns(DatasetVersion.id)).all()

    def holding(self, row: Row) -> Sequence[DatasetVersion]:
        query = self._own().where(
            DatasetVersion.status == VersionStatus.READY,
            DatasetVersion.reading_id == row.reading_id,
            DatasetVersion.number >= row.added_in,
        )
        if row.removed_in is not None:
            query = query.where(DatasetVersion.number < row.removed_in)
        return self._session.scalars(query.order_by(DatasetVersion.number)).all()

    def latest_ready(self) -> DatasetVersion | None:
        query = self._own().where(DatasetVersion.status == VersionStatus.READY)
        return self._session.scalar(query.order_by(DatasetVersion.number.desc()).limit(1))

    def ready_before(self, number: int) -> DatasetVersion | None:
        """The newest of those that came before."""
        query = self._own().where(DatasetVersion.status == VersionStatus.READY, DatasetVersion.number < number)
        return self._session.scalar(query.order_by(DatasetVersion.number.desc()).limit(1))

    def in_progress(self) -> DatasetVersion | None:
        query = self._own().where(DatasetVersion.status == VersionStatus.VALIDATING)
        return self._session.scalar(query.order_by(DatasetVersion.number.desc()).limit(1))

    def never_ready(self, reading_id: str) -> Sequence[int]:
        """The numbers of the versions made by changes of the reading that failed, or are being made."""
        query = self._own().where(
            DatasetVersion.reading_id == reading_id,
            DatasetVersion.parent_id.is_not(None),
            DatasetVersion.status != VersionStatus.READY,
        )
        return self._session.scalars(query.with_only_columns(DatasetVersion.number)).all()

    def numbered(self, number: int) -> DatasetVersion | None:
        """With all that is known of it."""
        query = self._own().where(DatasetVersion.number == number)
        return self._session.scalar(query.options(undefer(DatasetVersion.landmarks), undefer(DatasetVersion.artifact)))

    def _own(self) -> Select[DatasetVersion]:
        return select(DatasetVersion).where(
            DatasetVersion.workspace_id == self._workspace_id, DatasetVersion.dataset_id == self._dataset_id
        )


class DraftRepository:
    def __init__(self, session: Session, workspace_id: str, dataset_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id
        self._dataset_id = dataset_id

    def changes(self) -> Sequence[DraftChange]:
        return self._session.scalars(self._own().order_by(DraftChange.position)).all()

    def last(self) -> DraftChange | None:
        return self._session.scalar(self._own().order_by(DraftChange.position.desc()).limit(1))

    def num_changes(self) -> int:
        return self._session.scalar(select(func.count()).select_from(self._own().subquery())) or 0

    def append(self, *, version_id: str, change: dict[str, Any], created_by: str) -> None:
        last = self.last()
        self._session.add(
            DraftChange(
                workspace_id=self._workspace_id,
                dataset_id=self._dataset_id,
                position=1 if last is None else last.position + 1,
                version_id=version_id,
                change=change,
                created_by=created_by,
            )
        )
        self._session.flush()

    def remove(self, change: DraftChange) -> None:
        self._session.delete(change)
        self._session.flush()

    def clear(self) -> None:
        self._session.execute(
            delete(DraftChange).where(
                DraftChange.workspace_id == self._workspace_id, DraftChange.dataset_id == self._dataset_id
            )
        )

    def _own(self) -> Select[DraftChange]:
        return select(DraftChange).where(
            DraftChange.workspace_id == self._workspace_id, DraftChange.dataset_id == self._dataset_id
        )


class DiffRepository:
    """The rows in which two snapshots differ, by number."""

    def __init__(self, session: Session, workspace_id: str, before: Snapshot, after: Snapshot) -> None:
        self._session = session
        self._before = aliased(Row, self._only_in(workspace_id, before, after), name="before")
        self._after = aliased(Row, self._only_in(workspace_id, after, before), name="after")
        self._number = func.coalesce(self._before.number, self._after.number)
        self._kind = self._kind_of(self._before, self._after)

    def page(self, *, after_number: int, limit: int) -> Page[tuple[int, str, Row | None, Row | None]]:
        """In the order of their numbers: number, what differs, and the row of each snapshot that has one."""
        query = self._joined(select(self._number, self._kind, self._before, self._after))
        query = query.where(self._number > after_number).order_by(self._number).limit(limit + 1)
        found = [(row[0], row[1], row[2], row[3]) for row in self._session.execute(query)]
        return Page.cut(found, limit)

    def counts(self) -> dict[str, int]:
        """How many rows differ in what."""
        query = self._joined(select(self._kind.label("kind"), func.count())).group_by("kind")
        return {row[0]: row[1] for row in self._session.execute(query)}

    def _joined(self, query: Any) -> Any:  # noqa: ANN401 - a select of any columns
        joined = join(self._before, self._after, self._before.number == self._after.number, full=True)
        return query.select_from(joined).where(self._kind.is_not(None))

    @staticmethod
    def _only_in(workspace_id: str, one: Snapshot, other: Snapshot) -> Any:  # noqa: ANN401 - a subquery
        """Rows that the one sees and the other does not: of one reading, few; of two, all."""
        query = select(Row).where(Row.workspace_id == workspace_id, one.sees())
        if one.reading_id != other.reading_id:
            return query.subquery()
        if one.number < other.number:
            return query.where(Row.removed_in <= other.number).subquery()
        return query.where(Row.added_in > other.number).subquery()

    @staticmethod
    def _kind_of(before: Any, after: Any) -> ColumnElement[str | None]:  # noqa: ANN401 - aliases of Row
        """The gravest of what differs; null for a row in which only the findings do, for they are about others."""
        contents = ("messages", "tools", "chosen", "rejected", "text")
        is_edited = or_(*(getattr(before, name).is_distinct_from(getattr(after, name)) for name in contents))
        return case(
            (before.number.is_(None), "added"),
            (after.number.is_(None), "removed"),
            (is_edited, "edited"),
            (before.excluded_from.is_(None) & after.excluded_from.is_not(None), "excluded"),
            (before.excluded_from.is_not(None) & after.excluded_from.is_(None), "included"),
            (before.split != after.split, "moved"),
            (before.tags.is_distinct_from(after.tags), "tagged"),
            else_=null(),
        )


def names_of(session: Session, user_ids: Sequence[str | None]) -> dict[str | None, str]:
    """The names of people, by id. Services have none here."""
    found = session.execute(select(User.id, User.name).where(User.id.in_([one for one in user_ids if one])))
    return {row.id: row.name for row in found}
