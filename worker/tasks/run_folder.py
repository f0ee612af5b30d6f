"""The folder that a run's child works in, `runs/<job>/a<attempt>`, with what an earlier attempt here left behind."""

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.datasets.health.overlap import Overlap, OverlapCheck
from core.datasets.types import RowRecord
from core.jobs.types import Lease

CHECKPOINTS, ADAPTER, EPOCHS = "checkpoints", "adapter", "epochs"
_MANIFEST = "manifest.json"
# by then the job has long ended elsewhere
_MAX_AGE_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path
    inherited_from: int | None = None
    """The attempt whose checkpoints were moved here."""

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINTS

    @property
    def adapter(self) -> Path:
        return self.path / ADAPTER

    @property
    def epochs(self) -> Path:
        """Where the adapter lies as it was after the last epochs, a folder `step-…` each."""
        return self.path / EPOCHS


def make(runs_dir: Path, lease: Lease) -> RunFolder:
    """A fresh folder for this attempt.

    It inherits the newest checkpoints and the newest finished adapter of earlier attempts, whose folders are removed.
    """
    _sweep(runs_dir, keep=lease.job_id)
    of_job = runs_dir / lease.job_id
    folder = of_job / f"a{lease.attempt}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    inherited_from: int | None = None
    # never those of later attempts: this one may have been asleep
    earlier = [path for path in of_job.iterdir() if 0 <= _attempt(path) < lease.attempt]
    for old in sorted(earlier, key=_attempt, reverse=True):
        checkpoints, adapter = old / CHECKPOINTS, old / ADAPTER
        # moves, so that a child that lost its lease and still writes finds its folder gone
        if inherited_from is None and checkpoints.is_dir() and any(checkpoints.iterdir()):
            checkpoints.rename(folder / CHECKPOINTS)
            inherited_from = _attempt(old)
        if not (folder / ADAPTER).exists() and (adapter / _MANIFEST).exists():
            adapter.rename(folder / ADAPTER)
            if (old / EPOCHS).is_dir():
                (old / EPOCHS).rename(folder / EPOCHS)
        shutil.rmtree(old, ignore_errors=True)
    return RunFolder(folder, inherited_from)


def write_rows(path: Path, rows: Iterable[RowRecord]) -> int:
    """One JSON row a line, with the fields of its kind; the number of rows."""
    num_rows = 0
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps({"number": row.number} | row.dump_content(), ensure_ascii=False) + "\n")
            num_rows += 1
    return num_rows


def overlap(train: Path, heldout: Path) -> Overlap:
    """What of the rows to measure with is learned from too."""
    check = OverlapCheck()
    for path, feed in ((train, check.learn), (heldout, check.measure)):
        with path.open("rb") as lines:
            for line in lines:
                row = RowRecord.model_validate_json(line)
                feed(row.number, row)
    return check.found()


def remove(runs_dir: Path, job_id: str) -> None:
    shutil.rmtree(runs_dir / job_id, ignore_errors=True)


def of_jobs(runs_dir: Path) -> list[Path]:
    """The folders of all jobs that left something here; each has the name of its job."""
    return [path for path in runs_dir.iterdir() if path.is_dir()] if runs_dir.is_dir() else []


def _attempt(folder: Path) -> int:
    number = folder.name.removeprefix("a")
    return int(number) if number.isdecimal() else -1


def _sweep(runs_dir: Path, *, keep: str) -> None:
    """Remove what jobs left here that went on, or were given up, on another machine, and that no sweep knew of."""
    if not runs_dir.is_dir():
        return
    oldest = time.time() - _MAX_AGE_S
    for folder in of_jobs(runs_dir):
        if folder.name != keep and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
