"""The first look at a stranger's file, taken by a process of its own, whose end is the worst that can come of it."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO, Final

from core.config import environment_of_children
from core.datasets.formats import refusals
from core.datasets.inspection import FIRST_LOOK, Portion
from core.datasets.reading.confinement import Limits
from core.datasets.types import Inspection, Mapping
from core.errors import AppError, Invalid

logger = logging.getLogger(__name__)

# to explain why all of a large file is refused, all of it may have to be read
_LIMITS: Final = {False: Limits(), True: Limits(max_cpu_s=60, max_wall_s=120)}
# of what is skimmed, so many bytes take a second of a slow processor
_SKIMMED_BYTES_PER_S: Final = 32 * 1024 * 1024
_GRACE_S: Final = 5
_CHUNK_BYTES: Final = 1024 * 1024
_MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
_OUT_OF_MEMORY, _TOO_LARGE = 4, 5
# one allocator and one arena a process: what is reserved counts as memory
_ENVIRONMENT: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def inspect_apart(
    stream: BinaryIO,
    filename: str,
    *,
    mapping: Mapping | None = None,
    portion: Portion = FIRST_LOOK,
    reads_all: bool = False,
    directory: Path | None = None,
) -> Inspection:
    """As `inspection.inspect`. A stream that is no file of the system is passed on as far as it is wanted.

    `directory` is where a copy may lie meanwhile. Raises Invalid also if reading took too much (`file_too_complex`).
    """
    limits = _limits(portion, reads_all=reads_all)
    request = {
        "filename": filename,
        "mapping": None if mapping is None else mapping.dump(),
        "portion": asdict(portion),
        "reads_all": reads_all,
        "parent_pid": os.getpid(),
        "limits": asdict(limits),
    }
    with tempfile.TemporaryFile(dir=directory) as answer, tempfile.TemporaryFile(dir=directory) as complaints:
        environment = environment_of_children() | _ENVIRONMENT
        if directory is not None:
            environment["TMPDIR"] = str(directory)
        number = _file_number(stream)
        process = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-m", "core.datasets.reading", json.dumps(request)],
            stdin=subprocess.PIPE if number is None else number,
            stdout=answer,
            stderr=complaints,
            env=environment,
            start_new_session=True,
        )
        with _ended(process, limits.max_wall_s + _GRACE_S):
            if number is None:
                _pass_on(stream, process)
            exit_code = process.wait()
        if exit_code != 0:
            raise _failure(exit_code, complaints)
        return _answer(answer)


def _limits(portion: Portion, *, reads_all: bool) -> Limits:
    limits = _LIMITS[reads_all]
    more_s = 0 if reads_all else portion.skimmed_bytes // _SKIMMED_BYTES_PER_S
    return replace(limits, max_cpu_s=limits.max_cpu_s + more_s, max_wall_s=limits.max_wall_s + more_s)


def _file_number(stream: BinaryIO) -> int | None:
    """Of a file of the system, at its beginning; none of a stream that only looks like one."""
    try:
        number = stream.fileno()
    except OSError:
        return None
    stream.seek(0)
    os.lseek(number, 0, os.SEEK_SET)
    return number


@contextmanager
def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> Iterator[None]:
    """It ends itself in time; should it have unlearned that, it is ended."""
    timer = threading.Timer(timeout_s, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def _pass_on(stream: BinaryIO, process: subprocess.Popen[bytes]) -> None:
    # closing may want to write the last bytes to a process that has heard enough
    with suppress(BrokenPipeError):
        if process.stdin is None:
            raise TypeError("there is no pipe to it")
        with process.stdin as pipe:
            while chunk := stream.read(_CHUNK_BYTES):
                pipe.write(chunk)


def _answer(file: BinaryIO) -> Inspection:
    file.seek(0)
    found = json.loads(file.read(_MAX_ANSWER_BYTES))
    if "error" in found:
        error = found["error"]
        raise Invalid(error["message"], code=error["code"], param=error["param"], details=error["details"])
    return Inspection.model_validate(found["inspection"])


def _failure(exit_code: int, complaints: BinaryIO) -> AppError:
    complaints.seek(0)
    logger.warning("reading a file ended with %d: %s", exit_code, complaints.read()[-2000:].decode("utf-8", "replace"))
    if exit_code in {-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL}:
        cause = "Reading the beginning of the file took too long."
    elif exit_code in {_OUT_OF_MEMORY, -signal.SIGABRT}:
        cause = "Reading the file took more memory than a file may."
    elif exit_code == _TOO_LARGE:
        cause = "Unpacked, the file is too large for its kind."
    else:
        cause = "The file cannot be read; it is damaged, or built in a way that no program writes."
    return refusals.refuse("file_too_complex", cause=cause, fix="Save it as CSV UTF-8, or split it, and upload that.")
