"""The table of docs/reliability.md: every drill has a row, and the committed one is what the results say."""

import json
from pathlib import Path

from tests.faults.catalogue import DRILLS
from tests.faults.recording import RESULTS
from tests.faults.report import DOCUMENT, render, table

_ENTRY = {"outcome": "passed", "reason": "", "seconds": 1.0, "times": 1, "figures": {}}


def test_every_drill_has_a_row_and_says_if_it_was_not_run() -> None:
    lines = table({}).splitlines()[2:]
    assert len(lines) == len(DRILLS)
    assert all("not run yet" in line for line in lines)


def test_a_row_sums_up_its_tests() -> None:
    first = {**_ENTRY, "test": "test_a_thing_holds[3]", "times": 3, "figures": {"worst_s": 1.5}}
    second = {**_ENTRY, "test": "test_it_holds_again", "times": 20, "figures": {"worst_s": 2.0}}
    (row,) = [line for line in table({"1": [first, second]}).splitlines() if line.startswith("| 1 |")]
    assert "A thing holds (3)<br>It holds again | 23 | passed | `worst_s` 2 |" in row


def test_a_failed_or_skipped_drill_is_said_to_be() -> None:
    failed = {**_ENTRY, "test": "test_a", "outcome": "failed"}
    skipped = {**_ENTRY, "test": "test_b", "outcome": "skipped", "reason": "needs root"}
    rows = table({"1": [failed, skipped], "2": [skipped]}).splitlines()
    assert "**failed** (1 of 2)" in rows[2]
    assert "skipped: needs root" in rows[3]


def test_the_committed_tables_are_what_was_recorded() -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    assert DOCUMENT.read_text() == render(DOCUMENT.read_text(), known), "run `python -m tests.faults.report`"


def test_every_drill_of_the_catalogue_has_a_test() -> None:
    marked = "\n".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [number for number in DRILLS if f"pytest.mark.drill({number})" not in marked] == []
