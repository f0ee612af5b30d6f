"""The child process of an ingest, called in this one: a folder in, a folder out."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.datasets.ingest_files import IngestedRow, IngestReport, IngestSpec
from core.datasets.types import FileFormat, Mapping, Split
from core.jobs.exit_codes import ExitCode
from tests.assets.bad_files import GOOD_CSV
from tests.factories.tokenizer import put_tokenizer
from worker.ingest.run import run

MAPPING = Mapping(question="question", answer="answer", system=None)


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def ingest(self, content: bytes, **changes: object) -> ExitCode:
        values: dict[str, Any] = {
            "format": FileFormat.CSV,
            "mapping": MAPPING,
            "tokenizer_dir": None,
            "max_row_tokens": 100,
            **changes,
        }
        (self.path / "file").write_bytes(content)
        (self.path / "spec.json").write_text(IngestSpec(**values).model_dump_json())
        return run(self.path)

    @property
    def rows(self) -> list[IngestedRow]:
        lines = (self.path / "rows.jsonl").read_text().splitlines()
        return [IngestedRow.model_validate_json(line) for line in lines]

    @property
    def report(self) -> IngestReport:
        return IngestReport.model_validate_json((self.path / "report.json").read_bytes())

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "events.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_every_row_is_learned_from_or_held_out(folder: Folder) -> None:
    assert folder.ingest(GOOD_CSV) is ExitCode.DONE
    assert [row.number for row in folder.rows] == list(range(2, 14))
    assert [row.split for row in folder.rows].count(Split.HELDOUT) == 1
    report = folder.report
    assert (report.num_rows, report.num_train, report.num_heldout, report.num_problems) == (12, 11, 1, 0)
    assert (report.num_tokens, report.max_row_tokens) == (0, 0)


def test_the_same_examples_split_alike_and_have_the_same_sum_whatever_the_file(folder: Folder, tmp_path: Path) -> None:
    folder.ingest(GOOD_CSV)
    first = folder.report, {row.messages[0]["content"]: row.split for row in folder.rows}
    (tmp_path / "other").mkdir()
    other = Folder(tmp_path / "other")
    other.ingest(b"\xef\xbb\xbf" + GOOD_CSV.replace(b",", b";").replace(b"\n", b"\r\n"))
    assert (other.report, {row.messages[0]["content"]: row.split for row in other.rows}) == first


def test_what_is_odd_is_counted_and_said_of_each_row(folder: Folder) -> None:
    odd = [
        b"What is 0 plus one?,1\n",
        b"What is 1 plus one?,eleven\n",
        b"My card is 4111 1111 1111 1111,Never tell anybody.\n",
        b"No answer here,\n",
        b"one,two,three\n",
    ]
    assert folder.ingest(GOOD_CSV + b"".join(odd)) is ExitCode.DONE
    assert [(row.number, row.split, row.problem.code) for row in folder.rows if row.problem] == [
        (3, folder.rows[1].split, "contradiction"),
        (14, folder.rows[0].split, "duplicate"),
        (15, folder.rows[13].split, "contradiction"),
        (16, folder.rows[14].split, "card_number"),
        (17, Split.LEFT_OUT, "empty"),
        (18, Split.LEFT_OUT, "too_many_cells"),
    ]
    report = folder.report
    assert (report.num_rows, report.num_problems) == (15, 6)
    assert report.health.model_dump() == {
        "duplicates": 1,
        "contradictions": 1,
        "too_long": 0,
        "empty": 1,
        "card_numbers": 1,
    }


def test_tokens_are_counted_as_training_counts_them(folder: Folder, tmp_path: Path) -> None:
    put_tokenizer(tmp_path / "model")
    long = b"How long?," + b"x" * 200 + b"\n"
    assert folder.ingest(GOOD_CSV + long, tokenizer_dir=str(tmp_path / "model")) is ExitCode.DONE
    question, answer = "How long?", "x" * 200
    rendered = f"user\n{question}\nassistant\n{answer}\n"
    last = folder.rows[-1]
    # one token a byte, and the two marks of each message
    assert last.num_tokens == len(rendered) + 4
    assert last.problem is not None
    assert last.problem.code == "too_long"
    report = folder.report
    assert report.max_row_tokens == last.num_tokens
    assert report.num_tokens == sum(row.num_tokens or 0 for row in folder.rows)
    assert report.p99_row_tokens < report.max_row_tokens
    assert report.health.too_long == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"question,answer\n" + b"same,thing\n" * 12, "rows_all_alike"),
        (b"question,answer\n" + b"only a question,\n" * 12 + b"a,b\n" * 3, "too_few_rows"),
        (GOOD_CSV + b"caf\xe9,coffee\n", "file_not_utf8"),
    ],
)
def test_a_file_that_is_not_enough_is_the_users_to_mend(folder: Folder, content: bytes, code: str) -> None:
    assert folder.ingest(content) is ExitCode.USER_ERROR
    assert [event["code"] for event in folder.events if event["type"] == "error"] == [code]
    assert not (folder.path / "report.json").exists()


def test_progress_goes_up_to_the_end(folder: Folder) -> None:
    rows = b"".join(b"question %d,answer %d\n" % (number, number) for number in range(2000))
    folder.ingest(b"question,answer\n" + rows)
    steps = [event["step"] / event["total_steps"] for event in folder.events if event["type"] == "progress"]
    assert steps == sorted(steps)
    assert 0 < steps[0] < steps[-1] <= 1
    assert [event["stage"] for event in folder.events if event["type"] == "stage"] == ["reading", "checking"]
