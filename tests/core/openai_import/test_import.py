"""`tailorbird import openai` as typed, against the API at a real address."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.testclient import TestClient

from core import cli
from core.config import Settings
from core.errors import Unavailable
from core.kit.hashing import sha256_bytes
from core.openai_import import destination
from core.stack.api_client import ApiClient
from tests.conftest import Headers
from tests.factories.live_api import serving
from tests.factories.openai_export import (
    MINI,
    chat_rows,
    exported_file,
    exported_job,
    preference_rows,
    write_export,
)
from tests.factories.training import put_base_model_on_disk

pytestmark = pytest.mark.stack

REPORT = "tailorbird-import.json"


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    with serving(app) as found:
        yield found


@pytest.fixture
def model(settings: Settings) -> str:
    return put_base_model_on_disk(settings)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two jobs of three files, of which two are equal; and one job that cannot be."""
    dpo = {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "batch_size": 4, "beta": 0.1}}}
    jobs = [
        exported_job(validation_file="file-again", metadata={"team": "claims"}),
        exported_job("ftjob-dpo", "file-pairs", method=dpo, hyperparameters=None, created_at=1721764801, seed=7),
        exported_job("ftjob-lost", "file-lost", created_at=1721764802),
    ]
    contents = {"file-one": chat_rows(), "file-again": chat_rows(), "file-pairs": preference_rows()}
    return write_export(tmp_path / "export", contents=contents, jobs=jobs)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "_FIRST_PAUSE_S", 0.0)


def run(export: Path, url: str, headers: Headers, *options: str) -> int:
    key = headers["authorization"].removeprefix("Bearer ")
    return cli.main(["import", "openai", str(export), "--url", url, "--key", key, *options])


