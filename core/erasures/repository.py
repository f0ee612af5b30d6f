"""Erasures; and what has steps of its own in one: rows, versions, files, drafts and votes, found and taken away.

All else is found as `core.erasures.coverage` says (`core.erasures.texts`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, extract, func, or_, select, tuple_, update
from sqlalchemy.orm import Session, undefer

from core.datasets.models import Dataset, DatasetVersion, DraftChange, File, Row
from core.datasets.types import VersionStatus
from core.erasures.coverage import (
    DRAFT_WORDS,
    FILE_WORDS,
    MAPPING_WORDS,
    PREFERENCE_WORDS,
    ROW_WORDS,
    UNREAD_WORDS,
    VERSION_WORDS,
    Attribute,
)
from core.erasures.matching import may_hold
from core.erasures.models import Erasure
from core.erasures.words import hold
from core.identity.models import User
from core.kit.pagination import Page, PageRequest
from core.serving.aliases.models import Alias, PromptProfile
from core.serving.preferences.models import Preference

_ROWS_PER_FETCH = 1000
_INSPECTED = ("columns", "sample", "speakers", "mapping", "sheets")


@dataclass(frozen=True, slots=True)
class RowKey:
    reading_id: str
    number: int
    added_in: int
    removed_in: int | None

    def is_in(self, version: DatasetVersion) -> bool:
        return (
            self.reading_id == version.reading_id
            and self.added_in <= version.number
            and (self.removed_in is None or self.removed_in > version.number)
        )


class ErasureRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, erasure: Erasure) -> Erasure:
        self._session.add(erasure)
        self._session.flush()
        return erasure

    def get(self, erasure_id: str, *, for_update: bool = False) -> Erasure | None:
        query = select(Erasure).where(Erasure.workspace_id == self._workspace_id, Erasure.id == erasure_id)
        if for_update:
            query = query.with_for_update().execution_options(populate_existing=True)
        return self._session.scalar(query)

    def page(self, page: PageRequest) -> Page[Erasure]:
        query = select(Erasure).where(Erasure.workspace_id == self._workspace_id)
        if page.after is not None:
            query = query.where(Erasure.id < page.after)
        return Page.cut(
            self._session.scalars(query.order_by(Erasure.id.desc()).limit(page.limit + 1)).all(), page.limit
        )

    def confirmed(self, *, since_s: float) -> list[tuple[Erasure, float | None]]:
        """Those that are not over, or ended less than `since_s` ago; and how long ago, by the database's clock."""
        ago = extract("epoch", func.clock_timestamp() - Erasure.finished_at)
        query = select(Erasure, ago).where(
            Erasure.workspace_id == self._workspace_id,
            Erasure.confirmed_at.is_not(None),
            Erasure.finished_at.is_(None) | (ago < since_s),
        )
        return [(row[0], None if row[1] is None else float(row[1])) for row in self._session.execute(query)]

    def finish(self, erasure: Erasure) -> None:
        """By the clock that `confirmed` reads, for whoever asks there was told the time by nobody else."""
        erasure.sealed_terms, erasure.finished_at = None, func.clock_timestamp()

    def remove(self, erasure: Erasure) -> None:
        self._session.delete(erasure)
        self._session.flush()

    def names_of_people(self, user_ids: Sequence[str | None]) -> dict[str | None, str]:
        """People's only: a service has none."""
        query = select(User.id, User.name).where(User.id.in_([one for one in user_ids if one is not None]))
        return {row.id: row.name for row in self._session.execute(query)}

    def filenames(self, file_ids: Sequence[str]) -> dict[str, str]:
        query = select(File.id, File.filename).where(File.workspace_id == self._workspace_id, File.id.in_(file_ids))
        return {row.id: row.filename for row in self._session.execute(query)}

    def names_of_profiles(self, profile_ids: Sequence[str]) -> dict[str, str]:
        query = (
            select(PromptProfile.id, Alias.name, PromptProfile.version)
            .join(Alias, Alias.id == PromptProfile.alias_id)
            .where(PromptProfile.workspace_id == self._workspace_id, PromptProfile.id.in_(profile_ids))
        )
        return {row.id: f"{row.name}, profile {row.version}" for row in self._session.execute(query)}


