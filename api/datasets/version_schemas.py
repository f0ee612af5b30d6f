from typing import Literal

from pydantic import Field

from api.datasets.schemas import DatasetVersionBody, RowBody, row_body, version_body
from api.pagination import ListBody
from api.schemas import RequestBody, ResponseBody
from core.datasets.changes import Change
from core.datasets.types import RowContent
from core.datasets.versions.diff import Diff, DiffKind
from core.datasets.versions.drafts import Draft
from core.datasets.versions.service import MAX_CHANGES, PastVersion
from core.kit.clock import unix_s


class NewChanges(RequestBody):
    changes: list[Change] = Field(min_length=1, max_length=MAX_CHANGES, description="Done in this order.")


class NewDraftChange(RequestBody):
    version_id: str = Field(description="The version that was looked at; it must still be the newest.")
    change: Change
    seen: RowContent | None = Field(
        None,
        description="Of an edit: what the row held, with the draft, when it was looked at. If it holds something else "
        "by now, the edit is refused (`row_changed`).",
    )


class PastVersionBody(DatasetVersionBody):
    created_by_name: str | None = Field(description="Null for a service.")


class RowDiffBody(ResponseBody):
    id: str
    object: Literal["row_diff"] = "row_diff"
    number: int
    kind: DiffKind
    before: RowBody | None
    after: RowBody | None


class DiffBody(ListBody[RowDiffBody]):
    before: DatasetVersionBody
    after: DatasetVersionBody
    counts: dict[DiffKind, int] = Field(description="Of all rows that differ, on all pages.")


class DraftChangeBody(ResponseBody):
    change: Change
    created_by_name: str | None
    created_at: int


class DraftBody(ResponseBody):
    object: Literal["dataset_draft"] = "dataset_draft"
    dataset_id: str
    version_id: str | None = Field(description="What the changes were made on; of an empty draft, the newest version.")
    is_stale: bool = Field(description="Another version came in between: the draft can only be discarded.")
    changes: list[DraftChangeBody]


class DeletedDraftBody(ResponseBody):
    dataset_id: str
    object: Literal["dataset_draft"] = "dataset_draft"
    deleted: Literal[True] = True


def past_version_body(past: PastVersion) -> PastVersionBody:
    return PastVersionBody(**version_body(past.details).model_dump(), created_by_name=past.created_by_name)


def diff_body(diff: Diff) -> DiffBody:
    data = [
        RowDiffBody(
            id=f"{diff.after.version.id}.{one.number}",
            number=one.number,
            kind=one.kind,
            before=None if one.before is None else row_body(one.before, version_id=diff.before.version.id),
            after=None if one.after is None else row_body(one.after, version_id=diff.after.version.id),
        )
        for one in diff.rows
    ]
    return DiffBody(
        data=data,
        has_more=diff.has_more,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        before=version_body(diff.before),
        after=version_body(diff.after),
        counts=diff.counts,
    )


def draft_body(draft: Draft) -> DraftBody:
    return DraftBody(
        dataset_id=draft.dataset_id,
        version_id=draft.version_id,
        is_stale=draft.is_stale,
        changes=[
            DraftChangeBody(
                change=entry.change, created_by_name=entry.created_by_name, created_at=unix_s(entry.created_at)
            )
            for entry in draft.entries
        ],
    )
