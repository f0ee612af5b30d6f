"""What a reader of a format yields, and `examples` reads on: cells under column names, JSON objects, or texts.

A large file is mostly sound. A reader that can `skim` parses every record, but makes nothing of those that are surely
as they should be, which takes a tenth of the time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

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


@dataclass(slots=True)
class Passed:
    """The records that were skimmed over."""

    num_records: int = 0
    num_bytes: int = 0

    def add(self, num_records: int, num_bytes: int) -> None:
        self.num_records += num_records
        self.num_bytes += num_bytes


Skim = Callable[[Callable[[Any], bool], Passed, Callable[[], bool]], Iterator[Any]]
"""`skim(is_sound, passed, is_enough)`: what `records` has left, but those whose cells or values are sound; these are
only counted. It ends where it `is_enough`, which is asked now and then, and raises what `records` would."""
SKIMMED_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class Cells:
    """Records that are not blank, the column names first. `notices` are what the file's owner is to be told."""

    records: Iterator[CellsRecord]
    num_bytes_read: Callable[[], int]
    notices: tuple[Notice, ...] = ()
    skim: Skim | None = None
    sheets: tuple[str, ...] = ()
    """Of a workbook, the names of those that can be chosen; `sheet` is the one whose cells these are."""
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class Objects:
    records: Iterator[ObjectRecord]
    num_bytes_read: Callable[[], int]
    notices: tuple[Notice, ...] = ()
    skim: Skim | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    records: Iterator[TextRecord]
    num_bytes_read: Callable[[], int]
    notices: tuple[Notice, ...] = ()


Opened = Cells | Objects | Texts
Record = CellsRecord | ObjectRecord | TextRecord
