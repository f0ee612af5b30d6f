"""What an export may do to whoever reads it: nothing but be refused with a sentence."""

import json
import os
from pathlib import Path

import pytest

from core.errors import Invalid, NotFound
from core.openai_import import export_folder
from core.openai_import.export_folder import ExportFolder
from tests.factories.openai_export import chat_rows, exported_file, exported_job, write_export


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export")


def test_what_the_official_client_returned_is_read(folder: Path) -> None:
    export = ExportFolder(folder)
    (file,) = export.files()
    assert (file.id, file.filename, file.purpose) == ("file-one", "one.jsonl", "fine-tune")
    (job,) = export.jobs()
    assert (job.id, job.model, job.suffix, job.seed) == ("ftjob-one", "gpt-4o-mini-2024-07-18", "claims", 42)
    assert job.sent_hyperparameters == {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8}
    with export.content("file-one") as stream:
        assert stream.read() == chat_rows()


def test_a_page_and_a_byte_order_mark_are_read_too(folder: Path) -> None:
    page = {"object": "list", "data": [exported_job(), exported_job("ftjob-two", created_at=1)], "has_more": False}
    (folder / "jobs.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(page).encode())
    assert [job.id for job in ExportFolder(folder).jobs()] == ["ftjob-two", "ftjob-one"]


def test_jobs_may_be_one_file_each_and_files_need_no_list(folder: Path) -> None:
    (folder / "files.json").unlink()
    (folder / "jobs.json").unlink()
    (folder / "jobs").mkdir()
    (folder / "jobs" / "ftjob-one.json").write_text(json.dumps(exported_job()))
    (folder / "jobs" / ".DS_Store").write_bytes(b"\0")
    (folder / "files" / "notes of mine.jsonl").write_text("{}")
    export = ExportFolder(folder)
    assert [job.id for job in export.jobs()] == ["ftjob-one"]
    assert [(file.id, file.filename) for file in export.files()] == [("file-one", "file-one.jsonl")]


@pytest.mark.parametrize(
    ("changes", "suffix"),
    [
        ({"user_provided_suffix": None}, "claims"),
        ({"user_provided_suffix": None, "fine_tuned_model": "ft:gpt-4o-mini-2024-07-18:acme::9ABCdefG"}, None),
        ({"user_provided_suffix": None, "fine_tuned_model": None}, None),
        ({"user_provided_suffix": "mine"}, "mine"),
    ],
)
def test_the_suffix_is_also_in_the_models_name(folder: Path, changes: dict[str, str], suffix: str | None) -> None:
    (folder / "jobs.json").write_text(json.dumps([exported_job(**changes)]))
    assert ExportFolder(folder).jobs()[0].suffix == suffix


def test_hyperparameters_are_those_of_the_method(folder: Path) -> None:
    dpo = {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.1, "batch_size": None}}}
    old = exported_job("ftjob-old", method=None)
    (folder / "jobs.json").write_text(
        json.dumps([exported_job("ftjob-dpo", method=dpo, hyperparameters=None, created_at=1), old])
    )
    newer, older = ExportFolder(folder).jobs()
    assert (newer.method_type, newer.sent_hyperparameters) == ("dpo", {"n_epochs": 2, "beta": 0.1})
    assert (older.method_type, older.sent_hyperparameters["n_epochs"]) == ("supervised", 3)


