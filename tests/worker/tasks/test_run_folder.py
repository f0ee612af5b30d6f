import os
import time
from pathlib import Path

from core.jobs.kinds import JobKind
from core.jobs.types import Lease
from worker.tasks import run_folder


def lease(attempt: int) -> Lease:
    return Lease(
        job_id="job_1", workspace_id="ws", kind=JobKind.TRAINING_RUN, attempt=attempt, payload={}, worker_id="w"
    )


def leave_checkpoint(folder: Path, name: str) -> None:
    (folder / "checkpoints" / name).mkdir(parents=True)


def test_an_attempt_goes_on_from_the_newest_that_left_a_checkpoint(tmp_path: Path) -> None:
    for attempt in (1, 2, 10):
        leave_checkpoint(tmp_path / "job_1" / f"a{attempt}", f"of-{attempt}")
    (tmp_path / "job_1" / "a11").mkdir()
    made = run_folder.make(tmp_path, lease(12))
    assert [path.name for path in (made / "checkpoints").iterdir()] == ["of-10"]
    assert [path.name for path in (tmp_path / "job_1").iterdir()] == ["a12"]


def test_the_first_attempt_starts_empty(tmp_path: Path) -> None:
    assert list(run_folder.make(tmp_path, lease(1)).iterdir()) == []


def test_what_other_jobs_left_long_ago_is_removed(tmp_path: Path) -> None:
    for name, age_s in (("job_old", 30 * 24 * 3600), ("job_young", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    run_folder.make(tmp_path, lease(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job_1", "job_young"]
