"""docs/data.md shows every shape that is accepted; each example in it is read as its chapter says."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from core.datasets.inspection import inspect
from core.datasets.types import FileFormat, RowKind

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
CHAPTERS = {
    "Conversations": RowKind.CHAT,
    "Preferences": RowKind.PREFERENCE,
    "Plain text": RowKind.TEXT,
}


def examples() -> Iterator[tuple[RowKind, bytes]]:
    """Each example's kind, and it on one line."""
    for chapter in PAGE.read_text().split("\n## ")[1:]:
        kind = CHAPTERS.get(chapter.partition("\n")[0])
        for block in re.findall(r"```json\n(.*?)```", chapter, flags=re.DOTALL):
            lines = block.splitlines()
            is_one_a_line = all(line.startswith("{") and line.endswith("}") for line in lines)
            for example in lines if is_one_a_line else [block]:
                assert kind is not None
                yield kind, orjson.dumps(orjson.loads(example)) + b"\n"


@pytest.mark.parametrize(("kind", "line"), examples())
def test_an_example_is_read_as_its_chapter_says(kind: RowKind, line: bytes) -> None:
    found = inspect(io.BytesIO(line * 10), FileFormat.JSONL)
    assert (found.kind, found.num_problems) == (kind, 0)
    assert (found.mapping is None) is (found.columns == [])


def test_every_chapter_has_an_example() -> None:
    assert {kind for kind, _ in examples()} == set(RowKind)
