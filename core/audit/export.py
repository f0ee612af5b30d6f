"""The log as a file: CSV for a spreadsheet, JSON lines for a program. Both hold what it takes to verify the chain."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from enum import StrEnum
from typing import Any

from core.audit.models import AuditEvent
from core.audit.repository import AuditRepository
from core.audit.types import INSTALLATION, AuditFilter
from core.db.session import Database, Scope

_BATCH = 1000
_NO_END = 2**63 - 1
# with one of these at its beginning, a cell is a formula to a spreadsheet (OWASP: CSV injection)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_COLUMNS = (
    "sequence",
    "id",
    "created_at",
    "workspace_id",
    "actor_user_id",
    "actor_api_key_id",
    "actor_name",
    "action",
    "target_id",
    "request_id",
    "client_address",
    "user_agent",
    "details",
    "hash",
)


class ExportFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def export(
    database: Database, scope: Scope, *, chain_id: str, wanted: AuditFilter, file_format: ExportFormat
) -> Iterator[str]:
    """Newest first, in pieces. Reads a thousand events at a time, each in a session of its own, which may take long."""
    if file_format is ExportFormat.CSV:
        yield _csv_rows([_COLUMNS])
    before = _NO_END
    while True:
        with database.session(scope) as session:
            log = AuditRepository(session, None if chain_id == INSTALLATION else chain_id)
            events = log.batch(wanted, before=before, limit=_BATCH)
        if not events:
            return
        before = events[-1].sequence
        rows = [_fields(event) for event in events]
        if file_format is ExportFormat.JSONL:
            yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            yield _csv_rows([_cells(row) for row in rows])


def _fields(event: AuditEvent) -> dict[str, Any]:
    row = {name: getattr(event, name) for name in _COLUMNS}
    return row | {"created_at": event.created_at.astimezone(UTC).isoformat(timespec="microseconds")}


def _cells(row: dict[str, Any]) -> list[str]:
    row = row | {"details": json.dumps(row["details"], ensure_ascii=False, sort_keys=True)}
    return [_safe("" if row[name] is None else str(row[name])) for name in _COLUMNS]


def _safe(cell: str) -> str:
    # a space first is no help to a spreadsheet that strips it
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _csv_rows(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
