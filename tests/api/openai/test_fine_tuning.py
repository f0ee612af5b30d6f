"""Fine-tuning jobs as the unmodified client makes, parses, pages and steers them."""

import base64
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from fastapi import FastAPI
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

from core.backends.registry import Backends
from core.jobs.types import Lease
from tests.api.fine_tuning.conftest import CURVE

pytestmark = pytest.mark.stack


def extra(job: FineTuningJob, name: str) -> Any:  # noqa: ANN401 - any JSON
    assert job.model_extra is not None
    return job.model_extra[name]


def test_a_job_from_file_to_model(
    ai: OpenAI,
    model: str,
    file_id: str,
    workspace_id: str,
    validate: Callable[[str], None],
    claim: Callable[[], Lease],
    succeed: Callable[[Lease], str],
) -> None:
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    job = ai.fine_tuning.jobs.create(
        model=model, training_file=file_id, suffix="demo", method=method, metadata={"team": "a"}, seed=7
    )
    assert (job.object, job.organization_id, job.model) == ("fine_tuning.job", workspace_id, model)
    assert (job.status, job.seed, job.training_file, job.error) == ("validating_files", 7, file_id, None)
    assert (job.validation_file, job.result_files, job.integrations, job.metadata) == (None, [], [], {"team": "a"})
    assert (job.fine_tuned_model, job.finished_at, job.estimated_finish, job.trained_tokens) == (None,) * 4
    assert job.hyperparameters.n_epochs == 2
    assert job.hyperparameters.batch_size == "auto"

    validate(extra(job, "dataset_version_id"))
    job = ai.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "queued"
    assert isinstance(job.hyperparameters.batch_size, int)

    tuned = succeed(claim())
    job = ai.fine_tuning.jobs.retrieve(job.id)
    assert (job.status, job.fine_tuned_model, job.trained_tokens) == ("succeeded", tuned, 400)
    assert (job.error, job.estimated_finish) == (None, None)
    assert job.finished_at is not None
    assert tuned.startswith(f"ft:{model}:acme:demo:")
    events = list(ai.fine_tuning.jobs.list_events(job.id, limit=2))[::-1]
    assert [event.message for event in events] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {file_id}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        "Step 1/3: training loss=1.00",
        "Step 2/3: training loss=0.50",
        "Step 3/3: training loss=0.33",
        f"Checkpoint created at step 1 with Snapshot ID: {tuned}:ckpt-step-1",
        f"Checkpoint created at step 3 with Snapshot ID: {tuned}:ckpt-step-3",
        f"New fine-tuned model created: {tuned}",
        "The job has successfully completed",
    ]
    assert {(event.object, event.level) for event in events} == {("fine_tuning.job.event", "info")}
    assert [event.type for event in events[4:7]] == ["metrics"] * 3
    assert events[6].data == CURVE[2]
    assert events[0].data is None


def test_a_list_is_filtered_by_metadata(ai: OpenAI, model: str, file_id: str) -> None:
    def create(metadata: dict[str, str] | None, suffix: str) -> str:
        return ai.fine_tuning.jobs.create(model=model, training_file=file_id, metadata=metadata, suffix=suffix).id

    with_team, empty, none = create({"team": "a", "kind": ""}, "a"), create({"kind": ""}, "b"), create(None, "c")
    jobs = ai.fine_tuning.jobs
    assert [found.id for found in jobs.list(limit=1)] == [none, empty, with_team]
    assert [found.id for found in jobs.list(metadata={"team": "a"})] == [with_team]
    assert [found.id for found in jobs.list(metadata={"kind": ""})] == [empty, with_team]
    assert list(jobs.list(metadata={"team": "b"})) == []
    assert [found.id for found in jobs.list(extra_query={"metadata": "null"})] == [none]
    assert [found.id for found in jobs.list(extra_query={"unheard_of": "1"}, limit=2).data] == [none, empty]


