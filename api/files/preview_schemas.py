from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.datasets.preview import Preview
from core.datasets.types import Column, Mapping, Problem, RowKind, SampleRow, Shape, Speaker


class NewPreview(RequestBody):
    mapping: Mapping | None = Field(
        None, description="When absent, what the workspace chose for the same columns before, else what is suggested."
    )


class FilePreviewBody(ResponseBody):
    """The first rows of a file under a mapping. What was looked at is counted, not the whole file."""

    object: Literal["file_preview"] = "file_preview"
    file_id: str
    kind: RowKind
    shape: Shape
    sheets: list[str] = Field(description="Of a workbook, the first thousand that can be chosen.")
    sheet: str | None = Field(description="The one that was looked at.")
    columns: list[Column] = Field(description="Of this sheet or file; none where every row says what it is.")
    mapping: Mapping | None = Field(description="That was used; null where none is needed, or none is complete.")
    remembered_mapping_id: str | None = Field(description="Of what was used, if the workspace chose it before.")
    num_records: int = Field(description="Rows of the file that were looked at.")
    num_rows: int = Field(description="Examples that they make, those with an error too.")
    num_problems: int
    is_complete: bool = Field(description="Whether this is all of the file.")
    sample: list[SampleRow]
    problems: list[Problem]
    speakers: list[Speaker] = Field(description="Who speaks, where rows are messages; the most frequent first.")


def preview_body(preview: Preview) -> FilePreviewBody:
    found = preview.found
    return FilePreviewBody(
        file_id=preview.file.id,
        kind=found.kind,
        shape=found.shape or Shape.TABLE,
        sheets=found.sheets,
        sheet=found.sheet,
        columns=found.columns,
        mapping=found.mapping,
        remembered_mapping_id=preview.remembered_id,
        num_records=found.num_records or found.num_rows,
        num_rows=found.num_rows,
        num_problems=found.num_problems,
        is_complete=found.is_complete,
        sample=found.sample,
        problems=found.problems,
        speakers=found.speakers,
    )
