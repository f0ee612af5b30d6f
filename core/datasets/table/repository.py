"""The rows of datasets, by snapshot: what a version of a reading sees of them."""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    and_,
    cast,
    collate,
    column,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.orm import Session

from core.datasets.ingest_files import LANDMARK_EVERY_ROWS
from core.datasets.models import DatasetVersion, Row
from core.datasets.table.query import RowQuery
from core.datasets.types import RowFilter, RowOrder, Split
from core.kit.pagination import Page

_ROWS_PER_FETCH = 1000
EXPORTED = (
    "number", "split", "messages", "tools", "chosen", "rejected", "text", "num_tokens", "problems", "is_edited",
    "excluded_from", "tags", "time",
)  # fmt: skip


# of a million rows: some tenths of a second, far from any limit of a statement
ROWS_PER_STATEMENT = 20_000
_KEY = (Row.reading_id, Row.number, Row.added_in)
_tokens = func.coalesce(Row.num_tokens, literal_column("0"))
_ORDERS: dict[RowOrder, tuple[Any, ...]] = {
    RowOrder.NUMBER: (Row.number,),
    RowOrder.NUMBER_DOWN: (Row.number.desc(),),
    RowOrder.TOKENS: (_tokens, Row.number),
    RowOrder.TOKENS_DOWN: (_tokens.desc(), Row.number.desc()),
}
# what a pattern gives a meaning of its own, and letters whose other case is not told byte by byte
_UNSURE = re.compile(r"([/%_])|(?:[^\x00-\x7f]|[ikIK])+")
_FILTERS: dict[RowFilter, tuple[ColumnElement[bool], ...]] = {
    RowFilter.ALL: (),
    RowFilter.PROBLEMS: (Row.problems.is_not(None), Row.excluded_from.is_(None)),
    RowFilter.TRAIN: (Row.split == Split.TRAIN,),
    RowFilter.HELDOUT: (Row.split == Split.HELDOUT,),
    RowFilter.LEFT_OUT: (Row.split == Split.LEFT_OUT,),
    RowFilter.EXCLUDED: (Row.excluded_from.is_not(None),),
    RowFilter.EDITED: (Row.is_edited == true(),),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of a reading as the version with this number has them."""

    reading_id: str
    number: int

    @classmethod
    def of(cls, version: DatasetVersion) -> "Snapshot":
        return cls(version.reading_id, version.number)

    def sees(self) -> ColumnElement[bool]:
        return (
            (Row.reading_id == self.reading_id)
            & (Row.added_in <= self.number)
            & (Row.removed_in.is_(None) | (Row.removed_in > self.number))
        )


class RowRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def insert(self, reading_id: str, added_in: int, rows: Sequence[dict[str, Any]]) -> None:
        owned = {"workspace_id": self._workspace_id, "reading_id": reading_id, "added_in": added_in}
        self._session.execute(insert(Row), [row | owned for row in rows])

    def remove(self, snapshot: Snapshot, numbers: Sequence[int]) -> None:
        """Take rows away from the snapshot's version on; every version before it keeps them."""
        self._session.execute(
            update(Row)
            .where(
                Row.workspace_id == self._workspace_id,
                Row.reading_id == snapshot.reading_id,
                Row.number.in_(numbers),
                Row.added_in < snapshot.number,
                Row.removed_in.is_(None),
            )
            .values(removed_in=snapshot.number)
        )

    def undo(self, snapshot: Snapshot) -> bool:
        """Take back what was staged for a version made by changes: as if it had never begun.

        Of so many rows as one statement can bear; False if there may be more.
        """
        of_reading = (Row.workspace_id == self._workspace_id, Row.reading_id == snapshot.reading_id)
        added = select(*_KEY).where(*of_reading, Row.added_in == snapshot.number, Row.added_in > 0)
        removed = select(*_KEY).where(*of_reading, Row.removed_in == snapshot.number)
        deleted = self._session.scalars(delete(Row).where(_is_one_of(added)).returning(Row.number)).all()
        put_back = self._session.scalars(
            update(Row).where(_is_one_of(removed)).values(removed_in=None).returning(Row.number)
        ).all()
        return max(len(deleted), len(put_back)) < ROWS_PER_STATEMENT

    def delete_reading(self, reading_id: str) -> bool:
        """Of so many rows as one statement can bear; False if there may be more."""
        found = select(*_KEY).where(Row.workspace_id == self._workspace_id, Row.reading_id == reading_id)
        deleted = self._session.scalars(delete(Row).where(_is_one_of(found)).returning(Row.number)).all()
        return len(deleted) < ROWS_PER_STATEMENT

    def page(
        self, snapshot: Snapshot, wanted: RowQuery, *, landmarks: Sequence[int] = (), num_visible: int = 0
    ) -> Page[Row]:
        """The rows after `wanted.after_number`, or from place `wanted.offset` on."""
        query = self._matching(snapshot, wanted)
        query, offset = _from_landmark(query, wanted, landmarks, num_visible)
        if wanted.after_number:
            query = query.where(self._is_after(snapshot, wanted))
        query = query.order_by(*_ORDERS[wanted.order]).limit(wanted.limit + 1)
        if offset:
            # what is skipped is read in an index alone
            there = query.with_only_columns(*_KEY).offset(offset).subquery()
            query = select(Row).join(there, and_(*(there.c[one.key] == one for one in _KEY)))
            query = query.order_by(*_ORDERS[wanted.order])
        return Page.cut(self._session.scalars(query).all(), wanted.limit)

    def count(self, snapshot: Snapshot, wanted: RowQuery) -> int:
        return self._session.scalar(self._matching(snapshot, wanted).with_only_columns(func.count())) or 0

    def numbers(self, snapshot: Snapshot, wanted: RowQuery) -> Sequence[int]:
        """Of the first that match, in the file's order, one more than `wanted.limit`."""
        query = self._matching(snapshot, wanted).with_only_columns(Row.number).order_by(Row.number)
        return self._session.scalars(query.limit(wanted.limit + 1)).all()

    def place(self, snapshot: Snapshot, wanted: RowQuery, number: int, *, landmarks: Sequence[int] = ()) -> int:
        """How many that match come before the row with this number, or would if it matched."""
        query = self._matching(snapshot, wanted).with_only_columns(func.count())
        before = 0
        if wanted.is_all and wanted.order is RowOrder.NUMBER and landmarks and number > landmarks[0]:
            place = bisect_right(landmarks, number) - 1
            before = place * LANDMARK_EVERY_ROWS
            query = query.where(Row.number >= landmarks[place])
        is_before = self._beyond(snapshot, wanted.order, number, is_after=False)
        return before + (self._session.scalar(query.where(is_before)) or 0)

    def tags(self, snapshot: Snapshot, *, limit: int) -> dict[str, int]:
        """How many rows have each tag; the most frequent first."""
        tag = func.jsonb_array_elements_text(Row.tags).table_valued(column("value", Text)).lateral("tag")
        query = self._of(snapshot).where(Row.tags.is_not(None)).join(tag, true())
        counted: Select[Any] = query.with_only_columns(tag.c.value, func.count()).group_by(tag.c.value)
        found = self._session.execute(counted.order_by(func.count().desc(), tag.c.value).limit(limit))
        return {row[0]: row[1] for row in found}

    def get(self, snapshot: Snapshot, number: int) -> Row | None:
        return self._session.scalar(self._of(snapshot).where(Row.number == number))

    def _matching(self, snapshot: Snapshot, wanted: RowQuery) -> Select[Row]:
        query = self._of(snapshot).where(*_FILTERS[wanted.row_filter])
        if wanted.finding is not None:
            query = query.where(Row.problems.is_not(None), Row.problems.contains([{"code": wanted.finding}]))
        if wanted.tag is not None:
            query = query.where(Row.tags.is_not(None), Row.tags.contains([wanted.tag]))
        if wanted.min_tokens is not None:
            query = query.where(_tokens >= wanted.min_tokens)
        if wanted.max_tokens is not None:
            query = query.where(_tokens <= wanted.max_tokens)
        return query.where(_says(wanted.search)) if wanted.search else query

    def _is_after(self, snapshot: Snapshot, wanted: RowQuery) -> ColumnElement[bool]:
        return self._beyond(snapshot, wanted.order, wanted.after_number, is_after=True)

    def _beyond(self, snapshot: Snapshot, order: RowOrder, number: int, *, is_after: bool) -> ColumnElement[bool]:
        """Whether a row comes after the one with this number, or before it."""
        is_greater = is_after is (order in {RowOrder.NUMBER, RowOrder.TOKENS})
        if order in {RowOrder.NUMBER, RowOrder.NUMBER_DOWN}:
            return Row.number > number if is_greater else Row.number < number
        last = self.get(snapshot, number)
        place = tuple_(literal(0 if last is None else last.num_tokens or 0), literal(number))
        row = tuple_(_tokens, Row.number)
        return row > place if is_greater else row < place

    def existing(self, snapshot: Snapshot, numbers: Sequence[int]) -> set[int]:
        """Those of the numbers that the snapshot has rows of."""
        query = select(Row.number).where(Row.workspace_id == self._workspace_id, snapshot.sees())
        return set(self._session.scalars(query.where(Row.number.in_(numbers))))

    def has_finding(self, snapshot: Snapshot, code: str) -> bool:
        query = self._of(snapshot).where(Row.problems.is_not(None), Row.problems.contains([{"code": code}]))
        return self._session.scalar(select(query.exists())) is True

    def keeps_finding(self, snapshot: Snapshot, before: Snapshot, code: str, *, edited: Sequence[int]) -> bool:
        """Whether rows that are used have this finding, all of which had it before, and none of which was `edited`."""
        now, then = (self._numbers_with(one, code) for one in (snapshot, before))
        return (
            self._is_any(now)
            and not self._is_any(now.except_(then))
            and not self._is_any(now.where(Row.number.in_(edited)))
        )

    def restore(self, snapshot: Snapshot, target: Snapshot, *, after_number: int, up_to_number: int) -> int:
        """Stage the rows with these numbers as the reading had them in an earlier version; how many differ from now."""
        of_reading = (
            Row.workspace_id == self._workspace_id,
            Row.reading_id == target.reading_id,
            Row.number > after_number,
            Row.number <= up_to_number,
        )
        is_now = (*of_reading, Row.removed_in.is_(None), Row.added_in < snapshot.number)
        # what the earlier version has and the reading has no more: entered anew
        names = ["reading_id", "workspace_id", *EXPORTED]
        again = select(literal(snapshot.number), *(Row.__table__.c[name] for name in names)).where(
            target.sees(), *of_reading, Row.removed_in.is_not(None)
        )
        # before anything of today goes, which would look as if it had been there
        self._session.execute(insert(Row).from_select(["added_in", *names], again))
        self._session.execute(
            update(Row).where(*is_now, Row.added_in > target.number).values(removed_in=snapshot.number)
        )
        changed = select(func.count(Row.number.distinct())).where(
            *of_reading, or_(Row.added_in == snapshot.number, Row.removed_in == snapshot.number)
        )
        return self._session.scalar(changed) or 0

    def export(self, snapshot: Snapshot) -> Iterator[dict[str, Any]]:
        """Every row with its contents and what is known of it, as plain values in the file's order."""
        after_number = 0
        while found := self.some(snapshot, after_number=after_number, limit=_ROWS_PER_FETCH):
            yield from found
            after_number = found[-1]["number"]

    def some(self, snapshot: Snapshot, *, after_number: int, limit: int) -> list[dict[str, Any]]:
        query = select(*(Row.__table__.c[name] for name in EXPORTED)).where(
            Row.workspace_id == self._workspace_id, snapshot.sees(), Row.number > after_number
        )
        found = self._session.execute(query.order_by(Row.number).limit(limit))
        return [dict(row) for row in found.mappings()]

    def stream(self, snapshot: Snapshot, split: Split | None = None) -> Iterator[Row]:
        """All rows, or those of a split, in the file's order, a thousand in memory at a time."""
        query = self._of(snapshot) if split is None else self._of(snapshot).where(Row.split == split)
        query = query.order_by(Row.number).limit(_ROWS_PER_FETCH)
        after_number = 0
        while rows := self._session.scalars(query.where(Row.number > after_number)).all():
            for row in rows:
                yield row
                self._session.expunge(row)
            after_number = rows[-1].number

    def _numbers_with(self, snapshot: Snapshot, code: str) -> Select[int]:
        has_it = (Row.problems.is_not(None), Row.problems.contains([{"code": code}]))
        return self._of(snapshot).with_only_columns(Row.number).where(Row.split != Split.LEFT_OUT, *has_it)

    def _is_any(self, numbers: Select[int] | CompoundSelect[int]) -> bool:
        return self._session.scalar(select(numbers.limit(1).exists())) is True

    def _of(self, snapshot: Snapshot) -> Select[Row]:
        return select(Row).where(Row.workspace_id == self._workspace_id, snapshot.sees())


def _is_one_of(found: Select[str, int, int]) -> ColumnElement[bool]:
    return tuple_(*_KEY).in_(found.limit(ROWS_PER_STATEMENT))


def _from_landmark(
    query: Select[Row], wanted: RowQuery, landmarks: Sequence[int], num_visible: int
) -> tuple[Select[Row], int]:
    """Near a place in a list of all rows, and how far it is from there: to skip a million rows takes a second."""
    if not (landmarks and wanted.is_all and wanted.offset):
        return query, wanted.offset
    if wanted.order is RowOrder.NUMBER:
        place, rest = divmod(wanted.offset, LANDMARK_EVERY_ROWS)
        if place < len(landmarks):
            return query.where(Row.number >= landmarks[place]), rest
    elif wanted.order is RowOrder.NUMBER_DOWN:
        place = num_visible - 1 - wanted.offset
        after = max(place, 0) // LANDMARK_EVERY_ROWS + 1
        if after < len(landmarks):
            return query.where(Row.number <= landmarks[after]), after * LANDMARK_EVERY_ROWS - place
    return query, wanted.offset


def _may_say(search: str) -> ColumnElement[bool]:
    """Whether the words may be in what a row's messages are written down as, or in its text: whoever has them passes.

    As a JSON string has them, and as they are: calls are looked through as JSON.
    """
    written = dict.fromkeys([search, json.dumps(search, ensure_ascii=False)[1:-1]])
    told = (cast(Row.messages, Text), cast(Row.chosen, Text), cast(Row.rejected, Text), cast(Row.text, Text))
    return or_(*(collate(one, "C").ilike(_pattern(words), escape="/") for one in told for words in written))


def _pattern(words: str) -> str:
    """For a comparison byte by byte, at less than half the price of one that knows the case of every alphabet.

    So what has a small or a capital letter outside of ASCII stands for anything: as it is itself, or as "i" and "k" do,
    which are the small letters of the Turkish capital and of the sign of Kelvin.
    """
    known = _UNSURE.sub(lambda found: f"/{found[1]}" if found[1] else "%", words)
    return f"%{known}%"


def _says(search: str) -> Any:  # noqa: ANN401 - a SQL expression
    """Whether a message's text or call, a plain text, or a problem holds the words: as they are, in any case."""
    none = literal([], JSONB)
    said = Row.messages.concat(func.coalesce(Row.chosen, none)).concat(func.coalesce(Row.rejected, none))
    message = func.jsonb_array_elements(said).table_valued(column("value", JSONB)).lateral("message")
    value = message.c.value
    found = exists().select_from(message).where(
        or_(
            value["content"].astext.icontains(search, autoescape=True),
            value["tool_calls"].astext.icontains(search, autoescape=True),
        )
    )  # fmt: skip
    return or_(
        # to look through all of a row byte by byte takes a tenth of the time, and most rows are over with that
        _may_say(search) & (found | Row.text.icontains(search, autoescape=True)),
        func.jsonb_path_query_array(Row.problems, cast("$[*].cause", JSONPATH))
        .cast(Text)
        .icontains(search, autoescape=True),
    )
