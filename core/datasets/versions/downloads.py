"""A version as one file, row after row, in constant memory: for spreadsheets, for OpenAI, for everything else."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

import orjson

from core.backends.blobs import BlobStore
from core.datasets import service as datasets
from core.datasets.artifacts import VersionArtifact
from core.datasets.ingest_files import IngestedRow
from core.datasets.models import DatasetVersion
from core.datasets.repository import DatasetRepository
from core.datasets.table.repository import RowRepository, Snapshot
from core.datasets.types import Message, RowKind, Split
from core.datasets.versions import workbook
from core.datasets.versions.derivation import row_of
from core.db.session import Database, workspace_scope
from core.errors import Conflict

_ROWS_PER_CHUNK = 1000
# what a spreadsheet takes for a formula, and would run
_FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")
_ABOUT = ("number", "split", "tags", "num_tokens", "problems")
_TEXTS: dict[RowKind, tuple[str, ...]] = {
    RowKind.CHAT: ("system", "question", "answer", "conversation"),
    RowKind.PREFERENCE: ("prompt", "chosen", "rejected"),
    RowKind.TEXT: ("text",),
}


class DownloadFormat(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    # OpenAI's lines
    JSONL = "jsonl"
    # as it is kept: every row, with what is known of it
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Download:
    name: str
    media_type: str
    chunks: Iterator[bytes]


_MEDIA_TYPES = {
    DownloadFormat.CSV: "text/csv; charset=utf-8",
    DownloadFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    DownloadFormat.JSONL: "application/jsonl",
    DownloadFormat.PARQUET: "application/vnd.apache.parquet",
}


def open_version(
    database: Database,
    *,
    workspace_id: str,
    version_id: str,
    file_format: DownloadFormat,
    split: Split | None,
    blobs: BlobStore,
) -> Download:
    """Raises Conflict for a version that is not ready, or that is too old to lie as Parquet."""
    with database.session(workspace_scope(workspace_id)) as session:
        version = datasets.ready_version(session, workspace_id, version_id)
        dataset = DatasetRepository(session, workspace_id).get(version.dataset_id)
        artifact = version.artifact
    plain = "".join(char for char in dataset.name if char.isalnum() or char in " -_").strip() if dataset else ""
    name = f"{plain or 'examples'} v{version.number}.{file_format.value}"
    if file_format is DownloadFormat.XLSX:
        cells = ([_about(row) + _texts(row) for row in rows] for rows in _chunks(database, version, split))
        chunks = workbook.written([*_ABOUT, *_TEXTS[version.kind]], chain.from_iterable(cells))
    elif file_format is not DownloadFormat.PARQUET:
        chunks = _written(database, version, file_format=file_format, split=split)
    elif artifact is None:
        raise Conflict(
            "This version was made before versions were kept as Parquet. Download it as CSV or JSON lines.",
            code="dataset_version_without_files",
        )
    else:
        chunks = blobs.read_chunks(VersionArtifact.model_validate(artifact).files[0].key)
    return Download(name, _MEDIA_TYPES[file_format], chunks)


def _written(
    database: Database, version: DatasetVersion, *, file_format: DownloadFormat, split: Split | None
) -> Iterator[bytes]:
    """The rows of a ready version as CSV or JSON lines: of a split, or all that can be learned from."""
    write = _csv_writer(version.kind) if file_format is DownloadFormat.CSV else _openai_lines
    yield write(None)
    for rows in _chunks(database, version, split):
        yield write(rows)


def _chunks(database: Database, version: DatasetVersion, split: Split | None) -> Iterator[list[IngestedRow]]:
    """A thousand rows at a time, each in a transaction of its own: whoever reads slowly holds nothing."""
    after_number = 0
    while True:
        with database.session(workspace_scope(version.workspace_id)) as session:
            repository = RowRepository(session, version.workspace_id)
            found = repository.some(Snapshot.of(version), after_number=after_number, limit=_ROWS_PER_CHUNK)
        if not found:
            return
        after_number = found[-1]["number"]
        rows = [row_of(values) for values in found]
        yield [row for row in rows if (row.split is split if split else row.split is not Split.LEFT_OUT)]


def _openai_lines(rows: list[IngestedRow] | None) -> bytes:
    return b"".join(orjson.dumps(_openai_line(row), option=orjson.OPT_APPEND_NEWLINE) for row in rows or [])


def _openai_line(row: IngestedRow) -> dict[str, Any]:
    content = row.dump_content()
    if row.kind is not RowKind.PREFERENCE:
        return content
    asked = {"messages": row.messages} | ({"tools": row.tools} if row.tools else {})
    return {"input": asked, "preferred_output": row.chosen, "non_preferred_output": row.rejected}


def _csv_writer(kind: RowKind) -> Callable[[list[IngestedRow] | None], bytes]:
    def write(rows: list[IngestedRow] | None) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        if rows is None:
            # by this mark spreadsheets know that it is UTF-8
            out.write("\ufeff")
            writer.writerow([*_ABOUT, *_TEXTS[kind]])
        for row in rows or []:
            writer.writerow([_safe(cell) for cell in (*_about(row), *_texts(row))])
        return out.getvalue().encode()

    return write


def _about(row: IngestedRow) -> list[str]:
    return [
        str(row.number),
        row.split.value,
        ", ".join(row.tags),
        str(row.num_tokens or ""),
        ", ".join(problem.code for problem in row.problems),
    ]


def _texts(row: IngestedRow) -> list[str]:
    if row.text is not None:
        return [row.text]
    if row.chosen is not None and row.rejected is not None:
        return [_said(row.messages), _said(row.chosen), _said(row.rejected)]
    system = [message for message in row.messages if message["role"] == "system"]
    turns = row.messages[len(system) :]
    is_plain = [message["role"] for message in turns] == ["user", "assistant"] and not row.tools
    if is_plain and not any(message.get("tool_calls") for message in turns):
        return [_said(system) if system else "", _said(turns[:1]), _said(turns[1:]), ""]
    return ["", "", "", _json(row.dump_content())]


def _said(messages: list[Message]) -> str:
    if len(messages) == 1 and not messages[0].get("tool_calls"):
        return messages[0]["content"] or ""
    return _json(messages)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _safe(cell: str) -> str:
    """A cell that would be a formula is a text: the quotation mark before it is what spreadsheets write themselves."""
    return f"'{cell}" if cell.startswith(_FORMULA_BEGINNINGS) else cell
