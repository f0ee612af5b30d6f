"""The rows of a version: pages and windows of them, filtered, searched and sorted."""

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.datasets.routes import ReaderDep
from api.datasets.row_schemas import RowNumbersBody, RowPlaceBody, RowTagBody, RowTagsBody
from api.datasets.schemas import RowBody, RowListBody, number_of_row, row_body
from api.dependencies import SessionDep
from api.pagination import PageDep, list_body
from api.retries import RetriedRoute
from core.datasets import row_views
from core.datasets.changes import MAX_NUMBERS
from core.datasets.table.query import RowQuery
from core.datasets.types import RowFilter, RowOrder
from core.datasets.versions import drafts
from core.kit.pagination import Page

router = APIRouter(tags=["datasets"], route_class=RetriedRoute)

_MAX_OFFSET = 10_000_000
_MAX_TOKENS = 2**31


async def _wanted(
    page: PageDep,
    row_filter: Annotated[RowFilter, Query(alias="filter")] = RowFilter.ALL,
    finding: Annotated[str | None, Query(max_length=60, description="The code of a finding that a row has.")] = None,
    tag: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[str | None, Query(max_length=200, description="Words that a row or its problem holds.")] = None,
    min_tokens: Annotated[int | None, Query(ge=0, le=_MAX_TOKENS)] = None,
    max_tokens: Annotated[int | None, Query(ge=0, le=_MAX_TOKENS)] = None,
    order: Annotated[RowOrder, Query(description="`-` is from the end.")] = RowOrder.NUMBER,
    offset: Annotated[
        int, Query(ge=0, le=_MAX_OFFSET, description="How many matching rows to skip; a jump in a long list.")
    ] = 0,
) -> RowQuery:
    return RowQuery(
        row_filter=row_filter,
        finding=finding,
        tag=tag,
        search=q,
        min_tokens=min_tokens,
        max_tokens=max_tokens,
        order=order,
        after_number=number_of_row(page.after),
        offset=offset,
        limit=page.limit,
    )


WantedDep = Annotated[RowQuery, Depends(_wanted)]
DraftQuery = Annotated[bool, Query(description="Show rows as the changes that are not saved would make them.")]


@router.get("/v1/dataset_versions/{version_id}/rows")
def list_rows(
    version_id: str,
    principal: ReaderDep,
    session: SessionDep,
    wanted: WantedDep,
    *,
    draft: DraftQuery = False,
) -> RowListBody:
    """The examples, in the file's order unless another is asked for.

    What matches, and in which order it comes, is by what is saved, with `draft` too.
    """
    workspace_id = principal.workspace_id
    found = row_views.list_rows(session, workspace_id=workspace_id, version_id=version_id, wanted=wanted)
    to_body = partial(row_body, version_id=version_id)
    if draft:
        rows = drafts.applied(session, workspace_id=workspace_id, version_id=version_id, found=found.page.items)
        listed = list_body(Page(items=rows, has_more=found.page.has_more), to_body)
    else:
        listed = list_body(found.page, to_body)
    return RowListBody(
        data=listed.data,
        has_more=listed.has_more,
        first_id=listed.first_id,
        last_id=listed.last_id,
        total=found.total,
    )


@router.get("/v1/dataset_versions/{version_id}/rows/{number}")
def get_row(
    version_id: str, number: int, principal: ReaderDep, session: SessionDep, *, draft: DraftQuery = False
) -> RowBody:
    workspace_id = principal.workspace_id
    row = row_views.get_row(session, workspace_id=workspace_id, version_id=version_id, number=number)
    if not draft:
        return row_body(row, version_id=version_id)
    changed = drafts.applied(session, workspace_id=workspace_id, version_id=version_id, found=[row])
    return row_body(changed[0], version_id=version_id)


@router.get("/v1/dataset_versions/{version_id}/rows/{number}/place")
def get_place_of_row(
    version_id: str, number: int, principal: ReaderDep, session: SessionDep, wanted: WantedDep
) -> RowPlaceBody:
    """Where a row stands among those that match, in the order that is asked for: the `offset` of a page with it."""
    place = row_views.place_of_row(
        session, workspace_id=principal.workspace_id, version_id=version_id, number=number, wanted=wanted
    )
    return RowPlaceBody(number=number, place=place)


@router.get("/v1/dataset_versions/{version_id}/row_numbers")
def list_row_numbers(version_id: str, principal: ReaderDep, session: SessionDep, wanted: WantedDep) -> RowNumbersBody:
    """The numbers of all rows that match, so that something can be done to them at once; the first 10,000."""
    found = row_views.list_numbers(
        session,
        workspace_id=principal.workspace_id,
        version_id=version_id,
        wanted=replace(wanted, limit=MAX_NUMBERS),
    )
    return RowNumbersBody(numbers=list(found.items), has_more=found.has_more)


@router.get("/v1/dataset_versions/{version_id}/tags")
def list_row_tags(version_id: str, principal: ReaderDep, session: SessionDep) -> RowTagsBody:
    """The hundred most frequent tags and how many rows have each."""
    found = row_views.list_tags(session, workspace_id=principal.workspace_id, version_id=version_id)
    return RowTagsBody(tags=[RowTagBody(tag=tag, num_rows=num_rows) for tag, num_rows in found.items()])
