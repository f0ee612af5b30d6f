from collections.abc import Mapping as Map
from typing import Any, Literal

from pydantic import Field

from api.pagination import ListBody
from api.schemas import RequestBody, ResponseBody
from core.datasets.changes import CHANGE, Change
from core.datasets.health import KEEPABLE
from core.datasets.ingest_files import IngestedRow
from core.datasets.models import Row
from core.datasets.service import DatasetDetails, VersionDetails
from core.datasets.types import Finding, Health, Kept, Mapping, Message, Problem, RowKind, Share, Split, VersionStatus
from core.kit.clock import unix_s


class NewDataset(RequestBody):
    file_id: str
    name: str | None = Field(None, description="The file's name when absent.")
    mapping: Mapping | None = Field(None, description="The suggested columns when absent.")


class DatasetChanges(RequestBody):
    name: str


class NewVersion(RequestBody):
    mapping: Mapping


class VersionErrorBody(ResponseBody):
    code: str
    message: str


class KeptBody(ResponseBody):
    ground: str
    kept_by_name: str | None = Field(description="Null for a service.")
    kept_at: int
    is_carried_over: bool = Field(description="Decided of an earlier version, of which this one was made.")


class FindingBody(Finding):
    """What was found in some rows of a version, or in all of them together."""

    model_config = ResponseBody.model_config

    can_be_kept: bool = Field(description="Personal data or secrets, of which somebody may decide that they stay.")
    kept: KeptBody | None = Field(description="By whom, when and why it was decided that they stay in this version.")


class HealthBody(ResponseBody):
    """What was found, worst first; and two pictures of the whole."""

    findings: list[FindingBody]
    answer_lengths: list[Share] = Field(description="How many answers, of plain text rows, have how many characters.")
    languages: list[Share] = Field(description="Of at most 2,000 rows, those whose language is clear; most first.")


class DatasetVersionBody(ResponseBody):
    """Counts are 0 and sums are missing until the status is `ready`."""

    id: str
    object: Literal["dataset_version"] = "dataset_version"
    dataset_id: str
    number: int
    kind: RowKind = Field(description="What every row holds: a conversation, a preference, or plain text.")
    status: VersionStatus
    created_at: int
    parent_id: str | None = Field(description="The version that was changed; null for one that was read from the file.")
    changes: list[Change] | None = Field(description="What was done to the parent, in this order.")
    num_changed: int = Field(description="Rows that differ from the parent's.")
    mapping: Mapping | None
    num_rows: int = Field(description="Rows that can be learned from: `num_train` and `num_heldout`.")
    num_train: int
    num_heldout: int
    num_visible: int = Field(description="All rows, with those that are left out or excluded.")
    num_dated: int = Field(description="Rows that can be learned from and whose time is known.")
    num_problems: int
    num_erased: int = Field(description="Rows that were removed since, because a person was in them.")
    num_tokens: int
    max_row_tokens: int
    content_sha256: str | None
    health: HealthBody
    problems: list[Problem] = Field(description="The first hundred; the rows have them all.")
    error: VersionErrorBody | None
    job_id: str
    progress: float = Field(description="0 to 1.")


class DatasetBody(ResponseBody):
    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    created_at: int
    file_id: str
    latest_version: DatasetVersionBody


class DeletedDatasetBody(ResponseBody):
    id: str
    object: Literal["dataset"] = "dataset"
    deleted: Literal[True] = True


class RowBody(ResponseBody):
    id: str
    object: Literal["row"] = "row"
    number: int = Field(description="As in the file: in a table the header is row 1.")
    split: Split
    messages: list[Message] = Field(description="A conversation; of a preference, what was said before the answers.")
    tools: list[dict[str, Any]] | None = Field(description="The functions that the assistant could call.")
    chosen: list[Message] | None = Field(description="Of a preference, the answer that was preferred.")
    rejected: list[Message] | None = Field(description="Of a preference, the answer that was not.")
    text: str | None = Field(description="Of plain text, all of the row.")
    num_tokens: int
    problems: list[Problem] = Field(description="Everything that was found in it.")
    is_edited: bool = Field(description="Somebody changed what it holds since the file was read.")
    is_excluded: bool = Field(description="Somebody left it out; it can be included again.")
    tags: list[str]
    time: float | None = Field(description="When it was said, in seconds since 1970, if the file tells it.")


class RowListBody(ListBody[RowBody]):
    total: int | None = Field(description="Rows that match, on all pages; null for a search, where nobody counts.")


def dataset_body(details: DatasetDetails) -> DatasetBody:
    dataset = details.dataset
    return DatasetBody(
        id=dataset.id,
        name=dataset.name,
        created_at=unix_s(dataset.created_at),
        file_id=dataset.file_id,
        latest_version=version_body(details.latest),
    )


def version_body(details: VersionDetails) -> DatasetVersionBody:
    version = details.version
    return DatasetVersionBody(
        id=version.id,
        dataset_id=version.dataset_id,
        number=version.number,
        kind=version.kind,
        status=version.status,
        created_at=unix_s(version.created_at),
        parent_id=version.parent_id,
        changes=None if version.changes is None else [CHANGE.validate_python(change) for change in version.changes],
        num_changed=version.num_changed or 0,
        mapping=None if version.mapping is None else Mapping.model_validate(version.mapping),
        num_rows=version.num_rows or 0,
        num_train=version.num_train or 0,
        num_heldout=version.num_heldout or 0,
        num_visible=version.num_visible or 0,
        num_dated=version.num_dated or 0,
        num_problems=version.num_problems or 0,
        num_erased=version.num_erased,
        num_tokens=version.num_tokens or 0,
        max_row_tokens=version.max_row_tokens or 0,
        content_sha256=version.content_sha256,
        health=_health_body(Health.model_validate(version.health or {}), details.kept),
        problems=[Problem.model_validate(problem) for problem in version.problems or []],
        error=None
        if version.error is None
        else VersionErrorBody(code=version.error["code"], message=version.error["message"]),
        job_id=version.job_id,
        progress=details.progress,
    )


def _health_body(health: Health, kept: Map[str, Kept]) -> HealthBody:
    findings = [
        FindingBody(
            **finding.model_dump(), can_be_kept=finding.code in KEEPABLE, kept=_kept_body(kept.get(finding.code))
        )
        for finding in health.findings
    ]
    return HealthBody(findings=findings, answer_lengths=health.answer_lengths, languages=health.languages)


def _kept_body(kept: Kept | None) -> KeptBody | None:
    if kept is None:
        return None
    return KeptBody(
        ground=kept.ground,
        kept_by_name=kept.kept_by_name,
        kept_at=unix_s(kept.kept_at),
        is_carried_over=kept.is_carried_over,
    )


def row_body(row: Row | IngestedRow, *, version_id: str) -> RowBody:
    return RowBody(
        id=f"{version_id}.{row.number}",
        number=row.number,
        split=row.split,
        messages=row.messages,
        tools=row.tools,
        chosen=row.chosen,
        rejected=row.rejected,
        text=row.text,
        num_tokens=row.num_tokens or 0,
        problems=[Problem.model_validate(problem) for problem in row.problems or []],
        is_edited=row.is_edited,
        is_excluded=row.excluded_from is not None,
        tags=row.tags or [],
        time=row.time,
    )


def number_of_row(row_id: str | None) -> int:
    """From an id made by `row_body`; 0, before the first row, for anything else."""
    number = (row_id or "").rpartition(".")[2]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0  # noqa: PLR2004 - a bigint holds it
