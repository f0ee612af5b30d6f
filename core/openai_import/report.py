"""What an import would do or did: a table, a line a step, a summary, and a JSON file that maps old ids to new ones."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.errors import Invalid
from core.kit.clock import utc_now
from core.openai_import.types import FileStep, JobStep, Plan, State

NAME = "tailorbird-import.json"
_MIB = 2**20
_PLAIN_WIDTH = 160


def show(plan: Plan) -> None:
    """Two tables: files, and jobs."""
    files = Table("file at OpenAI", "name", "size", "here", "why", title="Files", title_justify="left")
    for file in plan.files:
        _add(files, file.file.id, file.file.filename, _size(file), _here(file), file.reason)
    jobs = Table("job at OpenAI", "model there", "model here", "here", "why", title="Jobs", title_justify="left")
    for job in plan.jobs:
        _add(jobs, job.job.id, job.job.model, job.model or "", _here(job), _why(job))
    for table in filter(lambda table: table.row_count, (files, jobs)):
        _console().print(table)


def say(step: FileStep | JobStep) -> None:
    """One line, as the import goes."""
    kind, old_id = ("file", step.file.id) if isinstance(step, FileStep) else ("job", step.job.id)
    why = step.reason if isinstance(step, FileStep) else _why(step)
    print(printable(f"{kind:4}  {old_id}  {_here(step)}{f': {why}' if why else ''}"), flush=True)


def summarise(plan: Plan) -> None:
    for what, steps in (("Files", plan.files), ("Jobs", plan.jobs)):
        counts = {state: sum(step.state is state for step in steps) for state in State}
        said = ", ".join(f"{number} {state.value}" for state, number in counts.items() if number)
        print(f"{what:5}  {said or 'none'}")


def write(path: Path, plan: Plan, *, url: str) -> None:
    """Replace the report of the run before, in one step. Raises Invalid where it cannot be written."""
    found = {
        "object": "tailorbird.import",
        "url": url,
        "written_at": utc_now().isoformat(timespec="seconds"),
        "files": [_file_entry(step) for step in plan.files],
        "jobs": [_job_entry(step) for step in plan.jobs],
    }
    draft = path.with_name(f".{path.name}.new")
    try:
        # a link in its place would be followed by a plain open
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(found, stream, indent=2)
        draft.replace(path)
    except OSError as error:
        raise Invalid(
            f"The report cannot be written to {path}: {error.strerror}. Choose another place with --report.",
            code="report_unwritable",
        ) from error


def printable(text: str) -> str:
    """Names in an export may hold what moves a terminal's cursor."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _file_entry(step: FileStep) -> dict[str, Any]:
    return {
        "openai_id": step.file.id,
        "filename": step.file.filename,
        "bytes": step.num_bytes,
        "sha256": step.sha256 or None,
        "state": step.state.value,
        "file_id": step.made_id,
        "reason": step.reason or None,
    }


def _job_entry(step: JobStep) -> dict[str, Any]:
    return {
        "openai_id": step.job.id,
        "openai_model": step.job.model,
        "openai_fine_tuned_model": step.job.fine_tuned_model,
        "openai_losses": step.openai_losses,
        "state": step.state.value,
        "job_id": step.made_id,
        "model": step.model,
        "fine_tuned_model": step.fine_tuned_model,
        "reason": step.reason or None,
        "notes": step.notes,
    }


def _here(step: FileStep | JobStep) -> str:
    return f"{step.state.value} as {step.made_id}" if step.made_id else step.state.value


def _why(step: JobStep) -> str:
    return "; ".join(filter(None, (step.reason, *step.notes)))


def _size(step: FileStep) -> str:
    return f"{step.num_bytes / _MIB:.1f} MiB" if step.num_bytes >= _MIB else f"{step.num_bytes:,} B"


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(escape(printable(cell)) for cell in cells))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
