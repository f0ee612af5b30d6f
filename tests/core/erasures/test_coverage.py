"""No word of a person is kept where an erasure does not look, unless it is said why."""

from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute

from core.adapters.models import Adapter
from core.erasures.coverage import KEPT, NAMED, NOT_LOOKED_INTO, is_id_or_code, treatments
from core.erasures.masks import Under
from core.erasures.types import COUNTS
from core.model_imports.lineage import ImportLineage, SourceFile
from core.model_imports.models import ModelImport
from core.tables import metadata
from core.training.models import Run
from core.training.request import RunRequest
from core.training.spec import TrainingSpec

TABLES = sorted(metadata.tables.values(), key=lambda table: table.name)
TREATED = treatments()
REASONS = [name for names in NOT_LOOKED_INTO.values() for name in names]


def can_hold_words(column: Column[object]) -> bool:
    return isinstance(column.type, Text | JSONB) and not is_id_or_code(column)


def name_of(column: Column[object]) -> str:
    return f"{column.table.name}.{column.name}"


def columns_of(table: Table) -> list[Column[object]]:
    return [column for column in table.columns if can_hold_words(column)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_of_words_is_looked_into_or_it_is_said_why_not(table: Table) -> None:
    if table.name in REASONS:
        return
    missing = [name for name in map(name_of, columns_of(table)) if name not in TREATED and name not in REASONS]
    assert missing == [], (
        "When a person is forgotten, nobody looks for their words here. In core/erasures/coverage.py, enter each in "
        "KEPT (its words are taken out, or its row goes) or in NAMED (somebody must change it by hand); or, if nobody "
        "can write a person's words into it, in NOT_LOOKED_INTO under the reason."
    )


def test_every_type_that_holds_words_is_known() -> None:
    """A column of another type, such as an array of texts, would be walked past."""
    known = {"EnumText", "Text", "JSONB", "BigInteger", "Double", "DateTime", "Boolean"}
    types = {type(column.type).__name__ for table in TABLES for column in table.columns}
    assert types <= known, "say in can_hold_words whether somebody's words can stand in it"


def test_what_is_entered_is_there_and_entered_once() -> None:
    columns = {name_of(column): column for table in TABLES for column in table.columns}
    assert set(TREATED) <= set(columns)
    assert set(REASONS) - set(columns) <= set(metadata.tables)
    assert len(set(REASONS)) == len(REASONS)
    treated_tables = {name.partition(".")[0] for name in TREATED}
    assert set(REASONS) & (set(TREATED) | treated_tables) == set()
    # what needs no reason has none, so that each that is read here is meant
    assert [name for name in REASONS if name in columns and is_id_or_code(columns[name])] == []


@pytest.mark.parametrize(
    ("column", "model", "ours"),
    [
        (
            Run.request,
            RunRequest,
            {"model", "dataset_version_id", "training_file", "validation_dataset_version_id", "validation_file"},
        ),
        (Run.spec, TrainingSpec, {"base_model"}),
        (Adapter.lineage, ImportLineage, {"import_id", "file_id", "sha256", "config_sha256", "weights_sha256"}),
        (ModelImport.files, SourceFile, {"file_id", "sha256"}),
    ],
    ids=lambda one: getattr(one, "key", ""),
)
def test_of_a_column_that_is_looked_into_by_name_every_text_has_its_name(
    column: InstrumentedAttribute[Any], model: type[BaseModel], ours: set[str]
) -> None:
    [mask] = [mask for kept in KEPT for one, mask in kept.words if one is column]
    assert isinstance(mask, Under)
    assert texts_of(model.model_json_schema()) - mask.by_name.keys() == ours, (
        "Enter the name in the mask of this column in core/erasures/coverage.py, or here if nobody can write a "
        "person's words under it."
    )


def texts_of(schema: object, name: str = "") -> set[str]:
    """The names in a JSON schema under which any text may stand."""
    if isinstance(schema, list):
        return {found for one in schema for found in texts_of(one, name)}
    if not isinstance(schema, dict):
        return set()
    is_text = schema.get("type") == "string" and not schema.keys() & {"enum", "const", "format"}
    found = {name} if is_text else set()
    named = {**schema.get("properties", {}), **schema.get("$defs", {})}
    for inner, part in named.items():
        found |= texts_of(part, inner)
    for key in ("anyOf", "oneOf", "allOf", "items", "prefixItems", "additionalProperties"):
        found |= texts_of(schema.get(key), name)
    return found


def test_a_column_that_nobody_entered_is_noticed() -> None:
    table = Table("diaries", metadata.__class__(), Column("id", Text), Column("entry", Text), Column("tags", JSONB))
    assert [name_of(column) for column in columns_of(table)] == ["diaries.entry", "diaries.tags"]


def test_what_is_found_is_counted_by_a_name_that_the_preview_has() -> None:
    assert {kept.counted_as for kept in KEPT} - {None} == set(COUNTS) - {"num_preferences", "num_drafts"}
    assert len({named.kind for named in NAMED}) == len(NAMED)