class WordsRepository:
    """`terms` are looked for in SQL by what a value is written down as, and then in what somebody said in it."""

    def __init__(self, session: Session, workspace_id: str, terms: Sequence[str]) -> None:
        self._session = session
        self._workspace_id = workspace_id
        self._terms = terms

    def rows(self, *, limit: int) -> list[RowKey]:
        """Of all versions. At most one more than `limit`."""
        found: list[RowKey] = []
        after: tuple[str, int, int] = ("", 0, -1)
        readings = select(DatasetVersion.id).where(DatasetVersion.workspace_id == self._workspace_id)
        key = tuple_(Row.reading_id, Row.number, Row.added_in)
        query = (
            select(Row)
            .where(
                Row.workspace_id == self._workspace_id,
                Row.reading_id.in_(readings),
                self._may_hold(*ROW_WORDS, *UNREAD_WORDS),
            )
            .order_by(Row.reading_id, Row.number, Row.added_in)
            .limit(_ROWS_PER_FETCH)
        )
        while len(found) <= limit:
            rows = self._session.scalars(query.where(key > after)).all()
            if not rows:
                break
            for row in rows:
                is_unread = not row.messages and row.text is None
                words = (*ROW_WORDS, *UNREAD_WORDS) if is_unread else ROW_WORDS
                if hold(self._terms, [getattr(row, column.key) for column in words]):
                    found.append(RowKey(row.reading_id, row.number, row.added_in, row.removed_in))
                self._session.expunge(row)
            after = (rows[-1].reading_id, rows[-1].number, rows[-1].added_in)
        return found[: limit + 1]

    def delete_rows(self, keys: Sequence[RowKey]) -> None:
        key = tuple_(Row.reading_id, Row.number, Row.added_in)
        self._session.execute(
            delete(Row).where(
                Row.workspace_id == self._workspace_id,
                key.in_([(one.reading_id, one.number, one.added_in) for one in keys]),
            )
        )

    def versions(self, reading_ids: Iterable[str]) -> Sequence[DatasetVersion]:
        """Ready versions of these readings; and any, failed ones too, in which the words are told."""
        of_readings = (DatasetVersion.status == VersionStatus.READY) & DatasetVersion.reading_id.in_(set(reading_ids))
        is_settled = DatasetVersion.status != VersionStatus.VALIDATING
        query = select(DatasetVersion).where(
            DatasetVersion.workspace_id == self._workspace_id,
            or_(of_readings, is_settled & self._may_hold(*VERSION_WORDS)),
        )
        return self._session.scalars(query.order_by(DatasetVersion.dataset_id, DatasetVersion.number)).all()

    def tells(self, version: DatasetVersion) -> bool:
        mapping = version.mapping or {}
        return hold(self._terms, [version.changes, *(mapping.get(name) for name in MAPPING_WORDS)])

    def version(self, version_id: str) -> DatasetVersion | None:
        """Held until the transaction ends, with where its files are."""
        query = select(DatasetVersion).where(
            DatasetVersion.workspace_id == self._workspace_id, DatasetVersion.id == version_id
        )
        query = query.options(undefer(DatasetVersion.artifact), undefer(DatasetVersion.landmarks))
        return self._session.scalar(query.with_for_update().execution_options(populate_existing=True))

    def files(self, dataset_ids: Iterable[str]) -> Sequence[File]:
        """What these datasets were made of, and what holds the words in its name or in what was looked at."""
        made_of = select(Dataset.file_id).where(Dataset.id.in_(set(dataset_ids)))
        query = select(File).where(
            File.workspace_id == self._workspace_id,
            File.erased_at.is_(None),
            or_(File.id.in_(made_of), self._may_hold(*FILE_WORDS)),
        )
        return self._session.scalars(query.order_by(File.id)).all()

    def holds(self, file: File) -> bool:
        return hold(self._terms, [file.filename, *((file.inspection or {}).get(name) for name in _INSPECTED)])

    def files_of(self, file_ids: Sequence[str]) -> Sequence[File]:
        return self._session.scalars(
            select(File).where(File.workspace_id == self._workspace_id, File.id.in_(file_ids))
        ).all()

    def in_progress(self) -> bool:
        """Whether a version of the workspace is being made."""
        query = select(DatasetVersion.id).where(
            DatasetVersion.workspace_id == self._workspace_id, DatasetVersion.status == VersionStatus.VALIDATING
        )
        return self._session.scalar(query.limit(1)) is not None

    def preference_ids(self) -> list[str]:
        query = select(Preference).where(
            Preference.workspace_id == self._workspace_id, self._may_hold(*PREFERENCE_WORDS)
        )
        return [
            one.id
            for one in self._session.scalars(query)
            if hold(self._terms, [getattr(one, column.key) for column in PREFERENCE_WORDS])
        ]

    def blank_preferences(self) -> None:
        """Nothing of what was said is left; that somebody preferred one model to another stays."""
        found = select(Preference).where(
            Preference.workspace_id == self._workspace_id, Preference.id.in_(self.preference_ids())
        )
        for preference in self._session.scalars(found):
            preference.messages, preference.parameters = [], {}
            preference.answers = [
                {**answer, "content": "", "system_prompt": None, "messages": None} for answer in preference.answers
            ]
            preference.erased_at = func.now()

    def drafts(self, dataset_ids: Iterable[str]) -> set[str]:
        """The datasets of unsaved changes that say the words, or of those among these datasets that have any."""
        query = select(DraftChange.dataset_id, DraftChange.change).where(
            DraftChange.workspace_id == self._workspace_id,
            DraftChange.dataset_id.in_(set(dataset_ids)) | self._may_hold(*DRAFT_WORDS),
        )
        among = set(dataset_ids)
        rows = self._session.execute(query)
        return {row.dataset_id for row in rows if row.dataset_id in among or hold(self._terms, row.change)}

    def delete_drafts(self, dataset_ids: Iterable[str]) -> None:
        """Whole ones: what is left of a draft may have been made on what is gone."""
        touched = self.drafts(dataset_ids)
        self._session.execute(
            delete(DraftChange).where(
                DraftChange.workspace_id == self._workspace_id, DraftChange.dataset_id.in_(touched)
            )
        )

    def mark_file_erased(self, file: File, *, filename: str, inspection: dict[str, Any] | None) -> None:
        self._session.execute(
            update(File)
            .where(File.workspace_id == self._workspace_id, File.id == file.id)
            .values(
                filename=filename,
                inspection=inspection,
                erased_at=func.now(),
                deleted_at=func.coalesce(File.deleted_at, func.now()),
            )
        )

    def _may_hold(self, *columns: Attribute) -> ColumnElement[bool]:
        return may_hold(self._terms, *columns)
