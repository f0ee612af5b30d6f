"""A query that is asked so often that building it and its objects anew would take longer than the database does.

It is compiled once and goes straight to the driver. What comes back are records: they read like the rows' objects, but
belong to no session, and nothing that is done to them is written.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Select, TypeDecorator, inspect
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Mapper, Session

from core.db.connection import wrapped

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call] # the library does not say that it returns nothing


class Reading:
    """`Reading(select(A, B.name).where(A.id == bindparam("id")))`, with parameters that the driver writes by itself."""

    def __init__(self, query: Select[*tuple[Any, ...]]) -> None:
        self._shapes = [_Shape(described) for described in query.column_descriptions]
        # one by one, so that their order is known
        columns = [column for shape in self._shapes for column in shape.columns]
        compiled = query.with_only_columns(*columns, maintain_column_froms=True).compile(dialect=_DIALECT)
        self._statement = str(compiled)
        self._converters = [
            (place, converter)
            for place, column in enumerate(columns)
            if (converter := _converter(column.type)) is not None
        ]

    def one_or_none(self, session: Session, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What the query selects, in its order. Raises `ValueError` if it finds more than one row."""
        rows = self._rows(session, parameters)
        if len(rows) > 1:
            raise ValueError(f"one row was meant, and there are {len(rows)}")
        return self._shaped(rows[0]) if rows else None

    def _rows(self, session: Session, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        # as the session does before a query of its own
        session.flush()
        connection = session.connection()
        driver = connection.connection.driver_connection
        if driver is None:
            raise ValueError("the session has no connection")
        try:
            found: Sequence[tuple[Any, ...]] = driver.execute(self._statement, parameters).fetchall()
        except psycopg.Error as error:
            if is_lost := driver.closed:
                connection.invalidate(error)
            raise wrapped(error, is_lost=is_lost) from error
        return found

    def _shaped(self, row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for place, convert in self._converters:
            values[place] = convert(values[place])
        shaped, start = [], 0
        for shape in self._shapes:
            shaped.append(shape.of(values, start))
            start += len(shape.columns)
        return tuple(shaped)


class _Shape:
    """What one of the selected things makes of its columns: a mapped class a record, a column its value."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self._record: Callable[..., Any] | None = None
        if described["expr"] is not described["entity"]:
            self.columns: Sequence[ColumnElement[Any]] = [described["expr"]]
            return
        mapper: Mapper[Any] = inspect(described["entity"])
        self.columns = list(mapper.columns)
        names = [mapper.get_property_by_column(column).key for column in mapper.columns]
        self._record = _record(described["name"], names)
        self._key = self.columns.index(mapper.primary_key[0])

    def of(self, values: Sequence[Any], start: int) -> Any:  # noqa: ANN401 - what was selected
        if self._record is None:
            return values[start]
        # of an outer join that found nothing, every column is null
        return None if values[start + self._key] is None else self._record(*values[start : start + len(self.columns)])


def _record(name: str, fields: Sequence[str]) -> Callable[..., Any]:
    return namedtuple(name, fields)  # noqa: PYI024 - both are those of the class


def _converter(kind: object) -> Callable[[Any], Any] | None:
    """The driver gives numbers, texts, moments and JSON as they are; only what we made of them is ours to do."""
    return partial(kind.process_result_value, dialect=_DIALECT) if isinstance(kind, TypeDecorator) else None
