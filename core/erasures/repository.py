"""All that a workspace keeps of people's words, in whatever context: found, and taken away.

One place knows every such table, so that whoever adds one sees what an erasure must cover.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session, undefer

from core.datasets.models import ColumnMapping, Dataset, DatasetVersion, DraftChange, File, KeptFinding, Row
from core.datasets.types import VersionStatus
from core.erasures.models import Erasure
from core.erasures.words import blanked, hold, spellings
from core.idempotency.models import IdempotencyKey
from core.identity.models import User
from core.kit.pagination import Page, PageRequest
from core.serving.aliases.models import Alias, PromptProfile, ShadowAnswer
from core.serving.completions.models import Completion
from core.serving.preferences.models import Preference

_ROWS_PER_FETCH = 1000
_ROW_WORDS = (Row.messages, Row.tools, Row.chosen, Row.rejected, Row.text, Row.tags)
# what the file had in a row that could not be read is told nowhere but here; other causes are in our own words
_UNREAD_WORDS = (Row.problems,)
# problems and health are found anew
_VERSION_WORDS = (DatasetVersion.changes, DatasetVersion.mapping)
# of a mapping; the others are names of columns, which must stay to be understood
MAPPING_WORDS = ("sheet", "system_text", "assistant_speakers")
_COMPLETION_WORDS = (Completion.messages, Completion.answer, Completion.user_metadata, Completion.parameters)
_PREFERENCE_WORDS = (Preference.messages, Preference.answers, Preference.parameters)
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
                self._is_in(*_ROW_WORDS, *_UNREAD_WORDS),
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
                words = (*_ROW_WORDS, *_UNREAD_WORDS) if is_unread else _ROW_WORDS
                if hold(self._terms, _values(row, words)):
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
            or_(of_readings, is_settled & self._is_in(*_VERSION_WORDS)),
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
            or_(File.id.in_(made_of), self._is_in(File.filename, File.inspection)),
        )
        return self._session.scalars(query.order_by(File.id)).all()

    def holds(self, file: File) -> bool:
        return hold(self._terms, [file.filename, *((file.inspection or {}).get(name) for name in _INSPECTED)])

    def files_of(self, file_ids: Sequence[str]) -> Sequence[File]:
        return self._session.scalars(
            select(File).where(File.workspace_id == self._workspace_id, File.id.in_(file_ids))
        ).all()

    def datasets(self) -> Sequence[Dataset]:
        """Whose names hold the words."""
        query = select(Dataset).where(Dataset.workspace_id == self._workspace_id, self._is_in(Dataset.name))
        return self._session.scalars(query.order_by(Dataset.id)).all()

    def profiles(self) -> Sequence[PromptProfile]:
        query = select(PromptProfile).where(
            PromptProfile.workspace_id == self._workspace_id,
            self._is_in(PromptProfile.system_prompt, PromptProfile.note),
        )
        return self._session.scalars(query.order_by(PromptProfile.id)).all()

    def in_progress(self) -> bool:
        """Whether a version of the workspace is being made."""
        query = select(DatasetVersion.id).where(
            DatasetVersion.workspace_id == self._workspace_id, DatasetVersion.status == VersionStatus.VALIDATING
        )
        return self._session.scalar(query.limit(1)) is not None

    def completion_ids(self) -> list[str]:
        return self._ids(Completion, _COMPLETION_WORDS)

    def delete_completions(self) -> None:
        is_theirs = Completion.workspace_id == self._workspace_id
        self._session.execute(delete(Completion).where(is_theirs, Completion.id.in_(self.completion_ids())))

    def num_shadow_answers(self) -> int:
        query = select(func.count()).select_from(ShadowAnswer).where(*self._of_shadows())
        return self._session.scalar(query) or 0

    def delete_shadow_answers(self) -> None:
        self._session.execute(delete(ShadowAnswer).where(*self._of_shadows()))

    def preference_ids(self) -> list[str]:
        return self._ids(Preference, _PREFERENCE_WORDS)

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
            DraftChange.dataset_id.in_(set(dataset_ids)) | self._is_in(DraftChange.change),
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

    def grounds(self) -> list[KeptFinding]:
        """Findings that are kept on a ground that says the words."""
        query = select(KeptFinding).where(
            KeptFinding.workspace_id == self._workspace_id, self._is_in(KeptFinding.ground)
        )
        return [one for one in self._session.scalars(query) if hold(self._terms, one.ground)]

    def blank_grounds(self) -> None:
        """They stay kept, by whom they were."""
        for kept in self.grounds():
            kept.ground = blanked(self._terms, kept.ground)

    def delete_answers_to_retries(self) -> None:
        """First answers to creates, which are kept for a day in case they are asked for again."""
        is_theirs = IdempotencyKey.workspace_id == self._workspace_id
        self._session.execute(delete(IdempotencyKey).where(is_theirs, self._is_in(IdempotencyKey.answer)))

    def delete_mappings(self) -> None:
        """What was remembered of columns with such names."""
        ids = self._ids(ColumnMapping, (ColumnMapping.columns, ColumnMapping.mapping))
        is_theirs = ColumnMapping.workspace_id == self._workspace_id
        self._session.execute(delete(ColumnMapping).where(is_theirs, ColumnMapping.id.in_(ids)))

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

    def _ids(self, table: type[Any], words: Sequence[InstrumentedAttribute[Any]]) -> list[str]:
        query = select(table).where(table.workspace_id == self._workspace_id, self._is_in(*words))
        return [one.id for one in self._session.scalars(query) if hold(self._terms, _values(one, words))]

    def _of_shadows(self) -> tuple[ColumnElement[bool], ...]:
        words = (ShadowAnswer.question, ShadowAnswer.shown_text, ShadowAnswer.text)
        return ShadowAnswer.workspace_id == self._workspace_id, self._is_in(*words)

    def _is_in(self, *columns: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
        written = dict.fromkeys(spelling for term in self._terms for spelling in spellings(term))
        return or_(*(cast(column, Text).icontains(words, autoescape=True) for column in columns for words in written))


def _values(of: object, columns: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    values = {column: getattr(of, column.key) for column in columns}
    if (metadata := values.get(Completion.user_metadata)) is not None:
        # here the names, too, are what somebody said
        values[Completion.user_metadata] = [*metadata.keys(), *metadata.values()]
    return list(values.values())
