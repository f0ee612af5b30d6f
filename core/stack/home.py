"""The one folder on disk (`TAILORBIRD_HOME`): who holds it, its secrets, and what was started from it.

A home is held by one process at a time (an advisory lock that dies with the process). What that process started is
written to `state.json`, so that the next holder can end what a killed one left behind.
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from core.errors import AppError, Conflict, Invalid, Unavailable

MIN_FREE_BYTES = 1024**3
_MAX_LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once per home; only its owner may read the file."""

    database_superuser_password: str
    database_owner_password: str
    database_app_password: str
    redis_password: str
    s3_access_key_id: str
    s3_secret_access_key: str
    secret_key: str
    inference_token: str
    worker_token: str

    @classmethod
    def new(cls) -> "Secrets":
        return cls(**{name: secrets.token_hex(32) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Home:
    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def secrets(self) -> Secrets:
        known = self.read("secrets.json")
        if not known and (self.path / "postgres" / "data").exists():
            raise Invalid(
                f"{self.path}/secrets.json is missing, and the database beside it opens only with the passwords in it. "
                "Put the file back, or move the whole folder away to start anew.",
                code="secrets_missing",
            )
        complete = {name: known.get(name, value) for name, value in _as_dict(Secrets.new()).items()}
        if complete != known:
            self.write("secrets.json", complete)
        return Secrets(**complete)

    def renew_worker_token(self) -> str:
        """Another secret for this machine's own workers: the last one was revoked."""
        token = Secrets.new().worker_token
        self.write("secrets.json", {**_as_dict(self.secrets()), "worker_token": token})
        return token

    def read(self, name: str) -> dict[str, Any]:
        """A JSON object kept in the home; empty if it is not there."""
        try:
            found: dict[str, Any] = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise Invalid(
                f"{self.path / name} is damaged (not JSON). Restore it from a backup, or move it away.",
                code="home_file_damaged",
            ) from None
        return found

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Keep a JSON object, readable by the owner alone; a crash leaves the old one or the new one."""
        draft = self.path / f".{name}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(content, stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self.path / name)


@contextmanager
def held_home(path: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> Iterator[Home]:
    """The home, prepared and held by this process until the block ends."""
    home = Home(path.absolute())
    with disk_errors(home.path):
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.logs.mkdir(mode=0o700, exist_ok=True)
        lock = (home.path / "lock").open("a+")
    with lock:
        _take(lock, home.path)
        _check_free_space(home.path, min_free_bytes)
        with disk_errors(home.path):
            _turn_logs(home.logs)
        yield home


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what the file system says no to into one sentence."""
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error


def translated(error: OSError, path: Path) -> AppError:
    where = error.filename or path
    match error.errno:
        case 28 | 122:  # ENOSPC, EDQUOT
            return Unavailable(
                f"The disk that holds {path} is full. Free some space and start again.", code="disk_full"
            )
        case 1 | 13 | 30:  # EPERM, EACCES, EROFS
            return Invalid(
                f"{where} cannot be read and written by this user. Change its owner or permissions, or choose another "
                "folder with TAILORBIRD_HOME.",
                code="home_not_accessible",
            )
        case 17 | 20:  # EEXIST, ENOTDIR
            return Invalid(f"{where} is in the way: it is not a folder.", code="home_not_a_folder")
    return Unavailable(f"{where}: {error.strerror or error}.", code="disk_error")


def _as_dict(values: Secrets) -> dict[str, str]:
    return {name: getattr(values, name) for name in Secrets.__dataclass_fields__}


def _take(lock: TextIO, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(
            f"Tailorbird is already running from {path}. Use that one, stop it first, or choose another folder with "
            "TAILORBIRD_HOME.",
            code="home_in_use",
        ) from None


def _check_free_space(path: Path, min_free_bytes: int) -> None:
    free = shutil.disk_usage(path).free
    if free < min_free_bytes:
        raise Unavailable(
            f"The disk that holds {path} has {free // 1024**2} MiB left; Tailorbird needs at least "
            f"{min_free_bytes // 1024**2} MiB. Free some space, or choose another folder with TAILORBIRD_HOME.",
            code="disk_full",
        )


def _turn_logs(logs: Path) -> None:
    """Keep one old log beside each long one."""
    for log in logs.glob("*.log"):
        if log.stat().st_size > _MAX_LOG_BYTES:
            log.replace(log.with_suffix(".old.log"))
