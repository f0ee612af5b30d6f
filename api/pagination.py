"""Lists on the wire, as the OpenAI clients page them: `after` is the id of the last thing seen."""

from collections.abc import Callable
from typing import Annotated, Generic, Literal, Protocol, TypeVar

from fastapi import Depends, Query

from api.schemas import ResponseBody
from core.kit.pagination import MAX_LIMIT, Page, PageRequest


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Data = TypeVar("Data")
Item = TypeVar("Item", bound=_HasId)
Source = TypeVar("Source")


class ListBody(ResponseBody, Generic[Data]):
    object: Literal["list"] = "list"
    data: list[Data]
    has_more: bool
    first_id: str | None
    last_id: str | None


# quoted: pydantic would build a model of the bound, which is a protocol
def list_body(page: Page[Source], to_item: Callable[[Source], Item]) -> "ListBody[Item]":
    data = [to_item(item) for item in page.items]
    return ListBody(
        data=data,
        has_more=page.has_more,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
    )


async def _page_request(
    after: Annotated[str | None, Query(description="Id of the last item of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 20,
) -> PageRequest:
    return PageRequest(after=after, limit=limit)


PageDep = Annotated[PageRequest, Depends(_page_request)]
