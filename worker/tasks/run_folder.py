"""The folder that a run's child works in, `runs/<job>/a<attempt>`, with what an earlier attempt here left behind."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from core.datasets.types import RowRecord
from core.jobs.types import Lease

CHECKPOINTS = "checkpoints"
# by then the job has long ended elsewhere
_MAX_AGE_S = 7 * 24 * 3600


def make(runs_dir: Path, lease: Lease) -> Path:
    """A fresh folder for this attempt that inherits the newest checkpoints of earlier ones; those are removed."""
    _sweep(runs_dir, keep=lease.job_id)
    of_job = runs_dir / lease.job_id
    folder = of_job / f"a{lease.attempt}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for earlier in sorted(of_job.iterdir(), key=_attempt, reverse=True):
        if earlier == folder:
            continue
        checkpoints = earlier / CHECKPOINTS
        if not (folder / CHECKPOINTS).exists() and checkpoints.is_dir() and any(checkpoints.iterdir()):
            # a move, so that a child that lost its lease and still writes finds its folder gone
            checkpoints.rename(folder / CHECKPOINTS)
        shutil.rmtree(earlier, ignore_errors=True)
    return folder


def write_rows(path: Path, rows: Iterable[RowRecord]) -> int:
    """One JSON row a line; the number of rows."""
    num_rows = 0
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(row.model_dump_json() + "\n")
            num_rows += 1
    return num_rows


def remove(runs_dir: Path, job_id: str) -> None:
    shutil.rmtree(runs_dir / job_id, ignore_errors=True)


def _attempt(folder: Path) -> int:
    number = folder.name.removeprefix("a")
    return int(number) if number.isdecimal() else -1


def _sweep(runs_dir: Path, *, keep: str) -> None:
    """Remove what jobs left here that went on, or were given up, on another machine."""
    if not runs_dir.is_dir():
        return
    oldest = time.time() - _MAX_AGE_S
    for folder in runs_dir.iterdir():
        if folder.name != keep and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
