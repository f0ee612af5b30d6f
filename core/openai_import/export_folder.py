"""A folder with an account's files and jobs, read without trusting it.

    files.json            a list of files, as `client.files.list()` returns them
    files/ID.jsonl        the contents of each, from `client.files.content(ID)`
    jobs.json             a list of jobs, as `client.fine_tuning.jobs.list()` returns them; or jobs/ID.json, one each
    events/JOB_ID.json    optional: the events of a job, as `client.fine_tuning.jobs.list_events(JOB_ID)` returns them

`docs/migrate-from-openai.md` has the script that makes one. Names on disk are made of ids that were checked, folders
and files are opened without following a link, and only plain files of a bounded size are read.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from core.errors import Invalid, NotFound
from core.openai_import.types import ExportedFile, ExportedId, ExportedJob

MAX_ITEMS = 10_000
_MAX_JSON_BYTES = 64 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_MAX_QUOTED_CHARS = 60
_ID: TypeAdapter[str] = TypeAdapter(ExportedId)

Item = TypeVar("Item", ExportedFile, ExportedJob)


class ExportFolder:
    def __init__(self, path: Path) -> None:
        """Raises Invalid where there is no such folder, or nothing of an export in it."""
        self.path = path
        if not path.is_dir():
            what = "is a file: unpack it first" if path.exists() else "is not there"
            raise _refused(f"The export folder {path} {what}.")
        if not any((path / name).exists() for name in ("files.json", "files", "jobs.json", "jobs")):
            raise _refused(
                f"{path} holds no export: neither files.json nor files/, neither jobs.json nor jobs/. "
                "docs/migrate-from-openai.md has the script that makes one."
            )

    def files(self) -> list[ExportedFile]:
        """Those listed, then those whose contents are there without being listed. Raises Invalid for a broken list."""
        found = {file.id: file for file in self._listed("files.json", ExportedFile)}
        for name in self._names("files", ".jsonl"):
            file_id = name.removesuffix(".jsonl")
            if file_id not in found and _is_id(file_id):
                found[file_id] = ExportedFile(id=file_id, filename=name)
        return _bounded(list(found.values()), "files")

    def jobs(self) -> list[ExportedJob]:
        """Oldest first. Raises Invalid for a broken list, or a broken one among them."""
        found = {job.id: job for job in self._listed("jobs.json", ExportedJob)}
        for name in self._names("jobs", ".json"):
            place = f"jobs/{name}"
            job = _item(self._json("jobs", name), ExportedJob, place)
            found[job.id] = job
        return _bounded(sorted(found.values(), key=lambda job: (job.created_at, job.id)), "jobs")

    @contextmanager
    def content(self, file_id: str) -> Iterator[BinaryIO]:
        """Raises NotFound where the export lacks it, and Invalid for what is no plain file."""
        with self._open("files", f"{file_id}.jsonl") as stream:
            yield stream

    def last_losses(self, job_id: str) -> dict[str, float] | None:
        """The last `train_loss` and `valid_loss` of the job's events; None without any. Raises Invalid if broken."""
        try:
            events = _list_of(self._json("events", f"{job_id}.json"), f"events/{job_id}.json")
        except NotFound:
            return None
        found: dict[str, float] = {}
        # newest first, as the client lists them
        for event in events:
            data = event.get("data") if isinstance(event, dict) else None
            for name in ("train_loss", "valid_loss", "full_valid_loss"):
                value = data.get(name) if isinstance(data, dict) else None
                if isinstance(value, int | float):
                    found.setdefault(name, value)
        return found or None

    def _listed(self, name: str, kind: type[Item]) -> list[Item]:
        try:
            items = _list_of(self._json(None, name), name)
        except NotFound:
            return []
        return [_item(item, kind, f"{name}, item {number}") for number, item in enumerate(items, start=1)]

    def _names(self, folder: str, ending: str) -> list[str]:
        try:
            descriptor = self._open_folder(folder)
        except NotFound:
            return []
        try:
            with os.scandir(descriptor) as entries:
                return sorted(entry.name for entry in entries if entry.name.endswith(ending) and entry.name[0] != ".")
        finally:
            os.close(descriptor)

    def _json(self, folder: str | None, name: str) -> Any:  # noqa: ANN401 - any JSON
        place = f"{folder}/{name}" if folder else name
        with self._open(folder, name) as stream:
            content = stream.read(_MAX_JSON_BYTES + 1)
        if len(content) > _MAX_JSON_BYTES:
            raise _refused(f"{place} is larger than {_MAX_JSON_BYTES // 2**20} MiB, which no list of an export is.")
        try:
            # infinities and depth that would end the interpreter are refused too
            return from_json(content.removeprefix(_BOM), allow_inf_nan=False)
        except ValueError as error:
            raise _refused(
                f"{place} is not JSON: {error}. Export it again; a download that broke off ends like that."
            ) from None

    @contextmanager
    def _open(self, folder: str | None, name: str) -> Iterator[BinaryIO]:
        place = f"{folder}/{name}" if folder else name
        at = self._open_folder(folder)
        try:
            # a pipe would wait for a writer for ever
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=at)
        except OSError as error:
            raise _unopened(place, error) from None
        finally:
            os.close(at)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _refused(f"{place} is not a plain file, and only plain files are read.")
        with os.fdopen(descriptor, "rb") as stream:
            yield stream

    def _open_folder(self, folder: str | None) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        if folder is None:
            return os.open(self.path, flags)
        try:
            return os.open(self.path / folder, flags | os.O_NOFOLLOW)
        except NotADirectoryError:
            raise _refused(f"{folder} is a link or a file where an export has a folder.") from None
        except OSError as error:
            raise _unopened(folder, error) from None


def _unopened(place: str, error: OSError) -> Invalid | NotFound:
    if error.errno == errno.ENOENT:
        return NotFound(f"{place} is not in the export; OpenAI may have deleted it.", code="export_incomplete")
    if error.errno == errno.ELOOP:
        return _refused(f"{place} is a link, and only plain files are read: put the file itself there.")
    return _refused(f"{place} cannot be read: {error.strerror}.")


def _list_of(found: Any, place: str) -> list[Any]:  # noqa: ANN401 - any JSON
    """A list, or a page of one as the wire has it."""
    items = found.get("data") if isinstance(found, dict) else found
    if not isinstance(items, list):
        raise _refused(f'{place} holds no list: it must be [...] or {{"data": [...]}}.')
    return items


def _item(found: Any, kind: type[Item], place: str) -> Item:  # noqa: ANN401 - any JSON
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "it"
        if problem["type"] == "string_pattern_mismatch":
            raise _refused(f"{place}: {where} is {_quoted(problem['input'])}, which is no id of OpenAI's.") from None
        raise _refused(f"{place}: {where}: {problem['msg']}.") from None


def _bounded(items: list[Item], what: str) -> list[Item]:
    if len(items) > MAX_ITEMS:
        raise _refused(f"The export has {len(items):,} {what}; {MAX_ITEMS:,} at a time are read. Split it.")
    return items


def _is_id(text: str) -> bool:
    try:
        _ID.validate_python(text)
    except ValidationError:
        return False
    return True


def _quoted(value: object) -> str:
    return repr(str(value)[:_MAX_QUOTED_CHARS])


def _refused(message: str) -> Invalid:
    return Invalid(message, code="export_unreadable")
