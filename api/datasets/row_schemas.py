from typing import Literal

from pydantic import Field

from api.schemas import ResponseBody


class RowPlaceBody(ResponseBody):
    object: Literal["row_place"] = "row_place"
    number: int
    place: int = Field(description="How many rows come before it; if it does not match, before where it would stand.")


class RowNumbersBody(ResponseBody):
    object: Literal["row_numbers"] = "row_numbers"
    numbers: list[int] = Field(description="In the file's order.")
    has_more: bool = Field(description="More match than are named.")


class RowTagBody(ResponseBody):
    tag: str
    num_rows: int


class RowTagsBody(ResponseBody):
    object: Literal["row_tags"] = "row_tags"
    tags: list[RowTagBody]
