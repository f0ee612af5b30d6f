"""What is skimmed is answered as if every row had been looked at closely: the same counts, problems and refusals."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from core.datasets import examples
from core.datasets.examples import Table
from core.datasets.formats.records import Opened
from core.datasets.formats.registry import format_of
from core.datasets.inspection import inspect
from core.datasets.types import FileFormat, Mapping
from core.errors import Invalid
from tests.assets.bad_files import BAD_FILES, BadFile

SAMPLES = Path(__file__).parents[3] / "deploy" / "samples"
NUM_FILES = 30

USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be kind."}
HUMAN, GPT = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}
LINES: dict[str, dict[str, Any]] = {
    "chat": {"messages": [SYSTEM, USER, ASSISTANT]},
    "sharegpt": {"conversations": [HUMAN, GPT]},
    "text": {"text": "A text.", "id": 1},
    "preference": {"prompt": "Hi", "chosen": "Hello", "rejected": "What?"},
    "pairs": {"id": 7, "question": "Why?", "answer": "Because.", "note": None},
    "completion": {"prompt": "Why?", "completion": "Because."},
}
# what may stand anywhere in a line
ODD: tuple[Any, ...] = (
    "", " \r\n", "a\0b", "a\u2028b", "\u00e9", "\ud83d\ude00", None, True, 1, 1.5, -0.0, 10**30, [], {}, [[]],
    "x" * 3000, "user", "assistant", "system", "developer", "tool", "human", [USER, ASSISTANT], [HUMAN, GPT],
    {"role": []}, USER,
)  # fmt: skip
NAMES = (
    "messages", "conversations", "conversation", "tools", "functions", "weight", "name", "tool_calls", "function_call",
    "chosen", "rejected", "preferred_output", "prompt", "completion", "history", "text", "question", "answer", "from",
    "role", "value", "content", "instruction", "output", "",
)  # fmt: skip
BROKEN = (
    b"", b" ", b"\xc2\x85", b"\x1c", b"null", b"[]", b"{}", b'"a"', b"{", b'{"a":1}{"a":1}', b'{"a":NaN}',
    b'{"a":1e999}', b'{"question": "\\ud800", "answer": "b"}', b'{"a": "\xff"}', b"\xef\xbb\xbf{}", b'{"a": "\t"}',
    b'{"text": "a", }', b'{"text": "a\\u0000"}', b'{"text": "a", "text": 1}',
    b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", b"\0",
)  # fmt: skip


def outcome(content: bytes, file_format: FileFormat, mapping: Mapping | None = None) -> object:
    try:
        return inspect(io.BytesIO(content), file_format, mapping=mapping, reads_all=True).model_dump()
    except Invalid as refused:
        return refused.error_code, refused.message, refused.details


def looked_at_closely(content: bytes, file_format: FileFormat, mapping: Mapping | None = None) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "_soundness", lambda *_: None)
        return outcome(content, file_format, mapping)


def bent(chance: random.Random, value: Any) -> Any:  # noqa: ANN401, PLR0911 - any JSON; one change, then it is done
    """A copy with one thing changed, somewhere."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(list(value))
        kind = chance.randrange(6)
        if kind == 0:
            return {one: other for one, other in value.items() if one != name}
        if kind == 1:
            return value | {chance.choice(NAMES): chance.choice(ODD)}
        return value | {name: bent(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place, kind = chance.randrange(len(value)), chance.randrange(5)
        if kind == 0:
            return value[:place] + value[place + 1 :]
        if kind == 1:
            return [*value[:place], value[place], *value[place:]]
        if kind == 2:
            return value[::-1]
        return [*value[:place], bent(chance, value[place]), *value[place + 1 :]]
    return chance.choice(ODD)


@pytest.fixture(autouse=True)
def _few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "NUM_ROWS_LOOKED_AT", 2)


@pytest.mark.parametrize("shape", LINES)
def test_lines_of_json(shape: str) -> None:
    chance = random.Random(shape)
    good = LINES[shape]
    num_skimmed = 0
    for _ in range(NUM_FILES):
        lines = [json.dumps(good).encode()] * 14
        for _ in range(chance.randint(0, 3)):
            odd = bent(chance, good)
            lines.append(json.dumps(odd, ensure_ascii=chance.random() < 0.5).encode("utf-8", "replace"))
        if chance.random() < 0.4:
            lines.append(chance.choice(BROKEN))
        lines += [lines[0]] * 3
        tail = lines[8:]
        chance.shuffle(tail)
        content = b"\n".join([*lines[:8], *tail]) + chance.choice([b"", b"\n", b"\r\n"])
        assert outcome(content, FileFormat.JSONL) == looked_at_closely(content, FileFormat.JSONL), content
        num_skimmed += skimmed(content, FileFormat.JSONL)
    # else nothing would be compared
    assert num_skimmed > 3 * NUM_FILES


MAPPINGS = (
    None,
    Mapping(question="question", answer="answer"),
    Mapping(question="question", answer="answer", context="note", system_text="Be kind."),
    Mapping(text="answer"),
    Mapping(question="question", chosen="answer", rejected="note"),
    Mapping(conversation="id", speaker="note", message="question", assistant_speakers=["Kim"]),
)


@pytest.mark.parametrize("mapping", MAPPINGS, ids=str)
def test_rows_of_tables(mapping: Mapping | None) -> None:
    chance = random.Random(str(mapping))
    cells = (
        b"",
        b" ",
        b"Why?",
        b'"a,b"',
        b'"a\nb"',
        b'"a""b"',
        b"\xc3\xa9",
        b"Because.",
        b"Kim",
        b'"',
        b"a\rb",
        b"\xff",
        b"\0",
    )
    for _ in range(NUM_FILES):
        rows = [b"id,question,answer,note"] + [b"%d,Why?,Because.,Kim" % number for number in range(12)]
        for _ in range(chance.randint(0, 6)):
            some = chance.choices(cells[: chance.choice([9, 9, 9, 13])], k=chance.choice([1, 2, 4, 4, 4, 6]))
            rows.insert(chance.randint(5, len(rows)), b",".join(some))
        content = chance.choice([b"\n", b"\r\n"]).join(rows) + chance.choice([b"", b"\n"])
        assert outcome(content, FileFormat.CSV, mapping) == looked_at_closely(content, FileFormat.CSV, mapping), content
    named = [{"id": 1, "question": "Why?", "answer": "Because.", "note": "Kim"}] * 12
    for _ in range(NUM_FILES):
        lines = [*named, *(bent(chance, named[0]) for _ in range(3)), *named[:3]]
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        assert outcome(content, FileFormat.JSONL, mapping) == looked_at_closely(content, FileFormat.JSONL, mapping)


@pytest.mark.parametrize("bad", [bad for bad in BAD_FILES if "MB" not in bad.name], ids=str)
def test_bad_files(bad: BadFile) -> None:
    try:
        file_format = format_of(bad.filename)
    except Invalid:
        return
    assert outcome(bad.content(), file_format) == looked_at_closely(bad.content(), file_format)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.csv")), ids=lambda path: path.name)
def test_samples(path: Path) -> None:
    content = path.read_bytes()
    assert outcome(content, FileFormat.CSV) == looked_at_closely(content, FileFormat.CSV)
    # messages in rows are gathered into conversations, which nobody does in passing
    assert skimmed(content, FileFormat.CSV) > (-1 if path.name == "tickets.csv" else 1000)


def skimmed(content: bytes, file_format: FileFormat) -> int:
    """How many rows are passed over."""
    table = None

    class Watched(Table):
        def __init__(self, opened: Opened) -> None:
            nonlocal table
            super().__init__(opened)
            table = self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.datasets.inspection.Table", Watched)
        outcome(content, file_format)
    return 0 if table is None else table.passed.num_records