def report_of(export: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((export / REPORT).read_text())
    return found


def listed(client: TestClient, path: str, headers: Headers) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = client.get(path, headers=headers).json()["data"]
    return data


def test_files_and_jobs_are_made_again(
    client: TestClient, url: str, model: str, export: Path, as_member: Headers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export, url, as_member, "--map", f"{MINI}={model}") == 1, "one job cannot be"
    said = capsys.readouterr().out
    assert "Files  2 made, 1 already here, 1 cannot be" in said
    assert "Jobs   2 made, 1 cannot be" in said

    files = {file["id"]: file for file in listed(client, "/v1/files", as_member)}
    assert {file["sha256"] for file in files.values()} == {sha256_bytes(chat_rows()), sha256_bytes(preference_rows())}
    assert {file["filename"] for file in files.values()} == {"one.jsonl", "pairs.jsonl"}
    dpo, supervised = listed(client, "/v1/fine_tuning/jobs", as_member)
    assert (supervised["model"], supervised["seed"], supervised["user_provided_suffix"]) == (model, 42, "claims")
    assert supervised["hyperparameters"] == {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8}
    assert supervised["validation_file"] == supervised["training_file"]
    assert supervised["metadata"] == {
        "team": "claims",
        "openai_job_id": "ftjob-one",
        "openai_fine_tuned_model": f"ft:{MINI}:acme:claims:9ABCdefG",
    }
    assert files[dpo["training_file"]]["filename"] == "pairs.jsonl"
    assert dpo["method"]["type"] == "dpo"
    assert dpo["method"]["dpo"]["hyperparameters"]["beta"] == 0.1

    report = report_of(export)
    assert [job["job_id"] for job in report["jobs"]] == [supervised["id"], dpo["id"], None]
    assert "its file file-lost cannot be brought" in report["jobs"][2]["reason"]
    assert as_member["authorization"].removeprefix("Bearer ") not in json.dumps(report)


def test_a_second_run_makes_nothing_twice(
    client: TestClient, url: str, model: str, export: Path, as_member: Headers, capsys: pytest.CaptureFixture[str]
) -> None:
    run(export, url, as_member, "--map", f"*={model}")
    before = report_of(export)
    capsys.readouterr()
    run(export, f"{url}/v1/", as_member, "--map", f"*={model}")
    assert "Files  3 already here, 1 cannot be" in capsys.readouterr().out
    assert len(listed(client, "/v1/files", as_member)) == 2
    assert len(listed(client, "/v1/fine_tuning/jobs", as_member)) == 2
    after = report_of(export)
    for kind, name in (("files", "file_id"), ("jobs", "job_id")):
        assert [entry[name] for entry in after[kind]] == [entry[name] for entry in before[kind]]


def test_a_dry_run_changes_nothing_and_says_what_would_be(
    client: TestClient, url: str, model: str, export: Path, as_member: Headers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export, url, as_member, "--dry-run") == 1
    said = capsys.readouterr().out
    assert f"--map {MINI}={model}" in " ".join(said.replace("│", " ").split())
    assert "Files  3 new, 1 cannot be" in said
    assert listed(client, "/v1/files", as_member) == []
    assert not (export / REPORT).exists()
    assert run(export, url, as_member, "--dry-run", "--map", f"*={model}", "--job", "ftjob-dpo") == 0
    assert "Jobs   1 new, 2 left out" in capsys.readouterr().out


def test_a_run_that_broke_off_goes_on_where_it_was(
    client: TestClient,
    url: str,
    model: str,
    export: Path,
    as_member: Headers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    post = ApiClient.post
    num_posts = 0

    def breaks_off(api: ApiClient, path: str, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own arguments
        nonlocal num_posts
        num_posts += 1
        if num_posts > 2:
            raise Unavailable(f"{url} does not answer.", code="api_unreachable")
        return post(api, path, **content)

    with monkeypatch.context() as patch:
        patch.setattr(ApiClient, "post", breaks_off)
        assert run(export, url, as_member, "--map", f"*={model}") == 1
    assert "does not answer" in capsys.readouterr().err
    assert [job["state"] for job in report_of(export)["jobs"]] == ["failed", "new", "cannot be"]
    run(export, url, as_member, "--map", f"*={model}")
    assert len(listed(client, "/v1/files", as_member)) == 2
    assert len(listed(client, "/v1/fine_tuning/jobs", as_member)) == 2


def test_an_answer_that_is_lost_does_not_make_a_second(
    client: TestClient, url: str, model: str, export: Path, as_member: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = ApiClient.post
    seen: set[str] = set()

    def loses_the_first(api: ApiClient, path: str, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
        made = post(api, path, **content)
        if path not in seen:
            seen.add(path)
            raise Unavailable(f"{url} does not answer.", code="api_unreachable")
        return made

    monkeypatch.setattr(ApiClient, "post", loses_the_first)
    run(export, url, as_member, "--map", f"*={model}")
    assert seen == {"/v1/files", "/v1/fine_tuning/jobs"}
    assert len(listed(client, "/v1/files", as_member)) == 2
    assert len(listed(client, "/v1/fine_tuning/jobs", as_member)) == 2


def test_a_large_file_goes_up_in_parts_and_a_lost_part_is_sent_again(
    client: TestClient, url: str, model: str, tmp_path: Path, as_member: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "PART_BYTES", 500)
    post = ApiClient.post
    paths: list[str] = []

    def loses_a_part(api: ApiClient, path: str, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
        made = post(api, path, **content)
        paths.append(path.rpartition("/")[2])
        if paths.count("parts") == 2:
            paths.append("lost")
            raise Unavailable(f"{url} does not answer.", code="api_unreachable")
        return made

    monkeypatch.setattr(ApiClient, "post", loses_a_part)
    export = write_export(tmp_path / "large", contents={"file-one": chat_rows()}, jobs=[])
    assert run(export, url, as_member) == 0
    (file,) = listed(client, "/v1/files", as_member)
    assert file["sha256"] == sha256_bytes(chat_rows())
    num_parts = -(-len(chat_rows()) // 500)
    assert paths.count("lost") == 1
    assert (paths.count("uploads"), paths.count("parts"), paths.count("complete")) == (1, num_parts + 1, 1)


def test_what_is_refused_of_one_job_does_not_stop_the_others(
    client: TestClient, url: str, model: str, tmp_path: Path, as_member: Headers
) -> None:
    jobs = [
        exported_job("ftjob-long", user_provided_suffix="x" * 65),
        exported_job("ftjob-fine", metadata={f"key{n:02}": "v" for n in range(16)}, created_at=1721764801),
    ]
    export = write_export(tmp_path / "full", jobs=jobs)
    assert run(export, url, as_member, "--map", f"*={model}", "--hyperparameters", "auto") == 1
    long, fine = report_of(export)["jobs"]
    assert (long["state"], long["job_id"]) == ("failed", None)
    assert "suffix must have 1 to 64 characters" in long["reason"]
    assert fine["notes"] == ["no room for its metadata key14, key15"]
    (made,) = listed(client, "/v1/fine_tuning/jobs", as_member)
    assert made["hyperparameters"]["n_epochs"] == "auto"
    assert len(made["metadata"]) == 16


def test_names_that_move_a_terminals_cursor_are_shown_without(
    url: str, model: str, tmp_path: Path, as_member: Headers, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = [exported_file("file-one", filename="\x1b[2Jone[red].jsonl")]
    export = write_export(tmp_path / "evil", listed=listing)
    assert run(export, url, as_member, "--map", f"*={model}", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said
    assert "one[red].jsonl" in said


def test_who_may_not_write_is_told_once(
    client: TestClient, url: str, model: str, export: Path, as_viewer: Headers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export, url, as_viewer, "--map", f"*={model}") == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.out.count("failed") == 2, "the first file, and the summary"
    assert listed(client, "/v1/files", as_viewer) == []


def test_a_wrong_key_a_silent_server_and_no_key_are_one_sentence(
    url: str, export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(export, url, {"authorization": "Bearer tb_live_wrong"}) == 1
    assert "tailorbird: GET /v1/models: " in capsys.readouterr().err
    assert run(export, "http://127.0.0.1:9", {"authorization": "Bearer tb_live_any"}) == 1
    assert "does not answer" in capsys.readouterr().err
    monkeypatch.delenv("TAILORBIRD_API_KEY", raising=False)
    assert cli.main(["import", "openai", str(export), "--url", url]) == 1
    assert capsys.readouterr().err == "tailorbird: No API key: give --key, or set TAILORBIRD_API_KEY.\n"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tailorbird.example.com", "is not an address such as https://"),
        ("http://[::1", "is not an address such as https://"),
        ("ftp://127.0.0.1", "is not an address such as https://"),
        ("{url}/page", "is not Tailorbird: /page/v1/models is no JSON there"),
        ("{url}/moved", "status 301, which sends on to https://elsewhere.example.com; give that address"),
        ("{url}/openai", "What answers there is not Tailorbird"),
    ],
)
def test_an_address_of_something_else_is_one_sentence(
    app: FastAPI, url: str, export: Path, capsys: pytest.CaptureFixture[str], address: str, said: str
) -> None:
    app.get("/page/v1/models")(lambda: HTMLResponse("<h1>Welcome</h1>"))
    app.get("/moved/v1/models")(lambda: RedirectResponse("https://elsewhere.example.com", status_code=301))
    app.get("/openai/v1/models")(lambda: {"object": "list", "data": [{"id": "gpt-4o", "owned_by": "openai"}]})
    assert run(export, address.format(url=url), {"authorization": "Bearer tb_live_any"}) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_key_that_was_copied_from_the_docs_is_one_sentence(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(export, "http://127.0.0.1:9", {"authorization": "Bearer tb_live_…"}) == 1
    assert "characters that no key has" in capsys.readouterr().err


def test_the_key_may_come_from_the_environment(
    url: str, model: str, export: Path, as_member: Headers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAILORBIRD_API_KEY", as_member["authorization"].removeprefix("Bearer "))
    target = tmp_path / "mapping.json"
    command = ["import", "openai", str(export), "--url", url, "--files-only", "--report", str(target)]
    assert cli.main(command) == 0
    assert json.loads(target.read_text())["jobs"] == []
