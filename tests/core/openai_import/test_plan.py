"""What an import decides before it changes anything, and the sentence for each file and job."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.kit.hashing import sha256_bytes
from core.openai_import import plan as planning
from core.openai_import.export_folder import ExportFolder
from core.openai_import.plan import Wanted
from core.openai_import.types import JobStep, Plan, State
from tests.factories.openai_export import (
    MINI,
    chat_rows,
    exported_file,
    exported_job,
    preference_rows,
    write_export,
)

MAPPED = Wanted(models={"*": "small"})


class Installation:
    """What an installation answers, without one."""

    def __init__(self) -> None:
        self.models = {"small": True, "qwen3-0.6b": True, "elsewhere": False}
        self.files: dict[str, str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}

    def base_models(self) -> dict[str, bool]:
        return self.models

    def files_by_sha256(self) -> dict[str, str]:
        return self.files

    def find_job(self, openai_job_id: str) -> dict[str, Any] | None:
        return self.jobs.get(openai_job_id)


@pytest.fixture
def there() -> Installation:
    return Installation()


def plan_of(folder: Path, there: Installation, wanted: Wanted = MAPPED) -> Plan:
    return planning.make(ExportFolder(folder), there, wanted)  # type: ignore[arg-type]


def only_job(plan: Plan) -> JobStep:
    (step,) = plan.jobs
    return step


def test_a_sound_export_is_new(tmp_path: Path, there: Installation) -> None:
    plan = plan_of(write_export(tmp_path / "export"), there)
    (file,) = plan.files
    assert (file.state, file.num_bytes, file.kind) == (State.NEW, len(chat_rows()), "chat")
    assert (only_job(plan).state, only_job(plan).model, only_job(plan).reason) == (State.NEW, "small", "")


def test_what_is_there_already_is_known_by_contents_and_by_id(tmp_path: Path, there: Installation) -> None:
    there.files = {sha256_bytes(chat_rows()): "file-here"}
    there.jobs["ftjob-one"] = {
        "id": "ftjob-here",
        "model": "small",
        "fine_tuned_model": "ft:small:us::x",
        "status": "succeeded",
    }
    plan = plan_of(write_export(tmp_path / "export"), there)
    assert (plan.files[0].state, plan.files[0].made_id) == (State.HERE, "file-here")
    step = only_job(plan)
    assert (step.state, step.made_id, step.fine_tuned_model) == (State.HERE, "ftjob-here", "ft:small:us::x")
    assert step.reason == "imported before, now succeeded"


def test_a_job_imported_before_is_there_even_if_its_file_is_lost(tmp_path: Path, there: Installation) -> None:
    there.jobs["ftjob-one"] = {"id": "ftjob-here", "model": "small", "fine_tuned_model": None, "status": "running"}
    assert only_job(plan_of(write_export(tmp_path / "export", contents={}), there)).state is State.HERE


@pytest.mark.parametrize(
    ("job", "wanted", "said"),
    [
        ({}, Wanted(), f"no model here was chosen for {MINI}: add --map {MINI}=qwen3-0.6b"),
        ({}, Wanted(models={MINI: "huge"}), "no base model huge here; there are small, qwen3-0.6b, elsewhere"),
        ({}, Wanted(models={MINI: "elsewhere"}), "known here but not on the disk"),
        ({"model": f"ft:{MINI}:a::b"}, Wanted(models={MINI: "small"}), "a job here begins at a base model: add --map"),
        ({"method": {"type": "reinforcement", "reinforcement": {}}}, MAPPED, "train on these pairs with dpo"),
        ({"method": {"type": "telepathy"}}, MAPPED, "'telepathy' is not known here"),
        ({"method": {"type": "dpo"}}, MAPPED, "the method dpo does not learn from the rows of file-one"),
        ({"training_file": "file-gone"}, MAPPED, "its file file-gone cannot be brought: files/file-gone.jsonl is not"),
        ({"validation_file": "file-gone"}, MAPPED, "its file file-gone cannot be brought"),
    ],
)
def test_why_a_job_cannot_be(
    tmp_path: Path, there: Installation, job: dict[str, Any], wanted: Wanted, said: str
) -> None:
    step = only_job(plan_of(write_export(tmp_path / "export", jobs=[exported_job(**job)]), there, wanted))
    assert step.state is State.IMPOSSIBLE
    assert said in step.reason


def test_preferences_fit_dpo(tmp_path: Path, there: Installation) -> None:
    job = exported_job(method={"type": "dpo", "dpo": {}})
    folder = write_export(tmp_path / "export", contents={"file-one": preference_rows()}, jobs=[job])
    assert only_job(plan_of(folder, there)).state is State.NEW


def test_a_file_that_the_upload_would_refuse_is_told_with_its_row(tmp_path: Path, there: Installation) -> None:
    rows = chat_rows().splitlines()
    rows[4] = b'{"messages": "none"}'
    plan = plan_of(write_export(tmp_path / "export", contents={"file-one": b"\n".join(rows)}), there)
    assert plan.files[0].state is State.IMPOSSIBLE
    assert plan.files[0].reason.startswith("Row 5")
    assert only_job(plan).state is State.IMPOSSIBLE


@pytest.mark.parametrize(
    ("name", "content", "here"),
    [
        ("one.jsonl", chat_rows(), "one.jsonl"),
        ("", chat_rows(), "file-one.jsonl"),
        ("train.txt", b"\xef\xbb\xbf\n" + chat_rows(), "train.txt.jsonl"),
        ("table.csv", b"question,answer\n" + b"Open?,Yes\n" * 12, "table.csv"),
    ],
)
def test_a_file_is_called_what_it_is(tmp_path: Path, there: Installation, name: str, content: bytes, here: str) -> None:
    listed = [exported_file("file-one", filename=name)]
    (step,) = plan_of(write_export(tmp_path / "e", contents={"file-one": content}, listed=listed), there).files
    assert (step.state, step.filename) == (State.NEW, here)


def test_jobs_that_ended_badly_stay_unless_they_are_named(tmp_path: Path, there: Installation) -> None:
    jobs = [exported_job("ftjob-bad", status="failed"), exported_job("ftjob-off", status="cancelled"), exported_job()]
    folder = write_export(tmp_path / "export", jobs=jobs)
    found = {step.job.id: step for step in plan_of(folder, there).jobs}
    assert {job_id: step.state for job_id, step in found.items()} == {
        "ftjob-bad": State.LEFT_OUT,
        "ftjob-off": State.LEFT_OUT,
        "ftjob-one": State.NEW,
    }
    assert found["ftjob-bad"].reason == "it failed at OpenAI; --job ftjob-bad imports it all the same"
    named = Wanted(models={"*": "small"}, job_ids=frozenset({"ftjob-bad", "ftjob-typo"}))
    found = {step.job.id: step for step in plan_of(folder, there, named).jobs}
    assert found["ftjob-bad"].state is State.NEW
    assert found["ftjob-one"].state is State.LEFT_OUT
    assert (found["ftjob-typo"].state, found["ftjob-typo"].reason) == (
        State.IMPOSSIBLE,
        "no job of this id is in the export",
    )


def test_only_files_that_training_needs_are_brought(tmp_path: Path, there: Installation) -> None:
    contents = {"file-one": chat_rows(), "file-two": chat_rows("b"), "file-vectors": chat_rows("c")}
    listed = [
        exported_file("file-one", purpose="user_data"),
        exported_file("file-two"),
        exported_file("file-vectors", purpose="assistants"),
    ]
    folder = write_export(tmp_path / "export", contents=contents, listed=listed)
    assert [step.state for step in plan_of(folder, there).files] == [State.NEW, State.NEW, State.LEFT_OUT]
    named = Wanted(models={"*": "small"}, job_ids=frozenset({"ftjob-one"}))
    assert [step.state for step in plan_of(folder, there, named).files] == [
        State.NEW,
        State.LEFT_OUT,
        State.LEFT_OUT,
    ]
    files_only = plan_of(folder, there, Wanted(files_only=True))
    assert (files_only.jobs, files_only.count(State.NEW)) == ([], 1)


def test_broken_events_of_a_job_are_a_note(tmp_path: Path, there: Installation) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "events").mkdir()
    (folder / "events" / "ftjob-one.json").write_text("{")
    step = only_job(plan_of(folder, there))
    assert step.state is State.NEW
    assert step.notes[0].startswith("events/ftjob-one.json is not JSON")
    (folder / "events" / "ftjob-one.json").write_text(json.dumps([{"data": {"train_loss": 0.5}}]))
    assert only_job(plan_of(folder, there)).openai_losses == {"train_loss": 0.5}
