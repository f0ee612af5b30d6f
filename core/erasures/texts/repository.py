"""Words wherever `core.erasures.coverage` says that there may be some: counted, taken out, and named."""

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import accumulate, islice
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.adapters.model_ids import suffix_of
from core.erasures.coverage import KEPT, NAMED, Kept, Named
from core.erasures.matching import holds_any, may_hold, written
from core.erasures.types import ByHand
from core.erasures.words import ERASED, MIN_TERM_CHARS, places
from core.jobs.models import JobLog
from core.workspaces.models import Workspace

_PER_FETCH = 500
# what is taken out of one table row, or of one attempt's log, at once
_Change = list[tuple[Any, dict[str, Any]]]


class TextsRepository:
    def __init__(self, session: Session, workspace_id: str, terms: Sequence[str]) -> None:
        self._session = session
        self._workspace_id = workspace_id
        self._terms = terms

    def counts(self) -> dict[str, int]:
        """By the names that `Found` has for them: how many would lose words, or go."""
        found: dict[str, int] = {}
        for kept in KEPT:
            if kept.counted_as is not None:
                num = sum(map(len, self._changes(kept)))
                found[kept.counted_as] = found.get(kept.counted_as, 0) + num
        return found

    def take_out(self, kept: Kept) -> bool:
        """The words, or all of what holds them, as much as one transaction can bear; whether that was all."""
        with closing(self._changes(kept)) as changes:
            found = list(islice(changes, _PER_FETCH))
        for thing, without in (one for change in found for one in change):
            if kept.goes:
                self._session.delete(thing)
                continue
            for name, value in without.items():
                setattr(thing, name, value)
        self._session.flush()
        return len(found) < _PER_FETCH

    def named(self) -> list[ByHand]:
        """What somebody must change by hand."""
        found = []
        for named in NAMED:
            query = select(named.ident).where(self._is_own(named.table), holds_any(self._as_names(), *named.words))
            if named.only is not None:
                query = query.where(named.only)
            idents = self._session.scalars(query.order_by(named.ident))
            found += [ByHand(kind=named.kind, id=ident) for ident in idents]
        return found

    def names(self, named: Named, idents: Sequence[str]) -> dict[str, str]:
        """What they are called now, by id; of what is gone, nothing."""
        if named.shown_by is None or not idents:
            return {}
        query = select(named.ident, named.shown_by).where(self._is_own(named.table), named.ident.in_(idents))
        return {row[0]: row[1] for row in self._session.execute(query)}

    def _changes(self, kept: Kept) -> Generator[_Change]:
        return self._in_logs() if kept.table is JobLog else self._in_rows(kept)

    def _in_rows(self, kept: Kept) -> Generator[_Change]:
        query = select(kept.table).where(
            self._is_own(kept.table), may_hold(self._terms, *(column for column, _ in kept.words))
        )
        if kept.only is not None:
            query = query.where(kept.only)
        with self._session.execute(query.execution_options(yield_per=_PER_FETCH)) as rows:
            for (thing,) in rows:
                without = {column.key: mask(self._terms, getattr(thing, column.key)) for column, mask in kept.words}
                changed = {name: value for name, value in without.items() if value != getattr(thing, name)}
                if changed:
                    yield [(thing, changed)]

    def _in_logs(self) -> Generator[_Change]:
        """What an attempt's child printed is kept in pieces, as it came: a word may begin in one and end in another."""
        printed = func.string_agg(JobLog.text, aggregate_order_by(literal_column("''"), JobLog.seq))
        query = (
            select(JobLog.job_id, JobLog.attempt)
            .where(self._is_own(JobLog))
            .group_by(JobLog.job_id, JobLog.attempt)
            .having(may_hold(self._terms, printed))
        )
        for job_id, attempt in self._session.execute(query).all():
            of_attempt = select(JobLog).where(self._is_own(JobLog), JobLog.job_id == job_id, JobLog.attempt == attempt)
            pieces = self._session.scalars(of_attempt.order_by(JobLog.seq)).all()
            said = places(self._terms, "".join(piece.text for piece in pieces))
            ends = accumulate(len(piece.text) for piece in pieces)
            yield [
                (piece, {JobLog.text.key: ERASED})
                for piece, end in zip(pieces, ends, strict=True)
                if any(begin < end and until > end - len(piece.text) for begin, until in said)
            ]

    def _is_own(self, table: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a mapped class
        """Of this workspace, or the workspace itself."""
        owner: InstrumentedAttribute[str] = table.id if table is Workspace else table.workspace_id
        return owner == self._workspace_id

    def _as_names(self) -> list[str]:
        """The terms as they are written down, and as they are in the id of a model or a stable name."""
        slugs = (suffix_of(term) for term in self._terms)
        return [*written(self._terms), *(slug for slug in slugs if len(slug) >= MIN_TERM_CHARS)]
