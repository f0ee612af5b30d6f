"""`tailorbird demo`: the main job from end to end, by the public REST API alone.

Sample data in; a QLoRA run on the bundled model; its loss on rows that it never saw, beside the base model's; the
answers of both to the same questions. Uses the stack that runs from this home, or starts one for the time being.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

from core.config import Settings
from core.errors import AppError, Unavailable
from core.stack import demo_report, first_admin
from core.stack.api_client import ApiClient
from core.stack.demo_report import Answer, Outcome, Progress
from core.stack.home import Home
from core.stack.leftovers import holder
from core.stack.programs import PROJECT
from core.stack.up import database_url_of, is_ready, running_stack
from core.workspaces.types import MadeKey

BASE_MODEL = "smollm2-135m-instruct"
SAMPLE = PROJECT / "deploy" / "samples" / "reviews.csv"
RESULTS = PROJECT / "bench" / "results" / "demo.json"
RECIPE = "fast"
NUM_QUESTIONS = 3
_POLL_S = 1.0
_VERSION_TIMEOUT_S = 600
_MAX_ANSWER_TOKENS = 24

Found = dict[str, Any]


def run(settings: Settings) -> int:
    begun = time.monotonic()
    with ExitStack() as stack:
        base_url = _stack(settings, stack)
        api = stack.enter_context(ApiClient(base_url))
        key = _make_key(api, settings)
        # a key that nobody needs after the demo should not outlive it, however the demo ends
        stack.callback(_revoke, api, key)
        outcome = _tune_and_compare(api, begun)
        demo_report.show(outcome)
        demo_report.write(RESULTS, outcome)
    print(f"\nFigures  {RESULTS.relative_to(PROJECT)}")
    print(f"Look at  {settings.public_url}/train/{outcome.job['id']}  (while `make up` runs)")
    return 0


def _stack(settings: Settings, stack: ExitStack) -> str:
    if is_ready(settings.home):
        base_url = str((holder(Home(settings.home.absolute())) or {})["api_url"])
        print(f"Using the stack that runs at {base_url}.", flush=True)
        return base_url
    print("Starting the stack; the first time takes about half a minute …", flush=True)
    port = urlsplit(settings.public_url).port or 8700
    return stack.enter_context(running_stack(settings.home, public_port=port)).base_url


def _make_key(api: ApiClient, settings: Settings) -> MadeKey:
    """This machine holds the database, so that nobody has to sign in to act as who runs it."""
    home, database_url = Home(settings.home.absolute()), database_url_of(settings.home)
    if (admin := first_admin.ensure(home, database_url)) is not None:
        print(f"Acting as {admin.email} (its first password is in {home.path / 'admin.json'}).", flush=True)
    made = first_admin.make_key(database_url, name="demo")
    api.use_key(made.secret)
    return made


def _revoke(api: ApiClient, made: MadeKey) -> None:
    try:
        api.delete(f"/v1/api_keys/{made.key.id}")
    except AppError as error:  # must not hide why the demo itself failed
        print(f"The demo's API key …{made.key.last4} could not be revoked: {error.message}")


def _tune_and_compare(api: ApiClient, begun: float) -> Outcome:
    version = _upload(api)
    _show_price(api, version["id"])
    job = api.post(
        "/v1/fine_tuning/jobs",
        json={
            "model": BASE_MODEL,
            "dataset_version_id": version["id"],
            "recipe": RECIPE,
            "adapter": {"type": "qlora"},
            "suffix": "demo",
            "name": "Demo: customer reviews",
        },
    )
    print(f"Run {job['id']} is accepted.", flush=True)
    job = _train(api, job["id"])
    rows = api.get(f"/v1/dataset_versions/{version['id']}/rows", filter="heldout", limit=NUM_QUESTIONS)["data"]
    answers = [_answer(api, job["fine_tuned_model"], row["messages"]) for row in rows]
    return Outcome(job=job, answers=answers, seconds_total=time.monotonic() - begun)


def _upload(api: ApiClient) -> Found:
    with SAMPLE.open("rb") as stream:
        file = api.post("/v1/files", files={"file": (SAMPLE.name, stream, "text/csv")}, data={"purpose": "fine-tune"})
    dataset = api.post("/v1/datasets", json={"file_id": file["id"], "name": "Customer reviews (demo)"})
    path = f"/v1/dataset_versions/{dataset['latest_version']['id']}"
    with Progress("Checking the examples") as progress:
        version = _follow(api, path, progress, lambda found: found["status"] != "validating", _VERSION_TIMEOUT_S)
    if version["status"] != "ready":
        reason = (version.get("error") or {}).get("message") or version["status"]
        raise Unavailable(f"The sample data could not be read in: {reason}", code="demo_data_failed")
    print(
        f"{version['num_train']} examples to learn from, {version['num_heldout']} held out for the test, "
        f"{version['num_tokens']} tokens.",
        flush=True,
    )
    return version


def _show_price(api: ApiClient, version_id: str) -> None:
    body = {"dataset_version_id": version_id, "model": BASE_MODEL, "recipe": RECIPE, "adapter": {"type": "qlora"}}
    plan = api.post("/v1/fine_tuning/estimates", json=body)
    estimate = next(found for found in plan["estimates"] if found["recipe"] == RECIPE)
    print(
        f"Estimate: {estimate['seconds_low']:.0f} to {estimate['seconds_high']:.0f} s, "
        f"${estimate['cost_usd_low']:.4f} to ${estimate['cost_usd_high']:.4f} "
        f"at ${plan['price']['usd_per_hour']:.3f} an hour.",
        flush=True,
    )


def _train(api: ApiClient, job_id: str) -> Found:
    path = f"/v1/fine_tuning/jobs/{job_id}"

    def is_over(found: Found) -> bool:
        return found["status"] in {"succeeded", "failed", "cancelled"}

    job: Found = {"status": "unknown"}
    try:
        with Progress("Training") as progress:
            job = _follow(api, path, progress, is_over)
    finally:
        if not is_over(job):
            # an interrupted demo must not train on at somebody's cost
            with suppress(AppError):
                api.post(f"{path}/cancel")
    if job["status"] != "succeeded":
        reason = (job.get("error") or {}).get("message") or "no reason was given"
        raise Unavailable(f"The run {job_id} ended as {job['status']}: {reason}", code="demo_run_failed")
    return job


def _follow(
    api: ApiClient,
    path: str,
    progress: Progress,
    is_over: Callable[[Found], bool],
    timeout_s: float = float("inf"),
) -> Found:
    deadline = time.monotonic() + timeout_s
    while True:
        found = api.get(path)
        progress.show(found, _last_loss(api, found))
        if is_over(found):
            return found
        if time.monotonic() > deadline:
            raise Unavailable(f"{path} was not finished after {timeout_s:.0f} s.", code="demo_timeout")
        time.sleep(_POLL_S)


def _last_loss(api: ApiClient, found: Found) -> float | None:
    if found.get("object") != "fine_tuning.job" or found["status"] != "running":
        return None
    metrics = api.get(f"/v1/fine_tuning/jobs/{found['id']}/metrics")["data"]
    losses = [line["train_loss"] for line in metrics if line.get("train_loss") is not None]
    return float(losses[-1]) if losses else None


def _answer(api: ApiClient, tuned: str, messages: list[Found]) -> Answer:
    asked = [message for message in messages if message["role"] != "assistant"]
    return Answer(
        question=str(asked[-1]["content"]),
        expected=str(messages[-1]["content"]),
        base=_ask(api, BASE_MODEL, asked),
        tuned=_ask(api, tuned, asked),
    )


def _ask(api: ApiClient, model: str, messages: list[Found]) -> str:
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": _MAX_ANSWER_TOKENS}
    answer = api.post("/v1/chat/completions", json=body)
    return str(answer["choices"][0]["message"]["content"]).strip()