class TestResultFile:
    @pytest.fixture
    def result_file(
        self,
        ai: OpenAI,
        model: str,
        file_id: str,
        validate: Callable[[str], None],
        claim: Callable[[], Lease],
        succeed: Callable[[Lease], str],
    ) -> str:
        job = ai.fine_tuning.jobs.create(model=model, training_file=file_id)
        validate(extra(job, "dataset_version_id"))
        succeed(claim())
        (found,) = ai.fine_tuning.jobs.retrieve(job.id).result_files
        return found

    def test_is_a_table_of_the_curve(self, ai: OpenAI, result_file: str) -> None:
        file = ai.files.retrieve(result_file)
        assert (file.purpose, file.filename, file.status) == ("fine-tune-results", "step_metrics.csv", "processed")
        text = ai.files.content(result_file).text
        assert text == (
            "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"
            "1,1.0,0.25,,\n"
            "2,0.5,0.5,0.5,\n"
            "3,0.25,0.75,0.625,0.5\n"
        )
        assert file.bytes == len(text)
        assert [found.id for found in ai.files.list(purpose="fine-tune-results")] == [result_file]

    def test_is_in_base64_where_openai_is_followed_to_the_letter(
        self, ai: OpenAI, result_file: str, app: FastAPI, file_id: str, rows: bytes
    ) -> None:
        plain = ai.files.content(result_file).read()
        app.state.settings = app.state.settings.model_copy(update={"base64_result_files": True})
        # as OpenAI's cookbook reads it
        assert base64.b64decode(ai.files.content(result_file).content) == plain
        assert ai.files.content(result_file, extra_query={"encoding": "plain"}).read() == plain
        assert ai.files.content(file_id).read() == rows

    def test_is_nothing_to_learn_from_and_can_be_deleted(
        self, ai: OpenAI, result_file: str, model: str, backends: Backends, workspace_id: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            ai.fine_tuning.jobs.create(model=model, training_file=result_file)
        assert caught.value.code == "wrong_purpose"
        assert ai.files.delete(result_file).deleted
        assert not [key for key in backends.blobs.keys(f"workspaces/{workspace_id}/") if "step_metrics" in key]


class TestCreateBody:
    def test_the_old_place_of_hyperparameters_still_counts(self, ai: OpenAI, model: str, file_id: str) -> None:
        job = ai.fine_tuning.jobs.create(
            model=model,
            training_file=file_id,
            hyperparameters={"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 0.5},
        )
        assert (job.hyperparameters.n_epochs, job.hyperparameters.learning_rate_multiplier) == (3, 0.5)
        assert job.method is not None
        assert job.method.supervised is not None
        assert job.method.supervised.hyperparameters is not None
        assert job.method.supervised.hyperparameters.n_epochs == 3

    def test_both_places_must_agree(self, ai: OpenAI, model: str, file_id: str) -> None:
        asked: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
        with pytest.raises(openai.BadRequestError) as caught:
            ai.fine_tuning.jobs.create(
                model=model, training_file=file_id, method=asked, hyperparameters={"n_epochs": 3}
            )
        assert (caught.value.code, caught.value.param) == ("settings_do_not_fit", "hyperparameters.n_epochs")
        assert ai.fine_tuning.jobs.create(
            model=model, training_file=file_id, method=asked, hyperparameters={"n_epochs": 2}
        ).id

    @pytest.mark.parametrize(
        ("changes", "code", "param"),
        [
            ({"suffix": "x" * 65}, "out_of_range", "suffix"),
            ({"suffix": ""}, "out_of_range", "suffix"),
            ({"seed": -1}, "out_of_range", "seed"),
            ({"seed": 2**31}, "out_of_range", "seed"),
            ({"metadata": {str(n): "" for n in range(17)}}, "out_of_range", "metadata"),
            ({"metadata": {"k" * 65: ""}}, "out_of_range", "metadata"),
            ({"metadata": {"k": "v" * 513}}, "out_of_range", "metadata"),
            ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "unsupported_parameter", "integrations"),
            ({"model": "ft:gpt-4o-mini:org::abc"}, "model_not_found", "model"),
            ({"training_file": "file-none"}, "file_not_found", "training_file"),
        ],
    )
    def test_what_is_refused_is_named(
        self, ai: OpenAI, model: str, file_id: str, changes: dict[str, Any], code: str, param: str
    ) -> None:
        with pytest.raises(openai.APIStatusError) as caught:
            ai.fine_tuning.jobs.create(**({"model": model, "training_file": file_id} | changes))
        assert (caught.value.code, caught.value.param) == (code, param)
        assert caught.value.status_code in {400, 404}

    def test_nulls_are_as_good_as_nothing(self, ai: OpenAI, model: str, file_id: str) -> None:
        job = ai.fine_tuning.jobs.create(
            model=model,
            training_file=file_id,
            validation_file=None,
            suffix=None,
            seed=None,
            metadata=None,
            integrations=None,
        )
        assert 0 <= job.seed < 2**31
        assert job.metadata is None

    def test_a_tuned_model_cannot_be_tuned_on_and_says_so(
        self,
        ai: OpenAI,
        model: str,
        file_id: str,
        validate: Callable[[str], None],
        claim: Callable[[], Lease],
        succeed: Callable[[Lease], str],
    ) -> None:
        job = ai.fine_tuning.jobs.create(model=model, training_file=file_id)
        validate(extra(job, "dataset_version_id"))
        with pytest.raises(openai.BadRequestError, match="Name its base model") as caught:
            ai.fine_tuning.jobs.create(model=succeed(claim()), training_file=file_id)
        assert caught.value.code == "unsupported_model"


def test_a_job_that_learns_preferences(
    ai: OpenAI, model: str, validate: Callable[[str], None], claim: Callable[[], Lease], succeed: Callable[[Lease], str]
) -> None:
    lines = [
        json.dumps(
            {
                "input": {"messages": [{"role": "user", "content": f"q{n}"}], "tools": [], "parallel_tool_calls": True},
                "preferred_output": [{"role": "assistant", "content": f"a{n}"}],
                "non_preferred_output": [{"role": "assistant", "content": f"b{n}"}],
            }
        )
        for n in range(20)
    ]
    file = ai.files.create(file=("pairs.jsonl", "\n".join(lines).encode()), purpose="fine-tune")
    job = ai.fine_tuning.jobs.create(
        model=model,
        training_file=file.id,
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.3}}},
        extra_body={"adapter": {"type": "lora", "rank": 4}},
    )
    assert job.method is not None
    assert job.method.dpo is not None
    assert job.method.dpo.hyperparameters is not None
    assert (job.method.type, job.method.supervised) == ("dpo", None)
    assert (job.method.dpo.hyperparameters.beta, job.method.dpo.hyperparameters.batch_size) == (0.3, "auto")
    validate(extra(job, "dataset_version_id"))
    job = ai.fine_tuning.jobs.retrieve(job.id)
    assert job.method is not None
    assert job.method.dpo is not None
    resolved = job.method.dpo.hyperparameters
    assert resolved is not None
    assert (resolved.n_epochs, resolved.beta, resolved.learning_rate_multiplier) == (2, 0.3, 1.0)
    assert isinstance(resolved.batch_size, int)
    assert extra(job, "adapter")["rank"] == 4
    tuned = succeed(claim())
    assert ai.fine_tuning.jobs.retrieve(job.id).fine_tuned_model == tuned
    assert tuned in {found.id for found in ai.models.list()}


