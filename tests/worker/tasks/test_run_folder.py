import json
import os
import time
from pathlib import Path

from core.datasets.rows import question_and_answer as ask
from core.datasets.types import Message, RowRecord, ToolCall
from core.jobs.kinds import JobKind
from core.jobs.types import Lease
from worker.tasks import run_folder


def lease(attempt: int) -> Lease:
    return Lease(
        job_id="job_1", workspace_id="ws", kind=JobKind.TRAINING_RUN, attempt=attempt, payload={}, worker_id="w"
    )


def leave_checkpoint(folder: Path, name: str) -> None:
    (folder / "checkpoints" / name).mkdir(parents=True)


def test_an_attempt_goes_on_from_the_newest_that_left_a_checkpoint(tmp_path: Path) -> None:
    for attempt in (1, 2, 10):
        leave_checkpoint(tmp_path / "job_1" / f"a{attempt}", f"of-{attempt}")
    (tmp_path / "job_1" / "a11").mkdir()
    made = run_folder.make(tmp_path, lease(12))
    assert [path.name for path in made.checkpoints.iterdir()] == ["of-10"]
    assert made.inherited_from == 10
    assert [path.name for path in (tmp_path / "job_1").iterdir()] == ["a12"]


def test_an_attempt_finds_the_adapter_that_was_finished_and_no_half_one(tmp_path: Path) -> None:
    for attempt, names in ((1, ("weights", "manifest.json")), (2, ("weights",))):
        adapter = tmp_path / "job_1" / f"a{attempt}" / "adapter"
        adapter.mkdir(parents=True)
        for name in names:
            (adapter / name).write_text(f"of {attempt}")
    made = run_folder.make(tmp_path, lease(3))
    assert {path.name: path.read_text() for path in made.adapter.iterdir()} == {
        "weights": "of 1",
        "manifest.json": "of 1",
    }


def test_an_attempt_that_slept_leaves_the_folder_of_the_one_after_it_alone(tmp_path: Path) -> None:
    leave_checkpoint(tmp_path / "job_1" / "a3", "of-3")
    made = run_folder.make(tmp_path, lease(2))
    assert made.inherited_from is None
    assert (tmp_path / "job_1" / "a3" / "checkpoints" / "of-3").is_dir()


def test_the_first_attempt_starts_empty(tmp_path: Path) -> None:
    assert list(run_folder.make(tmp_path, lease(1)).path.iterdir()) == []


def test_what_other_jobs_left_long_ago_is_removed(tmp_path: Path) -> None:
    for name, age_s in (("job_old", 30 * 24 * 3600), ("job_young", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    run_folder.make(tmp_path, lease(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job_1", "job_young"]


def test_rows_are_written_with_the_fields_of_their_kind_and_a_missing_content_is_said(tmp_path: Path) -> None:
    call = ToolCall(type="function", function={"name": "look_up", "arguments": "{}"})
    rows = [
        RowRecord(number=1, messages=[Message(role="assistant", content=None, tool_calls=[call])]),
        RowRecord(number=2, messages=[], chosen=[], rejected=[]),
        RowRecord(number=3, text="Zwölf\nBoxkämpfer"),
    ]
    assert run_folder.write_rows(tmp_path / "rows.jsonl", rows) == 3
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()] == [
        {"number": 1, "messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]},
        {"number": 2, "messages": [], "chosen": [], "rejected": []},
        {"number": 3, "text": "Zwölf\nBoxkämpfer"},
    ]


def record(number: int, question: str) -> RowRecord:
    return RowRecord(number=number, **ask(question, "Yes").model_dump())


def test_rows_are_compared_as_they_were_written(tmp_path: Path) -> None:
    train, heldout = tmp_path / "train.jsonl", tmp_path / "heldout.jsonl"
    run_folder.write_rows(train, [record(9, "Open?"), record(4, "Open?"), record(5, "Where?")])
    run_folder.write_rows(heldout, [record(2, "When?"), record(3, "Open?")])
    found = run_folder.overlap(train, heldout)
    assert (found.num_measured, found.num_same, found.num_nearly) == (2, 1, 0)
    assert [(row.number, row.training_number) for row in found.rows] == [(3, 4)]
