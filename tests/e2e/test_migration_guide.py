"""docs/migrate-from-openai.md does what it says: its own blocks, by the official clients, one tuned model for all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from core.stack.ports import choose
from core.stack.up import RunningStack
from tests.factories import documented_code
from tests.factories.documented_code import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.model, pytest.mark.timeout(1500)]

GUIDE = PROJECT / "docs" / "migrate-from-openai.md"
ADDRESS, KEY, RECEIVER = "https://tailorbird.example.com", "tb_live_…", "8790"


@pytest.fixture(scope="module")
def replacements(stack: RunningStack, api_key: str) -> dict[str, str]:
    """Nothing else on the page is changed."""
    return {ADDRESS: stack.base_url, KEY: api_key, RECEIVER: str(choose(["receiver"], {})["receiver"])}


@pytest.fixture(scope="module")
def environment(stack: RunningStack, api_key: str) -> dict[str, str]:
    """The export is taken from the service itself, which speaks the same wire as the one it is written for."""
    return {"OPENAI_BASE_URL": f"{stack.base_url}/v1", "OPENAI_API_KEY": api_key}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, replacements: dict[str, str], environment: dict[str, str]) -> Path:
    """Where the Python of the page has run. What it wrote, and the model it made, are there for the other languages."""
    found = tmp_path_factory.mktemp("guide")
    code = documented_code.program(GUIDE, "python", replacements)
    (found / "said.txt").write_text(documented_code.run("python", code, found, environment))
    return found


@pytest.fixture
def ai(environment: dict[str, str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=environment["OPENAI_BASE_URL"], api_key=environment["OPENAI_API_KEY"]) as client:
        yield client


def test_no_block_is_overlooked() -> None:
    found = documented_code.languages(GUIDE)
    assert set(found) == {"python", "js", "bash"}
    assert (found.count("python") >= 14, found.count("js") >= 10, found.count("bash")) == (True, True, 1)
    page = GUIDE.read_text()
    assert all(placeholder in page for placeholder in (ADDRESS, KEY, RECEIVER))


def test_what_the_table_says_is_not_there_is_refused_by_name(ai: OpenAI) -> None:
    job: Any = {"model": "smollm2-135m-instruct", "training_file": "file-any"}
    for changes, code in (
        ({"method": {"type": "reinforcement"}}, "unsupported_method"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "mine"}}]}, "unsupported_parameter"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            ai.fine_tuning.jobs.create(**job | changes)
        assert refused.value.code == code
    for path in ("/embeddings", "/batches", "/responses", "/evals", "/assistants"):
        with pytest.raises(openai.NotFoundError) as missing:
            ai.post(path, cast_to=object, body={})
        assert missing.value.code == "unknown_url"


def test_the_python_blocks_make_a_model_and_talk_to_it(folder: Path) -> None:
    said = (folder / "said.txt").read_text()
    assert "The job has successfully completed" in said
    assert "ft:smollm2-135m-instruct:" in said
    assert "unsupported_method method.type" in said
    assert "fine_tuning.job.succeeded" in said


def test_the_javascript_blocks_find_that_model_and_talk_to_it(
    folder: Path, replacements: dict[str, str], environment: dict[str, str]
) -> None:
    said = documented_code.run("js", documented_code.program(GUIDE, "js", replacements), folder, environment)
    assert "The job has successfully completed" in said
    assert "true 404 model_not_found" in said
    assert said.splitlines()[-1] == "fine_tuning.job.succeeded"


def test_the_export_of_the_page_is_imported(
    folder: Path, replacements: dict[str, str], environment: dict[str, str], ai: OpenAI
) -> None:
    said = documented_code.run("bash", documented_code.program(GUIDE, "bash", replacements), folder, environment)
    report = json.loads((folder / "openai-export" / "tailorbird-import.json").read_text())
    made = [job for job in report["jobs"] if job["state"] == "made"]
    for job in made:
        ai.fine_tuning.jobs.cancel(job["job_id"])  # nobody needs what they would learn
    assert f"{len(made)} made" in said
    assert {file["state"] for file in report["files"]} == {"already here"}
    (tuned,) = [job for job in report["jobs"] if ":reviews:" in (job["openai_fine_tuned_model"] or "")]
    assert tuned["state"] == "made"
    assert tuned["openai_losses"]["train_loss"] > 0
    again = ai.fine_tuning.jobs.retrieve(tuned["job_id"])
    assert again.metadata is not None
    assert again.metadata["openai_job_id"] == tuned["openai_id"]
    assert (again.seed, again.metadata["team"]) == (7, "support")
