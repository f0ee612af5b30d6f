"""Rows as Parquet: for good in the object store, and for whoever downloads them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.datasets.ingest_files import IngestedRow
from core.datasets.types import Message

# a row may have a mebibyte, so a group of rows is bounded by bytes too
_MAX_GROUP_ROWS = 10_000
_MAX_GROUP_BYTES = 32 * 1024 * 1024

_MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.string()),
            ("weight", pa.float64()),
            ("name", pa.string()),
            # JSON: every function has arguments of its own
            ("tool_calls", pa.string()),
            ("tool_call_id", pa.string()),
        ]
    )
)
SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("split", pa.string()),
        ("messages", _MESSAGES),
        ("tools", pa.string()),
        ("chosen", _MESSAGES),
        ("rejected", _MESSAGES),
        ("text", pa.string()),
        ("num_tokens", pa.int64()),
        ("problems", pa.string()),
        ("is_edited", pa.bool_()),
        ("excluded_from", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("time", pa.float64()),
    ]
)


def write_parquet(rows: Path, out: Path) -> None:
    """From lines of rows, a group of rows in memory at a time."""
    with rows.open("rb") as lines, pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        for group in _groups(lines):
            table = pa.Table.from_pylist([_values(IngestedRow.model_validate_json(line)) for line in group], SCHEMA)
            writer.write_table(table)


def _groups(lines: Iterator[bytes]) -> Iterator[Sequence[bytes]]:
    group: list[bytes] = []
    num_bytes = 0
    for line in lines:
        group.append(line)
        num_bytes += len(line)
        if len(group) >= _MAX_GROUP_ROWS or num_bytes >= _MAX_GROUP_BYTES:
            yield group
            group, num_bytes = [], 0
    if group:
        yield group


def _values(row: IngestedRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "split": row.split.value,
        "messages": _messages(row.messages),
        "tools": _json(row.tools),
        "chosen": _messages(row.chosen),
        "rejected": _messages(row.rejected),
        "text": row.text,
        "num_tokens": row.num_tokens,
        "problems": _json([problem.model_dump(mode="json") for problem in row.problems] or None),
        "is_edited": row.is_edited,
        "excluded_from": None if row.excluded_from is None else row.excluded_from.value,
        "tags": row.tags,
        "time": row.time,
    }


def _messages(messages: list[Message] | None) -> list[dict[str, Any]] | None:
    if messages is None:
        return None
    return [dict(message) | {"tool_calls": _json(message.get("tool_calls"))} for message in messages]


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
