from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, and_, delete, exists, func, insert, literal, not_, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, defer

from core.datasets.models import ColumnMapping, Dataset, DatasetVersion, File, KeptFinding, Row
from core.datasets.types import Kept, VersionStatus
from core.identity.models import User
from core.kit.pagination import Page, PageRequest

_IS_LIVING = (File.deleted_at.is_(None), or_(File.expires_at.is_(None), File.expires_at > func.now()))


class FileRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, file: File, *, expires_after_s: int | None) -> File:
        self._session.add(file)
        self._session.flush()
        if expires_after_s is not None:
            file.expires_at = file.created_at + timedelta(seconds=expires_after_s)
            self._session.flush()
        return file

    def get(self, file_id: str) -> File | None:
        """Deleted and expired ones too: a dataset goes on knowing what it was made of."""
        return self._session.scalar(self._own().where(File.id == file_id))

    def living(self, file_id: str) -> File | None:
        """Neither deleted nor expired."""
        return self._session.scalar(self._living().where(File.id == file_id))

    def hold(self, file_id: str) -> File | None:
        """As `living`, and it is not deleted until the transaction ends."""
        query = self._living().where(File.id == file_id).with_for_update(read=True)
        return self._session.scalar(query.execution_options(populate_existing=True))

    def page(self, page: PageRequest, purpose: str | None) -> Page[File]:
        query = self._living().options(defer(File.inspection, raiseload=True))
        if purpose is not None:
            query = query.where(File.purpose == purpose)
        if page.after is not None:
            query = query.where(File.id > page.after if page.ascending else File.id < page.after)
        order = File.id if page.ascending else File.id.desc()
        return Page.cut(self._session.scalars(query.order_by(order).limit(page.limit + 1)).all(), page.limit)

    def mark_deleted(self, file_id: str) -> str | None:
        """Where its bytes are; None if there is none to delete."""
        return self._session.scalar(
            update(File)
            .where(File.workspace_id == self._workspace_id, File.id == file_id, *_IS_LIVING)
            .values(deleted_at=func.now())
            .returning(File.object_key)
        )

    def lock_room(self) -> None:
        """One file of the workspace is entered at a time, so that two do not take the same room."""
        lock = func.hashtextextended(f"room of {self._workspace_id}", 0)
        self._session.execute(select(func.pg_advisory_xact_lock(lock)))

    def is_used(self, file_id: str) -> bool:
        """Whether a dataset, even a deleted one, was made of the file: then its bytes are still needed."""
        return self._session.scalar(
            select(exists().where(Dataset.workspace_id == self._workspace_id, Dataset.file_id == file_id))
        ) is True  # fmt: skip

    def _own(self) -> Select[File]:
        return select(File).where(File.workspace_id == self._workspace_id)

    def _living(self) -> Select[File]:
        return self._own().where(*_IS_LIVING)


def num_stored_bytes(session: Session, workspace_ids: Sequence[str]) -> dict[str, int]:
    """Of all files whose bytes are kept: a deleted one's are while a dataset was made of it.

    Workspaces without any are left out. Others than the session's need a system session.
    """
    is_needed = exists().where(Dataset.workspace_id == File.workspace_id, Dataset.file_id == File.id)
    rows = session.execute(
        select(File.workspace_id, func.sum(File.num_bytes))
        .where(
            File.workspace_id.in_(workspace_ids),
            File.erased_at.is_(None),
            File.deleted_at.is_(None) | is_needed,
        )
        .group_by(File.workspace_id)
    )
    return {row[0]: int(row[1]) for row in rows}


