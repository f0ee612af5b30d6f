import json
import os
from pathlib import Path

import pytest

from worker.events_file import EventsFile, parse


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def test_half_a_line_is_kept_until_its_end_is_there(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = EventsFile(path)
    assert events.read() == []
    whole = line(type="stage", stage="saving")
    path.write_bytes(line(type="stage", stage="training") + whole[:9])
    assert [event["stage"] for event in events.read()] == ["training"]
    assert events.read() == []
    with path.open("ab") as stream:
        stream.write(whole[9:])
    assert [event["stage"] for event in events.read()] == ["saving"]
    assert not events.has_more()


def test_what_an_earlier_attempt_left_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(type="stage", stage="old"))
    events = EventsFile(path)
    events.skip_existing()
    with path.open("ab") as stream:
        stream.write(line(type="stage", stage="new"))
    assert [event["stage"] for event in events.read()] == ["new"]


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * (3 << 20) + b"\n" + line(type="stage", stage="after"))
    events = EventsFile(path)
    found = []
    while events.has_more():
        found += events.read()
    assert [event["stage"] for event in found] == ["after"]


@pytest.mark.parametrize(
    "rubbish",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"type": "unknown"}',
        b'{"type": "progress", "step": "1", "total_steps": 2}',
        b'{"type": "message", "message": "m", "level": "loud"}',
        b'{"type": "progress", "step": 1, "total_steps": 2, "seconds_left": "soon"}',
        b'{"type": "progress", "step": 99999999999999999999, "total_steps": 2}',
        b'{"type": "message", "message": "m", "level": []}',
        b'{"type": "message", "message": "m", "data": [1]}',
        b'{"type": "progress", "step": 1, "total_steps": 2, "seconds_left": -1e300}',
        b'{"type": "progress", "step": 1, "total_steps": 2, "billable_s": -1}',
        b'{"type": "metrics", "step": 9007199254740992, "total_steps": 9007199254740992, "data": {}}',
        b'{"type": "metrics", "step": 1, "total_steps": 2, "data": {"deep": ' + b"[" * 250 + b"]" * 250 + b"}}",
        b'{"type": "message", "message": "' + b"m" * 200_000 + b'"}',
        b"[" * 100_000,
    ],
)
def test_rubbish_is_dropped(rubbish: bytes) -> None:
    assert parse(rubbish) is None


def test_what_postgres_cannot_keep_is_made_storable() -> None:
    data = b'{"loss": NaN, "more": [1e999, 2.5, 9223372036854775808]}'
    raw = b'{"type": "message", "message": "a\\u0000b \\ud800", "data": ' + data + b"}"
    event = parse(raw)
    assert event is not None
    assert event["message"] == "a\N{REPLACEMENT CHARACTER}b ?"
    assert event["data"] == {"loss": None, "more": [None, 2.5, None]}


@pytest.mark.parametrize("is_pipe", [False, True])
def test_what_is_no_file_of_its_own_is_not_read(tmp_path: Path, *, is_pipe: bool) -> None:
    path, elsewhere = tmp_path / "events.jsonl", tmp_path / "elsewhere"
    elsewhere.write_bytes(line(type="stage", stage="elsewhere"))
    if is_pipe:
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere)
    events = EventsFile(path)
    events.skip_existing()
    assert events.read() == []
    assert not events.has_more()
