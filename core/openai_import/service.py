"""`tailorbird import openai`: an account's fine-tuning files and jobs, made again here through the public API.

Nothing is kept beside the installation itself: files are known by the sum of their contents, and jobs by the old id in
their metadata. A second run, after a crash or not, makes only what is missing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.errors import AppError, Invalid
from core.openai_import import plan as planning
from core.openai_import import report
from core.openai_import.destination import Destination
from core.openai_import.export_folder import ExportFolder
from core.openai_import.plan import Wanted
from core.openai_import.types import JOB_KEY, MODEL_KEY, FileStep, JobStep, Plan, State
from core.stack.api_client import ApiClient
from core.training.request import MAX_METADATA_PAIRS, MAX_METADATA_VALUE_CHARS

# what a refusal for one thing alone answers with; after anything else nothing would go better
_OWN_FAULT = frozenset({400, 404, 409, 413, 422})


@dataclass(frozen=True, slots=True)
class Import:
    folder: Path
    url: str
    key: str
    wanted: Wanted
    keeps_hyperparameters: bool = True
    is_dry_run: bool = False
    report: Path | None = None


def run(asked: Import) -> int:
    """0 when all that was wanted is here, 1 when something could not be. Raises AppError for what ends it all."""
    key = _checked_key(asked.key)
    folder = ExportFolder(asked.folder)
    with ApiClient(base_address(asked.url)) as api:
        api.use_key(key)
        destination = Destination(api)
        plan = planning.make(folder, destination, asked.wanted)
        if asked.is_dry_run:
            report.show(plan)
            report.summarise(plan)
            return _status_of(plan)
        target = asked.report or asked.folder / report.NAME
        try:
            _carry_out(plan, folder, destination, keeps_hyperparameters=asked.keeps_hyperparameters)
        finally:
            # of half an import too
            report.write(target, plan, url=asked.url)
            report.summarise(plan)
            print(f"Report  {target}")
    return _status_of(plan)


def base_address(url: str) -> str:
    """Of what a browser shows or what `OpenAI(base_url=…)` is given. Raises Invalid for what is no address."""
    try:
        parts = urlsplit(url.strip())
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise Invalid(f"--url {url!r} is not an address such as https://tailorbird.example.com.", code="url_invalid")
    return url.strip().rstrip("/").removesuffix("/v1")


def _checked_key(key: str) -> str:
    key = key.strip()
    if not key:
        raise Invalid("No API key: give --key, or set TAILORBIRD_API_KEY.", code="api_key_missing")
    if not key.isascii() or not key.isprintable():
        raise Invalid("The API key holds characters that no key has; was it copied whole?", code="api_key_missing")
    return key


def _status_of(plan: Plan) -> int:
    return 1 if plan.count(State.IMPOSSIBLE, State.FAILED) else 0


def _carry_out(plan: Plan, folder: ExportFolder, destination: Destination, *, keeps_hyperparameters: bool) -> None:
    made: dict[str, str] = {}
    for file in plan.files:
        with _told(file):
            if file.state is State.NEW:
                _upload(file, folder, destination, made)
    ids = {file.file.id: file.made_id for file in plan.files}
    for job in plan.jobs:
        with _told(job):
            if job.state is State.NEW:
                _create(job, ids, destination, keeps_hyperparameters=keeps_hyperparameters)


@contextmanager
def _told(step: FileStep | JobStep) -> Iterator[None]:
    """A refusal of one file or job is said of it. Raises what the others would meet too."""
    try:
        yield
    except AppError as error:
        step.state, step.reason = State.FAILED, error.message
        if error.details.get("status", 400) not in _OWN_FAULT or error.error_code == "api_unreachable":
            raise
    finally:
        report.say(step)


def _upload(step: FileStep, folder: ExportFolder, destination: Destination, made: dict[str, str]) -> None:
    """Equal contents under several of OpenAI's ids are one file here."""
    if known := made.get(step.sha256):
        step.state, step.made_id = State.HERE, known
        return
    with folder.content(step.file.id) as stream:
        step.made_id = destination.upload(stream, filename=step.filename, num_bytes=step.num_bytes, sha256=step.sha256)
    step.state = State.MADE
    made[step.sha256] = step.made_id


def _create(
    step: JobStep, ids: Mapping[str, str | None], destination: Destination, *, keeps_hyperparameters: bool
) -> None:
    body = _body(step, ids, keeps_hyperparameters=keeps_hyperparameters)
    found = destination.create_job(body, openai_job_id=step.job.id)
    step.state, step.made_id = State.MADE, found["id"]


def _body(step: JobStep, ids: Mapping[str, str | None], *, keeps_hyperparameters: bool) -> dict[str, Any]:
    """The create call that made the job, with ids and model of here. Raises Invalid if a file of it was refused."""
    job = step.job
    files = {name: file_id for name in ("training_file", "validation_file") if (file_id := getattr(job, name))}
    for file_id in files.values():
        if ids[file_id] is None:
            raise Invalid(f"its file {file_id} could not be uploaded", code="export_incomplete")
    hyperparameters = job.sent_hyperparameters if keeps_hyperparameters else {}
    if job.integrations:
        step.notes.append("its integrations are left out: follow it by its events or webhooks")
    return {
        "model": step.model,
        **{name: ids[file_id] for name, file_id in files.items()},
        "method": {"type": job.method_type, job.method_type: {"hyperparameters": hyperparameters}},
        **({"suffix": job.suffix} if job.suffix else {}),
        **({"seed": job.seed} if job.seed is not None else {}),
        "metadata": _metadata(step),
    }


def _metadata(step: JobStep) -> dict[str, str]:
    """Its own, and by what it is found again; where there is no room for all, the last of its own give way."""
    job = step.job
    ours = {JOB_KEY: job.id}
    if job.fine_tuned_model and len(job.fine_tuned_model) <= MAX_METADATA_VALUE_CHARS:
        ours[MODEL_KEY] = job.fine_tuned_model
    own = {key: value for key, value in (job.metadata or {}).items() if key not in ours}
    kept = dict(list(own.items())[: MAX_METADATA_PAIRS - len(ours)])
    if left_out := own.keys() - kept.keys():
        step.notes.append(f"no room for its metadata {', '.join(sorted(left_out))}")
    return kept | ours