class ExpiredFileRepository:
    """Across workspaces: needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, *, older_than_s: float, limit: int) -> Sequence[tuple[File, bool]]:
        """Files that expired so long ago and still stand there, and whether a dataset was made of each."""
        is_used = exists().where(Dataset.file_id == File.id)
        rows = self._session.execute(
            select(File, is_used)
            .options(defer(File.inspection, raiseload=True))
            .where(File.deleted_at.is_(None), File.expires_at < func.now() - timedelta(seconds=older_than_s))
            .order_by(File.expires_at)
            .limit(limit)
        )
        return [(row[0], row[1]) for row in rows]

    def mark_deleted(self, file_ids: Sequence[str]) -> None:
        self._session.execute(
            update(File).where(File.id.in_(file_ids), File.deleted_at.is_(None)).values(deleted_at=func.now())
        )


class DatasetRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, dataset: Dataset) -> Dataset:
        self._session.add(dataset)
        self._session.flush()
        return dataset

    def get(self, dataset_id: str) -> Dataset | None:
        """Deleted ones too."""
        return self._session.scalar(self._own().where(Dataset.id == dataset_id))

    def lock(self, dataset_id: str) -> Dataset | None:
        """Held until the transaction ends, so that two new versions do not take one number."""
        query = self._own().where(Dataset.id == dataset_id).with_for_update(key_share=True)
        return self._session.scalar(query.execution_options(populate_existing=True))

    def page(self, page: PageRequest) -> Page[Dataset]:
        """Newest first, without the deleted ones."""
        query = self._own().where(Dataset.deleted_at.is_(None)).order_by(Dataset.id.desc()).limit(page.limit + 1)
        if page.after is not None:
            query = query.where(Dataset.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def _own(self) -> Select[Dataset]:
        return select(Dataset).where(Dataset.workspace_id == self._workspace_id)


class VersionRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, version: DatasetVersion) -> DatasetVersion:
        self._session.add(version)
        self._session.flush()
        return version

    def lock_rows(self, *, is_shared: bool) -> None:
        """Until the transaction ends: many may begin to read the workspace's rows, or one may remove some."""
        lock = func.hashtextextended(f"rows of {self._workspace_id}", 0)
        take = func.pg_advisory_xact_lock_shared if is_shared else func.pg_advisory_xact_lock
        self._session.execute(select(take(lock)))

    def get(self, version_id: str) -> DatasetVersion | None:
        return self._session.scalar(self._own().where(DatasetVersion.id == version_id))

    def latest_of(self, dataset_ids: Sequence[str]) -> dict[str, DatasetVersion]:
        """The newest version of each dataset, by the dataset's id."""
        query = (
            self._own()
            .where(DatasetVersion.dataset_id.in_(dataset_ids))
            .ext(distinct_on(DatasetVersion.dataset_id))
            .order_by(DatasetVersion.dataset_id, DatasetVersion.number.desc())
        )
        return {version.dataset_id: version for version in self._session.scalars(query)}

    def of_file(self, file_id: str, mapping: dict[str, Any] | None) -> DatasetVersion | None:
        """The newest version of a living dataset that reads this file with this mapping and has not failed."""
        is_same = DatasetVersion.mapping.is_(None) if mapping is None else DatasetVersion.mapping == mapping
        return self._session.scalar(
            self._own()
            .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
            .where(
                Dataset.file_id == file_id,
                Dataset.deleted_at.is_(None),
                # not as somebody changed it since: whoever names the file means what is in it
                DatasetVersion.parent_id.is_(None),
                DatasetVersion.status != VersionStatus.FAILED,
                is_same,
            )
            .order_by(DatasetVersion.id.desc())
            .limit(1)
        )

    def last_number(self, dataset_id: str) -> int:
        query = select(func.max(DatasetVersion.number)).where(
            DatasetVersion.workspace_id == self._workspace_id, DatasetVersion.dataset_id == dataset_id
        )
        return self._session.scalar(query) or 0

    def finish(self, version_id: str, status: VersionStatus, values: dict[str, Any]) -> bool:
        """Settle a version that is being validated, once. False if it is settled already."""
        changed = self._session.execute(
            update(DatasetVersion)
            .where(
                DatasetVersion.workspace_id == self._workspace_id,
                DatasetVersion.id == version_id,
                DatasetVersion.status == VersionStatus.VALIDATING,
            )
            .values(status=status, **values)
            .returning(DatasetVersion.id)
        )
        return changed.one_or_none() is not None

    def _own(self) -> Select[DatasetVersion]:
        return select(DatasetVersion).where(DatasetVersion.workspace_id == self._workspace_id)


def leftover(session: Session) -> DatasetVersion | None:
    """A version that failed and has rows, of whatever workspace. Needs a system session."""
    of_reading = Row.reading_id == DatasetVersion.reading_id
    added = exists().where(of_reading, Row.added_in == DatasetVersion.number, Row.added_in > 0)
    removed = exists().where(of_reading, Row.removed_in == DatasetVersion.number)
    is_read = DatasetVersion.parent_id.is_(None)
    query = select(DatasetVersion).where(
        DatasetVersion.status == VersionStatus.FAILED,
        or_(and_(is_read, exists().where(of_reading)), and_(not_(is_read), or_(added, removed))),
    )
    return session.scalar(query.limit(1))


class KeptFindingRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, version_id: str, code: str, *, ground: str, kept_by: str) -> bool:
        """False if it is kept already, on whatever ground. Of two at once, the other waits and is told."""
        added = upsert(KeptFinding).values(
            workspace_id=self._workspace_id, version_id=version_id, code=code, ground=ground, kept_by=kept_by
        )
        new = added.on_conflict_do_nothing().returning(KeptFinding.code)
        return self._session.scalar(new) is not None

    def remove(self, version_id: str, code: str) -> bool:
        gone = self._session.scalar(
            delete(KeptFinding)
            .where(
                KeptFinding.workspace_id == self._workspace_id,
                KeptFinding.version_id == version_id,
                KeptFinding.code == code,
            )
            .returning(KeptFinding.code)
        )
        return gone is not None

    def copy(self, source_id: str, version: DatasetVersion, codes: Sequence[str]) -> list[str]:
        """Decide of another version what was decided of `source_id`, by whom it was and when; which of the codes.

        Only what was decided before that version was asked for: so it is told from what was decided of itself.
        """
        decided = select(
            KeptFinding.workspace_id,
            literal(version.id),
            KeptFinding.code,
            KeptFinding.ground,
            KeptFinding.kept_by,
            KeptFinding.created_at,
        ).where(
            KeptFinding.workspace_id == self._workspace_id,
            KeptFinding.version_id == source_id,
            KeptFinding.code.in_(codes),
            KeptFinding.created_at < version.created_at,
        )
        columns = ["workspace_id", "version_id", "code", "ground", "kept_by", "created_at"]
        copied = insert(KeptFinding).from_select(columns, decided).returning(KeptFinding.code)
        return sorted(self._session.scalars(copied))

    def of_versions(self, version_ids: Sequence[str]) -> dict[str, dict[str, Kept]]:
        """What is kept, by version and code. Names are of people; a service has none."""
        query = (
            select(KeptFinding, User.name, KeptFinding.created_at < DatasetVersion.created_at)
            .join(DatasetVersion, DatasetVersion.id == KeptFinding.version_id)
            .join(User, User.id == KeptFinding.kept_by, isouter=True)
            .where(KeptFinding.workspace_id == self._workspace_id, KeptFinding.version_id.in_(version_ids))
        )
        found: dict[str, dict[str, Kept]] = {}
        for row in self._session.execute(query):
            kept = Kept(ground=row[0].ground, kept_by_name=row[1], kept_at=row[0].created_at, is_carried_over=row[2])
            found.setdefault(row[0].version_id, {})[row[0].code] = kept
        return found


class ColumnMappingRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def of_columns(self, columns_sha256: str) -> ColumnMapping | None:
        return self._session.scalar(self._own().where(ColumnMapping.columns_sha256 == columns_sha256))

    def put(
        self, new_id: str, *, created_by: str, columns: list[str], columns_sha256: str, mapping: dict[str, Any]
    ) -> str:
        """Whose id it has: the new one, or that of the row which was there and is changed."""
        added = upsert(ColumnMapping).values(
            workspace_id=self._workspace_id,
            id=new_id,
            created_by=created_by,
            columns=columns,
            columns_sha256=columns_sha256,
            mapping=mapping,
            updated_at=func.now(),
        )
        changed = {"mapping": mapping, "created_by": created_by, "updated_at": func.now()}
        kept = added.on_conflict_do_update(index_elements=["workspace_id", "columns_sha256"], set_=changed)
        return self._session.scalars(kept.returning(ColumnMapping.id)).one()

    def page(self, page: PageRequest) -> Page[ColumnMapping]:
        query = self._own().order_by(ColumnMapping.id.desc()).limit(page.limit + 1)
        if page.after is not None:
            query = query.where(ColumnMapping.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def delete(self, column_mapping_id: str) -> bool:
        gone = self._session.scalar(
            delete(ColumnMapping)
            .where(ColumnMapping.workspace_id == self._workspace_id, ColumnMapping.id == column_mapping_id)
            .returning(ColumnMapping.id)
        )
        return gone is not None

    def _own(self) -> Select[ColumnMapping]:
        return select(ColumnMapping).where(ColumnMapping.workspace_id == self._workspace_id)