def test_a_job_is_paused_and_resumed(
    ai: OpenAI, model: str, file_id: str, validate: Callable[[str], None], claim: Callable[[], Lease]
) -> None:
    job = ai.fine_tuning.jobs.create(model=model, training_file=file_id)
    validate(extra(job, "dataset_version_id"))
    assert str(ai.fine_tuning.jobs.pause(job.id).status) == "paused"
    assert ai.fine_tuning.jobs.resume(job.id).status == "queued"
    claim()
    asked = ai.fine_tuning.jobs.pause(job.id)
    assert (asked.status, extra(asked, "pause_requested")) == ("running", True)
    assert extra(ai.fine_tuning.jobs.resume(job.id), "pause_requested") is False
    ai.fine_tuning.jobs.cancel(job.id)
    with pytest.raises(openai.ConflictError, match="is being cancelled"):
        ai.fine_tuning.jobs.pause(job.id)


def test_cancel_and_its_refusal(
    ai: OpenAI,
    model: str,
    file_id: str,
    validate: Callable[[str], None],
    claim: Callable[[], Lease],
    succeed: Callable[[Lease], str],
) -> None:
    job = ai.fine_tuning.jobs.create(model=model, training_file=file_id)
    assert ai.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    other = ai.fine_tuning.jobs.create(model=model, training_file=file_id, suffix="other")
    validate(extra(other, "dataset_version_id"))
    succeed(claim())
    with pytest.raises(openai.ConflictError) as caught:
        # would be repeated for minutes if we did not say that it is pointless
        ai.with_options(max_retries=5).fine_tuning.jobs.cancel(other.id)
    assert caught.value.code == "job_state_conflict"


def test_refusals_are_the_clients_exceptions(ai: OpenAI, model: str, file_id: str) -> None:
    for method, code in (("reinforcement", "unsupported_method"), ("dpo", "data_does_not_fit_method")):
        asked: Any = {"type": method}
        with pytest.raises(openai.BadRequestError) as bad:
            ai.fine_tuning.jobs.create(model=model, training_file=file_id, method=asked)
        assert (bad.value.code, bad.value.param) == (code, "method.type")
    with pytest.raises(openai.NotFoundError) as missing:
        ai.fine_tuning.jobs.create(model="gpt-99", training_file=file_id)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        ai.with_options(api_key="tb_live_wrong").models.list()