def test_the_last_losses_come_from_the_events(folder: Path) -> None:
    export = ExportFolder(folder)
    assert export.last_losses("ftjob-one") is None
    (folder / "events").mkdir()
    events = [
        {"message": "done", "data": None},
        {"message": "Step 9/9", "data": {"step": 9, "train_loss": 0.5, "full_valid_loss": 0.75}},
        {"message": "Step 8/9", "data": {"step": 8, "train_loss": 0.9, "valid_loss": 1.5}},
    ]
    (folder / "events" / "ftjob-one.json").write_text(json.dumps({"data": events}))
    assert export.last_losses("ftjob-one") == {"train_loss": 0.5, "full_valid_loss": 0.75, "valid_loss": 1.5}


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is not there"):
        ExportFolder(tmp_path / "gone")
    (tmp_path / "export.zip").write_bytes(b"PK")
    with pytest.raises(Invalid, match="unpack it first"):
        ExportFolder(tmp_path / "export.zip")
    with pytest.raises(Invalid, match=r"neither files\.json nor files/"):
        ExportFolder(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b'[{"id": "ftjob-1"', "is not JSON: EOF while parsing"),
        (b"\xff\xfe[]", "is not JSON"),
        (b"[" * 100_000, "is not JSON: recursion limit exceeded"),
        (b"[NaN]", "is not JSON"),
        (b'{"object": "list"}', "holds no list"),
        (b"7", "holds no list"),
        (b"[7]", "jobs.json, item 1: it: "),
        (b"[{}]", "jobs.json, item 1: id: Field required"),
        (json.dumps([exported_job(), exported_job(seed="many")]).encode(), "jobs.json, item 2: seed: "),
        (json.dumps([exported_job("../../etc/passwd")]).encode(), "id is '../../etc/passwd', which is no id"),
        (json.dumps([exported_job(training_file="a/b")]).encode(), "training_file is 'a/b', which is no id"),
        (json.dumps([exported_job(training_file="file-one\n")]).encode(), "which is no id of OpenAI's"),
        (json.dumps([exported_job(validation_file="..")]).encode(), "validation_file is '..', which is no id"),
        (json.dumps([exported_job(metadata={"a": "\ud800"})]).encode(), "is not JSON"),
    ],
)
def test_a_broken_list_of_jobs_is_refused_by_place(folder: Path, content: bytes, said: str) -> None:
    (folder / "jobs.json").write_bytes(content)
    with pytest.raises(Invalid) as caught:
        ExportFolder(folder).jobs()
    assert caught.value.message.startswith("jobs.json")
    assert said in caught.value.message


def test_a_file_of_another_place_is_never_asked_for(folder: Path) -> None:
    (folder / "files.json").write_text(json.dumps([exported_file("../secret")]))
    with pytest.raises(Invalid, match=r"files\.json, item 1: id is '\.\./secret'"):
        ExportFolder(folder).files()


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text("a secret")
    content = folder / "files" / "file-one.jsonl"
    content.unlink()
    content.symlink_to(secret)
    with pytest.raises(Invalid, match=r"files/file-one\.jsonl is a link"), ExportFolder(folder).content("file-one"):
        pass
    (folder / "jobs.json").unlink()
    (folder / "jobs.json").symlink_to(secret)
    with pytest.raises(Invalid, match=r"jobs\.json is a link"):
        ExportFolder(folder).jobs()
    (folder / "files").rename(tmp_path / "elsewhere")
    (folder / "files").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Invalid, match="files is a link or a file"):
        ExportFolder(folder).files()


def test_what_is_no_plain_file_is_not_waited_for(folder: Path) -> None:
    content = folder / "files" / "file-one.jsonl"
    content.unlink()
    os.mkfifo(content)
    with pytest.raises(Invalid, match="not a plain file"), ExportFolder(folder).content("file-one"):
        pass
    content.unlink()
    content.mkdir()
    with pytest.raises(Invalid, match="not a plain file"), ExportFolder(folder).content("file-one"):
        pass
    content.rmdir()
    with pytest.raises(NotFound, match="OpenAI may have deleted it"), ExportFolder(folder).content("file-one"):
        pass


def test_huge_lists_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_folder, "MAX_ITEMS", 1)
    (folder / "jobs.json").write_text(json.dumps([exported_job(), exported_job("ftjob-two")]))
    with pytest.raises(Invalid, match="The export has 2 jobs; 1 at a time"):
        ExportFolder(folder).jobs()
    monkeypatch.setattr(export_folder, "_MAX_JSON_BYTES", 2**20)
    with (folder / "files.json").open("wb") as stream:
        stream.truncate(2**20 + 1)
    with pytest.raises(Invalid, match=r"files\.json is larger than 1 MiB"):
        ExportFolder(folder).files()
