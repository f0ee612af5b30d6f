from typing import Literal

from api.schemas import ResponseBody
from core.datasets.models import ColumnMapping
from core.datasets.types import Mapping
from core.kit.clock import unix_s


class ColumnMappingBody(ResponseBody):
    """A mapping that the workspace chose, proposed when a file comes with the same columns."""

    id: str
    object: Literal["column_mapping"] = "column_mapping"
    created_at: int
    updated_at: int
    columns: list[str]
    mapping: Mapping


class DeletedColumnMappingBody(ResponseBody):
    id: str
    object: Literal["column_mapping"] = "column_mapping"
    deleted: Literal[True] = True


def column_mapping_body(kept: ColumnMapping) -> ColumnMappingBody:
    return ColumnMappingBody(
        id=kept.id,
        created_at=unix_s(kept.created_at),
        updated_at=unix_s(kept.updated_at),
        columns=kept.columns,
        mapping=Mapping.model_validate(kept.mapping),
    )
