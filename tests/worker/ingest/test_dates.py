"""Rows with dates: kept as they are read, and the newest held out when that is asked for."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.datasets.changes import CHANGE, DeriveSpec
from core.datasets.ingest_files import IngestedRow, IngestReport
from core.datasets.types import FileFormat, Mapping, RowKind, Split
from core.jobs.exit_codes import ExitCode
from tests.factories.ingest import IngestFolder
from worker.ingest import derive

DATED = Mapping(question="question", answer="answer", time="asked")


def moment(year: int, month: int, day: int) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp()


def csv_of(dates: list[str]) -> bytes:
    lines = [f"question {number},answer {number},{date}" for number, date in enumerate(dates, start=2)]
    return "\n".join(["question,answer,asked", *lines]).encode()


@pytest.fixture
def folder(tmp_path: Path) -> IngestFolder:
    return IngestFolder(tmp_path)


def changed(folder: IngestFolder, *changes: dict[str, Any]) -> tuple[list[IngestedRow], IngestReport]:
    """The rows as changes make them; the next ones change these."""
    (folder.path / "base.jsonl").write_bytes((folder.path / "rows.jsonl").read_bytes())
    spec = DeriveSpec(
        kind=RowKind.CHAT,
        changes=[CHANGE.validate_python(change) for change in changes],
        num_rows=len(folder.rows),
        tokenizer_dir=None,
        max_row_tokens=100,
    )
    (folder.path / "spec.json").write_text(spec.model_dump_json())
    assert derive.run(folder.path) == ExitCode.DONE
    return folder.rows, folder.report


def heldout(rows: list[IngestedRow]) -> list[int]:
    return [row.number for row in rows if row.split is Split.HELDOUT]


def by_time(fraction: float) -> dict[str, Any]:
    return {"type": "resplit", "strategy": "by_time", "fraction": fraction}


class TestReading:
    def test_the_file_as_a_whole_tells_whether_the_day_comes_first(self, folder: IngestFolder) -> None:
        dates = ["03/04/2026"] * 9 + ["28/04/2026"]
        assert folder.ingest(csv_of(dates), mapping=DATED) == ExitCode.DONE
        assert [row.time for row in folder.rows] == [moment(2026, 4, 3)] * 9 + [moment(2026, 4, 28)]
        assert folder.report.num_dated == 10

    def test_dates_that_cannot_be_read_are_counted_and_told_and_the_rows_are_used(self, folder: IngestFolder) -> None:
        dates = [f"2026-11-{day:02}" for day in range(1, 11)] + ["soon", ""]
        assert folder.ingest(csv_of(dates), mapping=DATED) == ExitCode.DONE
        assert [row.time is None for row in folder.rows] == [False] * 10 + [True] * 2
        report = folder.report
        assert (report.num_rows, report.num_dated) == (12, 10)
        [finding] = [one for one in report.health.findings if one.code == "date_unreadable"]
        assert (finding.count, finding.rows, finding.severity) == (2, [12, 13], "warning")
        assert finding.sentence == "2 examples have no date that can be read."
        assert [problem.code for problem in folder.rows[-1].problems] == ["date_unreadable"]

    def test_without_a_column_for_it_nothing_is_said_of_dates(self, folder: IngestFolder) -> None:
        undated = Mapping(question="question", answer="answer")
        assert folder.ingest(csv_of(["soon"] * 12), mapping=undated) == ExitCode.DONE
        assert ({row.time for row in folder.rows}, folder.report.num_dated) == ({None}, 0)
        assert folder.report.health.findings == []

    @pytest.mark.parametrize("name", ["created_at", "timestamp", "date"])
    def test_lines_that_say_what_they_are_may_say_when(self, folder: IngestFolder, name: str) -> None:
        said = '"messages": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]'
        lines = [f'{{{said % number}, "{name}": "2026-11-{number:02}"}}' for number in range(1, 13)]
        lines.append(f"{{{said % 13}}}")
        content = "\n".join(lines).encode()
        assert folder.ingest(content, mapping=None, format=FileFormat.JSONL) == ExitCode.DONE
        assert [row.time for row in folder.rows] == [*(moment(2026, 11, day) for day in range(1, 13)), None]
        assert [problem for row in folder.rows for problem in row.problems] == []

    def test_a_conversation_is_as_new_as_its_last_message(self, folder: IngestFolder) -> None:
        lines = ["ticket,at,who,said"]
        for ticket in range(10):
            # the answer stands first in the file
            lines.append(f"T{ticket},2026-11-{ticket + 11},agent,answer {ticket}")
            lines.append(f"T{ticket},2026-11-01,customer,question {ticket}")
        threads = Mapping(conversation="ticket", speaker="who", assistant_speakers=["agent"], message="said", time="at")
        assert folder.ingest("\n".join(lines).encode(), mapping=threads) == ExitCode.DONE
        assert [row.time for row in folder.rows] == [moment(2026, 11, day) for day in range(11, 21)]


class TestHoldingOutTheNewest:
    @pytest.fixture
    def dates(self) -> list[str]:
        """Of rows 2 to 21, the newest neither first nor last: rows 12, 11, 10, ... are the newest."""
        return [f"2026-01-{day:02}" for day in [*range(10, 21), *range(1, 10)]]

    def test_takes_the_newest_wherever_they_stand(self, folder: IngestFolder, dates: list[str]) -> None:
        folder.ingest(csv_of(dates), mapping=DATED)
        rows, report = changed(folder, by_time(0.2))
        assert (heldout(rows), report.num_heldout) == ([9, 10, 11, 12], 4)
        assert [row.time for row in rows] == [moment(2026, 1, int(date[-2:])) for date in dates]

    def test_stays_with_the_version_when_it_is_changed(self, folder: IngestFolder, dates: list[str]) -> None:
        folder.ingest(csv_of(dates), mapping=DATED)
        changed(folder, by_time(0.2))
        rows, report = changed(folder, {"type": "tag_rows", "numbers": [2], "tag": "kept"})
        assert (heldout(rows), report.num_dated) == ([9, 10, 11, 12], 20)

    def test_never_takes_a_row_whose_date_is_not_known(self, folder: IngestFolder, dates: list[str]) -> None:
        # fewer with a date than are asked for
        folder.ingest(csv_of([*dates[:3], *["soon"] * 17]), mapping=DATED)
        rows, report = changed(folder, by_time(0.5))
        assert heldout(rows) == [2, 3, 4]
        [finding] = [one for one in report.health.findings if one.code == "date_unreadable"]
        assert (finding.count, report.num_dated) == (17, 3)

    def test_what_was_said_before_already_is_not_new(self, folder: IngestFolder, dates: list[str]) -> None:
        again = b"\nquestion 13,answer 13,2026-12-24"
        folder.ingest(csv_of(dates) + again, mapping=DATED)
        rows, _ = changed(folder, by_time(0.2))
        # row 22 repeats row 13, which is the oldest of all
        assert heldout(rows) == [9, 10, 11, 12]
