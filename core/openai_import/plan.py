"""What an import would do, decided before anything is changed: each file and job is new, there already, or why not."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from core.datasets import inspection
from core.datasets.formats.registry import format_of
from core.datasets.types import RowKind
from core.errors import AppError
from core.openai_import import model_names
from core.openai_import.destination import Destination
from core.openai_import.export_folder import ExportFolder
from core.openai_import.types import PURPOSE, ExportedFile, ExportedJob, FileStep, JobStep, Plan, State

_CHUNK_BYTES = 1 << 20
_LOOKED_AT_BYTES = 4096
# with the byte order mark
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_NEEDED_KIND = {"supervised": RowKind.CHAT, "dpo": RowKind.PREFERENCE}
# what these ended as at OpenAI nobody wants again; naming one with --job imports it all the same
_NOT_WANTED = frozenset({"failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What whoever imports has chosen."""

    models: Mapping[str, str] = field(default_factory=dict)
    # only these jobs and their files; all that ended well when empty
    job_ids: frozenset[str] = frozenset()
    files_only: bool = False


def make(folder: ExportFolder, destination: Destination, wanted: Wanted) -> Plan:
    """Raises Invalid for an export that cannot be read; what is wrong with one file or job is said of it alone."""
    base_models = destination.base_models()
    jobs = [JobStep(job) for job in folder.jobs() if not wanted.files_only]
    for step in jobs:
        _choose(step, wanted)
    unknown = wanted.job_ids - {step.job.id for step in jobs}
    jobs += [_missing(job_id) for job_id in sorted(unknown) if not wanted.files_only]

    files = {file.id: FileStep(file) for file in folder.files()}
    needed = {file_id for step in jobs if step.state is State.NEW for file_id in _file_ids(step.job)}
    for file_id in sorted(needed - files.keys()):
        files[file_id] = FileStep(ExportedFile(id=file_id))
    known = destination.files_by_sha256()
    seen: dict[str, str] = {}
    for found in files.values():
        _look_at(found, folder, known=known, is_needed=found.file.id in needed, is_narrow=bool(wanted.job_ids))
        if found.state is State.NEW and (first := seen.setdefault(found.sha256, found.file.id)) != found.file.id:
            found.reason = f"the same contents as {first}: sent once"

    for step in jobs:
        _decide(step, files, wanted.models, base_models)
        _find_again(step, destination, folder)
    return Plan(files=list(files.values()), jobs=jobs)


def _choose(step: JobStep, wanted: Wanted) -> None:
    if wanted.job_ids and step.job.id not in wanted.job_ids:
        step.state, step.reason = State.LEFT_OUT, "not among those named with --job"
    elif not wanted.job_ids and step.job.status in _NOT_WANTED:
        step.state = State.LEFT_OUT
        step.reason = f"it {_ended(step.job.status)} at OpenAI; --job {step.job.id} imports it all the same"


def _ended(status: str) -> str:
    return "was cancelled" if status == "cancelled" else status


def _missing(job_id: str) -> JobStep:
    nameless = ExportedJob.model_construct(id=job_id, model="", training_file="", status="")
    return JobStep(nameless, state=State.IMPOSSIBLE, reason="no job of this id is in the export")


def _file_ids(job: ExportedJob) -> Iterable[str]:
    return filter(None, (job.training_file, job.validation_file))


def _look_at(
    step: FileStep, folder: ExportFolder, *, known: Mapping[str, str], is_needed: bool, is_narrow: bool
) -> None:
    file = step.file
    if not is_needed and is_narrow:
        step.state, step.reason = State.LEFT_OUT, "no job named with --job needs it"
    elif not is_needed and file.purpose != PURPOSE:
        step.state, step.reason = State.LEFT_OUT, f"its purpose is {file.purpose}; files of {PURPOSE} are imported"
    else:
        try:
            with folder.content(file.id) as stream:
                _read(step, stream)
        except AppError as error:
            step.state, step.reason = State.IMPOSSIBLE, error.message
            return
        if made_id := known.get(step.sha256):
            step.state, step.made_id = State.HERE, made_id


def _read(step: FileStep, stream: BinaryIO) -> None:
    """Its sum, and the look that the upload would have at it. Raises Invalid as the upload would."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
        step.num_bytes += len(chunk)
    step.sha256 = digest.hexdigest()
    stream.seek(0)
    # OpenAI takes JSON lines under any name; here the name's ending decides
    is_json_lines = stream.read(_LOOKED_AT_BYTES).lstrip(_BLANKS).startswith(b"{")
    name = step.file.filename or f"{step.file.id}.jsonl"
    step.filename = f"{name}.jsonl" if is_json_lines and not name.lower().endswith(".jsonl") else name
    stream.seek(0)
    step.kind = inspection.inspect(stream, format_of(step.filename)).kind


def _decide(
    step: JobStep, files: Mapping[str, FileStep], chosen: Mapping[str, str], base_models: Mapping[str, bool]
) -> None:
    """Whether a new job can be made here, and on which base model."""
    if step.state is not State.NEW:
        return
    step.model = model_names.choose(step.job.model, chosen)
    problem = (
        _problem_of_method(step.job)
        or _problem_of_model(step.job, step.model, base_models)
        or next(filter(None, (_problem_of_file(step.job, files[file_id]) for file_id in _file_ids(step.job))), None)
    )
    if problem:
        step.state, step.reason = State.IMPOSSIBLE, problem


def _problem_of_method(job: ExportedJob) -> str | None:
    if job.method_type in _NEEDED_KIND:
        return None
    if job.method_type == "reinforcement":
        return (
            "reinforcement is not available here: let the grader choose between two answers of each row, and train "
            "on these pairs with dpo"
        )
    return f"its method {job.method_type!r} is not known here"


def _problem_of_model(job: ExportedJob, model: str | None, base_models: Mapping[str, bool]) -> str | None:
    if model is None:
        suggested = model_names.suggest(job.model, [name for name, is_ready in base_models.items() if is_ready])
        advice = f": add --map {job.model}={suggested}" if suggested else "; no base model is ready here"
        if job.model.startswith("ft:"):
            return f"it goes on from the tuned model {job.model}, and a job here begins at a base model{advice}"
        return f"no model here was chosen for {job.model}{advice}"
    if model not in base_models:
        return f"there is no base model {model} here; there are {', '.join(base_models)}"
    if not base_models[model]:
        return f"the base model {model} is known here but not on the disk: ask whoever runs the installation"
    return None


def _problem_of_file(job: ExportedJob, file: FileStep) -> str | None:
    if file.state is State.IMPOSSIBLE:
        return f"its file {file.file.id} cannot be brought: {file.reason}"
    if file.kind is not _NEEDED_KIND[job.method_type]:
        return f"the method {job.method_type} does not learn from the rows of {file.file.id}, which are {file.kind}"
    return None


def _find_again(step: JobStep, destination: Destination, folder: ExportFolder) -> None:
    if step.state is State.LEFT_OUT or not step.job.model:
        return
    try:
        step.openai_losses = folder.last_losses(step.job.id)
    except AppError as error:
        step.notes.append(error.message)
    if found := destination.find_job(step.job.id):
        step.state, step.made_id, step.model = State.HERE, found["id"], found["model"]
        step.fine_tuned_model = found["fine_tuned_model"]
        step.reason = f"imported before, now {found['status'].replace('_', ' ')}"
