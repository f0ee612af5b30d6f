"""The mappings that a workspace chose, by the names of the columns: proposed when the same columns come again."""

import json
from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.datasets.models import ColumnMapping
from core.datasets.repository import ColumnMappingRepository
from core.datasets.types import Mapping
from core.errors import NotFound
from core.kit.hashing import sha256_bytes
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.workspaces.principal import Principal


def recall(session: Session, *, workspace_id: str, columns: Sequence[str]) -> ColumnMapping | None:
    """What was chosen last for these columns, in whatever order they stand."""
    return ColumnMappingRepository(session, workspace_id).of_columns(_digest(columns))


def remember(session: Session, *, principal: Principal, columns: Sequence[str], mapping: Mapping) -> None:
    """In place of what was remembered for these columns."""
    kept = ColumnMappingRepository(session, principal.workspace_id).put(
        new_id("cmap_"),
        created_by=principal.user_id,
        columns=sorted(columns),
        columns_sha256=_digest(columns),
        mapping=mapping.dump(),
    )
    audit.record(session, principal=principal, action="column_mapping.remembered", target_id=kept)


def list_remembered(session: Session, *, workspace_id: str, page: PageRequest) -> Page[ColumnMapping]:
    """Newest first."""
    return ColumnMappingRepository(session, workspace_id).page(page)


def forget(session: Session, *, principal: Principal, column_mapping_id: str) -> None:
    """Propose again what the columns themselves suggest. Raises NotFound."""
    if not ColumnMappingRepository(session, principal.workspace_id).delete(column_mapping_id):
        raise NotFound(
            f"There is no column mapping {column_mapping_id} in this workspace. It may have been forgotten already.",
            code="column_mapping_not_found",
            param="column_mapping_id",
        )
    audit.record(session, principal=principal, action="column_mapping.forgotten", target_id=column_mapping_id)


def _digest(columns: Sequence[str]) -> str:
    return sha256_bytes(json.dumps(sorted(columns)).encode())
