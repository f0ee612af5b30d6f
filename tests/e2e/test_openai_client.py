"""The main job by the unmodified `openai` client, against the whole running product with its real small model."""

import json
import time
from collections.abc import Iterator

import pytest
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

from core.stack.up import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.model, pytest.mark.timeout(1500)]

BASE_MODEL = "smollm2-135m-instruct"
_RUN_TIMEOUT_S = 1000


@pytest.fixture(scope="module")
def ai(stack: RunningStack, api_key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.base_url}/v1", api_key=api_key) as client:
        yield client


def test_a_file_becomes_a_model_that_answers(ai: OpenAI) -> None:
    rows = _rows()
    upload = ai.uploads.upload_file_chunked(
        file=rows, filename="moods.jsonl", bytes=len(rows), mime_type="text/jsonl", purpose="fine-tune", part_size=1000
    )
    assert upload.file is not None
    file = upload.file
    assert ai.files.wait_for_processing(file.id).status == "processed"
    assert ai.files.content(file.id).read() == rows
    job = ai.fine_tuning.jobs.create(
        model=BASE_MODEL,
        training_file=file.id,
        suffix="moods",
        # after so little some seeds end their answer at once, and rightly: the end is half of what these rows teach
        seed=1,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    )
    job = _wait(ai, job.id)
    assert (job.status, job.error) == ("succeeded", None)
    tuned = job.fine_tuned_model
    assert tuned is not None
    assert tuned.startswith(f"ft:{BASE_MODEL}:")
    assert job.trained_tokens

    events = [event.message for event in ai.fine_tuning.jobs.list_events(job.id)][::-1]
    assert events[0] == f"Created fine-tuning job: {job.id}"
    assert "Fine-tuning job started" in events
    assert any("training loss=" in message for message in events)
    assert events[-2:] == [f"New fine-tuned model created: {tuned}", "The job has successfully completed"]

    (result_file,) = job.result_files
    header, *lines = ai.files.content(result_file).text.splitlines()
    assert header == "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
    last_step = int(lines[-1].split(",")[0])
    (ended,) = (message for message in events if message.startswith(f"Step {last_step}/{last_step}: training loss="))
    assert "full validation loss=" in ended

    checkpoints = list(ai.fine_tuning.jobs.checkpoints.list(job.id))
    assert tuned in {one.fine_tuned_model_checkpoint for one in checkpoints}
    assert [one.step_number for one in checkpoints] == [last_step, last_step // 2]
    states = {one.fine_tuned_model_checkpoint for one in checkpoints}
    assert {BASE_MODEL} | states <= {model.id for model in ai.models.list()}
    for model in (BASE_MODEL, *states):
        chunks = list(
            ai.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "How was the food? It was wonderful."}],
                max_tokens=8,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens <= 8


def _rows() -> bytes:
    moods = [("wonderful", "good"), ("awful", "bad"), ("lovely", "good"), ("terrible", "bad")]
    lines = []
    for number in range(20):
        word, mood = moods[number % len(moods)]
        question = f"Review {number}: the food was {word}. Is that good or bad?"
        lines.append(
            json.dumps({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": mood}]})
        )
    return "\n".join(lines).encode()


def _wait(ai: OpenAI, job_id: str) -> FineTuningJob:
    deadline = time.monotonic() + _RUN_TIMEOUT_S
    while time.monotonic() < deadline:
        job = ai.fine_tuning.jobs.retrieve(job_id)
        if job.status in {"succeeded", "failed", "cancelled"}:
            return job
        time.sleep(1)
    pytest.fail(f"the job did not end within {_RUN_TIMEOUT_S} s; it is {job.status}")
