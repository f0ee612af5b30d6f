from pathlib import Path

import pytest

from core.datasets.ingest_files import IngestedRow
from core.datasets.types import Split
from core.jobs.exit_codes import ExitCode
from tests.assets.bad_files import GOOD_CSV
from tests.factories.ingest import IngestFolder
from tests.factories.tokenizer import put_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> IngestFolder:
    return IngestFolder(tmp_path)


def codes(row: IngestedRow) -> list[str]:
    return [problem.code for problem in row.problems]


def test_every_row_is_learned_from_or_held_out(folder: IngestFolder) -> None:
    assert folder.ingest(GOOD_CSV) is ExitCode.DONE
    assert [row.number for row in folder.rows] == list(range(2, 14))
    assert [row.split for row in folder.rows].count(Split.HELDOUT) == 1
    report = folder.report
    assert (report.num_rows, report.num_train, report.num_heldout, report.num_problems) == (12, 11, 1, 0)
    assert (report.num_tokens, report.max_row_tokens) == (0, 0)


def test_the_same_examples_split_alike_and_have_the_same_sum_whatever_the_file(
    folder: IngestFolder, tmp_path: Path
) -> None:
    folder.ingest(GOOD_CSV)
    first = folder.report, {row.messages[0]["content"]: row.split for row in folder.rows}
    (tmp_path / "other").mkdir()
    other = IngestFolder(tmp_path / "other")
    other.ingest(b"\xef\xbb\xbf" + GOOD_CSV.replace(b",", b";").replace(b"\n", b"\r\n"))
    assert (other.report, {row.messages[0]["content"]: row.split for row in other.rows}) == first


def test_what_is_odd_is_counted_and_said_of_each_row(folder: IngestFolder) -> None:
    odd = [
        b"What is 0 plus one?,1\n",
        b"What is 1 plus one?,eleven\n",
        b"My card is 4111 1111 1111 1111,Never tell anybody.\n",
        b"No answer here,\n",
        b"one,two,three\n",
    ]
    assert folder.ingest(GOOD_CSV + b"".join(odd)) is ExitCode.DONE
    assert [(row.number, row.split, codes(row)) for row in folder.rows if row.problems] == [
        (3, folder.rows[1].split, ["contradiction"]),
        (14, folder.rows[0].split, ["duplicate"]),
        (15, folder.rows[13].split, ["contradiction"]),
        (16, folder.rows[14].split, ["card_number"]),
        (17, Split.LEFT_OUT, ["empty"]),
        (18, Split.LEFT_OUT, ["too_many_cells"]),
    ]
    report = folder.report
    assert (report.num_rows, report.num_problems) == (15, 6)
    found = {finding.code: (finding.count, finding.rows) for finding in report.health.findings}
    assert found == {
        "empty": (1, [17]),
        "too_many_cells": (1, [18]),
        "contradiction": (2, [3, 15]),
        "duplicate": (1, [14]),
        "card_number": (1, [16]),
    }


def test_a_row_has_everything_that_was_found_in_it(folder: IngestFolder) -> None:
    card = b"What is 0 plus one?,4111 1111 1111 1111\n"
    assert folder.ingest(GOOD_CSV + card + card) is ExitCode.DONE
    assert [codes(row) for row in folder.rows if row.problems] == [
        ["contradiction"],
        ["card_number", "contradiction"],
        ["card_number", "contradiction", "duplicate"],
    ]
    assert folder.report.num_problems == 6
    assert [problem.code for problem in folder.report.problems][:2] == ["contradiction", "card_number"]


def test_tokens_are_counted_as_training_counts_them(folder: IngestFolder, tmp_path: Path) -> None:
    put_tokenizer(tmp_path / "model")
    long = b"How long?," + b"x" * 200 + b"\n"
    assert folder.ingest(GOOD_CSV + long, tokenizer_dir=str(tmp_path / "model")) is ExitCode.DONE
    question, answer = "How long?", "x" * 200
    rendered = f"user\n{question}\nassistant\n{answer}\n"
    last = folder.rows[-1]
    # one token a byte, and the two marks of each message
    assert last.num_tokens == len(rendered) + 4
    assert codes(last) == ["too_long"]
    report = folder.report
    assert report.max_row_tokens == last.num_tokens
    assert report.num_tokens == sum(row.num_tokens or 0 for row in folder.rows)
    assert report.p99_row_tokens < report.max_row_tokens
    assert [(finding.code, finding.count) for finding in report.health.findings] == [("too_long", 1)]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"question,answer\n" + b"same,thing\n" * 12, "rows_all_alike"),
        (b"question,answer\n" + b"only a question,\n" * 12 + b"a,b\n" * 3, "too_few_rows"),
        (GOOD_CSV + b"caf\xc3\xa9 caf\xe9,coffee\n", "file_not_utf8"),
    ],
)
def test_a_file_that_is_not_enough_is_the_users_to_mend(folder: IngestFolder, content: bytes, code: str) -> None:
    assert folder.ingest(content) is ExitCode.USER_ERROR
    assert [event["code"] for event in folder.events if event["type"] == "error"] == [code]
    assert not (folder.path / "report.json").exists()


def test_progress_goes_up_to_the_end(folder: IngestFolder) -> None:
    rows = b"".join(b"question %d,answer %d\n" % (number, number) for number in range(2000))
    folder.ingest(b"question,answer\n" + rows)
    steps = [event["step"] / event["total_steps"] for event in folder.events if event["type"] == "progress"]
    assert steps == sorted(steps)
    assert 0 < steps[0] < steps[-1] <= 1
    assert [event["stage"] for event in folder.events if event["type"] == "stage"] == ["reading", "checking"]
