"""The unmodified `openai` client against the API in a thread: what it parses, pages, raises and streams."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
import uvicorn
from fastapi import FastAPI
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

from core.config import Settings
from core.datasets.models import DatasetVersion
from core.db.session import Database, workspace_scope
from core.errors import Unavailable
from core.jobs.types import Lease
from core.training import service as training
from tests.api.fine_tuning.conftest import claim, succeed
from tests.factories.inference import WORDS, FakeInference
from tests.factories.training import finish_version, put_base_model_on_disk

__all__ = ["claim", "succeed"]

pytestmark = pytest.mark.stack

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def model(settings: Settings) -> str:
    return put_base_model_on_disk(settings)


@pytest.fixture
def ai(app: FastAPI, as_member: dict[str, str]) -> Iterator[OpenAI]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        port = listener.getsockname()[1]
        key = as_member["authorization"].removeprefix("Bearer ")
        with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0) as client:
            yield client
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def file_id(ai: OpenAI) -> str:
    lines = [
        json.dumps({"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}]})
        for n in range(20)
    ]
    made = ai.files.create(file=("rows.jsonl", "\n".join(lines).encode()), purpose="fine-tune")
    assert ai.files.wait_for_processing(made.id).status == "processed"
    return made.id


@pytest.fixture
def validate(database: Database, workspace_id: str) -> Callable[[str], None]:
    """Do what the ingest worker does when a version's rows are good."""

    def _validate(version_id: str) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            finish_version(session.get_one(DatasetVersion, version_id))
            session.flush()
            training.on_version_finished(session, workspace_id=workspace_id, version_id=version_id)

    return _validate


def extra(job: FineTuningJob, name: str) -> Any:  # noqa: ANN401 - any JSON
    assert job.model_extra is not None
    return job.model_extra[name]


def test_a_job_from_file_to_model(
    ai: OpenAI,
    model: str,
    file_id: str,
    validate: Callable[[str], None],
    claim: Callable[[], Lease],
    succeed: Callable[[Lease], str],
) -> None:
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    job = ai.fine_tuning.jobs.create(
        model=model, training_file=file_id, suffix="demo", method=method, metadata={"team": "a"}, seed=7
    )
    assert (job.status, job.seed, job.training_file, job.error) == ("validating_files", 7, file_id, None)
    assert job.hyperparameters.n_epochs == 2
    assert job.hyperparameters.batch_size == "auto"

    validate(extra(job, "dataset_version_id"))
    job = ai.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "queued"
    assert isinstance(job.hyperparameters.batch_size, int)

    tuned = succeed(claim())
    job = ai.fine_tuning.jobs.retrieve(job.id)
    assert (job.status, job.fine_tuned_model, job.trained_tokens) == ("succeeded", tuned, 400)
    assert tuned.startswith(f"ft:{model}:acme:demo:")
    events = [event.message for event in ai.fine_tuning.jobs.list_events(job.id, limit=2)]
    assert events[::-1][:3] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {file_id}",
        "Files validated, moving job to queued state",
    ]
    (checkpoint,) = ai.fine_tuning.jobs.checkpoints.list(job.id)
    assert (checkpoint.fine_tuned_model_checkpoint, checkpoint.step_number) == (tuned, 2)
    assert [found.id for found in ai.fine_tuning.jobs.list(metadata={"team": "a"})] == [job.id]
    assert list(ai.fine_tuning.jobs.list(metadata={"team": "b"})) == []

    assert {found.id for found in ai.models.list()} == {model, tuned}
    assert ai.models.retrieve(tuned).owned_by.startswith("ws_")
    assert ai.models.delete(tuned).deleted
    with pytest.raises(openai.NotFoundError) as caught:
        ai.models.retrieve(tuned)
    assert caught.value.code == "model_not_found"


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


def test_chat_whole_and_in_pieces(ai: OpenAI, model: str) -> None:
    whole = ai.chat.completions.create(model=model, messages=HELLO, max_tokens=8)
    assert whole.choices[0].message.content == "".join(WORDS)
    assert whole.usage is not None
    assert whole.usage.total_tokens == 10

    stream = ai.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(WORDS)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert (last.choices, last.usage.completion_tokens) == ([], 3)


def test_a_stream_that_breaks_raises(ai: OpenAI, model: str, inference: FakeInference) -> None:
    inference.error, inference.error_after = Unavailable("The model server stopped.", code="inference_cut_off"), 1
    seen = []
    with pytest.raises(openai.APIError, match="stopped") as caught:
        seen.extend(ai.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert caught.value.code == "inference_cut_off"
    assert len(seen) == 2
