"""Parquet: records with names and types, read some at a time. A row's number is the record's place in the file."""

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, Final

import pyarrow as pa
from pyarrow import parquet

from core.datasets.formats import packing, refusals
from core.datasets.formats.records import ObjectRecord, Objects
from core.datasets.formats.refusals import MAX_COLUMNS, MAX_RECORD_BYTES, MAX_ROWS
from core.errors import Invalid

# a batch whose every row is as long as a row may be takes this many MiB
_ROWS_PER_BATCH: Final = 64
_MAX_TEXT_BYTES: Final = 8 * 1024**3
_BROKEN: Final = (pa.ArrowException, OSError, ValueError, TypeError, KeyError)


def open_objects(stream: BinaryIO) -> Objects:
    pa.set_cpu_count(1)
    file = packing.on_disk(stream)
    try:
        found = parquet.ParquetFile(file, pre_buffer=False, thrift_string_size_limit=2**20 * 64)
        metadata = found.metadata
    except MemoryError:
        raise
    except _BROKEN as error:
        raise _broken(error) from error
    if metadata.num_rows > MAX_ROWS:
        raise refusals.too_many_rows(MAX_ROWS + 1)
    if len(found.schema_arrow) > MAX_COLUMNS:
        raise refusals.too_many_columns(1, len(found.schema_arrow))
    groups = [metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)]
    if sum(groups) > _MAX_TEXT_BYTES:
        raise refusals.refuse(
            "unpacked_too_large",
            cause=f"Unpacked, the file has more than {_MAX_TEXT_BYTES:,} bytes.",
            fix="Split it, or keep only the columns that are to be learned.",
        )
    records = _Records(found)
    return Objects(records.read(), lambda: records.num_bytes)


class _Records:
    def __init__(self, file: parquet.ParquetFile) -> None:
        self._file = file
        self.num_bytes = 0

    def read(self) -> Iterator[ObjectRecord]:
        row = 0
        try:
            for batch in self._file.iter_batches(batch_size=_ROWS_PER_BATCH, use_threads=False):
                self.num_bytes += batch.nbytes
                if batch.nbytes > batch.num_rows * MAX_RECORD_BYTES:
                    raise refusals.line_too_long(row + 1)
                for values in batch.to_pylist():
                    row += 1
                    yield ObjectRecord(row, {name: _plain(value) for name, value in values.items()})
        except Invalid:
            raise
        except MemoryError:
            raise
        except _BROKEN as error:
            raise _broken(error, row + 1) from error


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - whatever a Parquet file may hold
    """As JSON would have it. Bytes that are no text, such as a picture's, are nothing that could be learned."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | timedelta) else value


def _broken(error: Exception, row: int | None = None) -> Invalid:
    return refusals.refuse(
        "parquet_broken",
        row=row,
        cause=f"The Parquet file is damaged or was cut off ({refusals.quoted(str(error))}).",
        fix="Write it again and upload that.",
    )
