"""Changes are a closed set: what they do not know, or what is of another type, is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from core.datasets.changes import CHANGE

GOOD: list[dict[str, Any]] = [
    {"type": "edit_row", "number": 2, "content": {"text": "a"}},
    {"type": "exclude_rows", "numbers": [2]},
    {"type": "include_rows", "finding": "duplicate"},
    {"type": "tag_rows", "numbers": [2], "tag": "parking"},
    {"type": "untag_rows", "numbers": [2], "tag": "parking"},
    {"type": "apply_fix", "finding": "card_number"},
    {"type": "resplit", "strategy": "last", "fraction": 0.2},
    {"type": "resplit", "strategy": "by_time", "fraction": 0.2},
    {"type": "restore", "number": 1},
]


@pytest.mark.parametrize("change", GOOD, ids=lambda change: change["type"])
def test_each_is_taken_and_nothing_beside_it(change: dict[str, Any]) -> None:
    assert CHANGE.validate_python(change).model_dump(mode="json", exclude_unset=True) == change
    with pytest.raises(ValidationError):
        CHANGE.validate_python(change | {"workspace_id": "planted"})


@pytest.mark.parametrize(
    "change",
    [
        {"type": "exclude_rows"},
        {"type": "exclude_rows", "numbers": [2], "finding": "duplicate"},
        {"type": "exclude_rows", "numbers": []},
        {"type": "exclude_rows", "numbers": [0]},
        {"type": "exclude_rows", "numbers": [2**53 + 1]},
        {"type": "exclude_rows", "numbers": list(range(1, 10_002))},
        {"type": "tag_rows", "numbers": [2], "tag": " "},
        {"type": "tag_rows", "numbers": [2], "tag": "a\x00b"},
        {"type": "resplit", "strategy": "last", "fraction": 0.6},
        {"type": "resplit", "strategy": "by_luck"},
        {"type": "restore", "number": "one"},
        {"type": "edit_row", "number": 2, "content": {"text": "a", "planted": 1}},
        {"type": "drop_table"},
        {},
    ],
)  # fmt: skip
def test_what_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CHANGE.validate_python(change)
