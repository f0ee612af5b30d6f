"""What a reader of a format yields, and `examples` reads on: cells under column names, JSON objects, or texts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.datasets.types import Notice


@dataclass(frozen=True, slots=True)
class CellsRecord:
    row: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    row: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TextRecord:
    row: int
    text: str


@dataclass(frozen=True, slots=True)
class Cells:
    """Records that are not blank, the column names first. `notices` are what the file's owner is to be told."""

    records: Iterator[CellsRecord]
    num_bytes_read: Callable[[], int]
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Objects:
    records: Iterator[ObjectRecord]
    num_bytes_read: Callable[[], int]
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Texts:
    records: Iterator[TextRecord]
    num_bytes_read: Callable[[], int]
    notices: tuple[Notice, ...] = ()


Opened = Cells | Objects | Texts
Record = CellsRecord | ObjectRecord | TextRecord
