"""The curve of a run that is done, as the file that OpenAI's wire promises: one line a step, in its columns."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from core.backends.blobs import BlobStore
from core.datasets.files import NewFile
from core.datasets.purposes import Purpose
from core.jobs import service as jobs
from core.jobs.types import Lease
from core.kit.hashing import sha256_bytes
from core.kit.ids import new_id
from core.training.execution import Published, PublishedCheckpoint

FILENAME: Final = "step_metrics.csv"
_COLUMNS: Final = {
    "step": ("step",),
    "train_loss": ("train_loss",),
    "train_accuracy": ("train_mean_token_accuracy",),
    # rows that were kept back are always measured in full here
    "valid_loss": ("valid_loss", "full_valid_loss"),
    "valid_mean_token_accuracy": ("valid_mean_token_accuracy", "full_valid_mean_token_accuracy"),
}
_MEASURED: Final = (
    "train_loss",
    "train_mean_token_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
    "full_valid_loss",
    "full_valid_mean_token_accuracy",
)
# more steps than any run has
_ALL = 10**9


@dataclass(frozen=True, slots=True)
class StoredCurve:
    file: NewFile
    points: Sequence[Mapping[str, Any]]

    def of_epochs(self, epochs: Iterable[tuple[int, Published]]) -> list[PublishedCheckpoint]:
        """The checkpoints with what was measured at their steps, in the names of the wire."""
        by_step = {point["step"]: point for point in self.points}
        return [
            PublishedCheckpoint(
                step, published, {name: by_step[step][name] for name in _MEASURED if name in by_step.get(step, {})}
            )
            for step, published in epochs
        ]


def points_of(session: Session, lease: Lease) -> Sequence[Mapping[str, Any]]:
    """What the job measured of every step; of what was said twice, the later."""
    return jobs.curve(session, workspace_id=lease.workspace_id, job_id=lease.job_id, max_points=_ALL).points


def as_csv(points: Iterable[Mapping[str, Any]]) -> bytes:
    """Steps that were trained, in order; what was not measured of one is empty. The base, which is step 0, is none."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for point in points:
        if point["step"] > 0:
            writer.writerow([_first(point, names) for names in _COLUMNS.values()])
    return stream.getvalue().encode()


def store(blobs: BlobStore, points: Sequence[Mapping[str, Any]], *, key_prefix: str) -> StoredCurve:
    """Put it beside the adapter; entered with it, or swept with what its attempt left."""
    text, key = as_csv(points), f"{key_prefix}/{FILENAME}"
    blobs.put_bytes(key, text)
    file = NewFile(
        id=new_id("file-"),
        filename=FILENAME,
        purpose=Purpose.FINE_TUNE_RESULTS,
        num_bytes=len(text),
        sha256=sha256_bytes(text),
        object_key=key,
    )
    return StoredCurve(file, points)


def _first(point: Mapping[str, Any], names: Iterable[str]) -> object:
    return next((point[name] for name in names if point.get(name) is not None), "")
