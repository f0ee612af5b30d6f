"""Drill 25: clocks that jump by an hour. Leases are judged by the database's clock, whatever others believe."""

import time
from pathlib import Path

import httpx
import pytest

from core.jobs.states import JobState
from tests.faults.arena import LEASE_S, Arena, stub
from tests.faults.recording import Record

_LIBRARY = next(
    (
        str(path)
        for root in ("/usr/lib", "/usr/local/lib")
        for path in Path(root).glob("**/faketime/libfaketimeMT.so.1")
    ),
    "",
)
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not _LIBRARY, reason="the Debian package faketime is not installed"),
]


class Clock:
    """The clock of one process, set while it runs. Its monotonic clock goes on, as that of a machine does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, offset: str) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{offset}\n")
        draft.replace(self._file)

    @property
    def env(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": _LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@pytest.mark.drill(25)
@pytest.mark.parametrize("offset", ["+3600", "-3600"])
def test_a_workers_clock_that_jumps_by_an_hour_costs_no_lease(
    arena: Arena, tmp_path: Path, offset: str, record_figure: Record
) -> None:
    clock = Clock(tmp_path / "clock")
    arena.worker(trainer=stub(step_s=0.2), env=clock.env)
    # it would take the job over if the lease seemed to have expired
    arena.worker(trainer=stub(step_s=0.2))
    arena.started()
    runs = [arena.submit(), arena.submit()]
    for run in runs:
        arena.wait_for_step(run, 3)
    clock.set(offset)
    jumped = time.monotonic()
    arena.wait_until(lambda: time.monotonic() - jumped > 1.5 * LEASE_S, timeout_s=3 * LEASE_S, what="a lease went by")
    assert {arena.job(run).attempt for run in runs} == {1}
    # within what object stores tolerate of a signature's time
    clock.set("+600" if offset.startswith("+") else "-600")
    arena.wait_for_end(*runs, timeout_s=40)
    assert {(arena.state(run), arena.job(run).attempt) for run in runs} == {(JobState.SUCCEEDED, 1)}
    record_figure(times=2)


@pytest.mark.drill(25)
def test_a_worker_whose_clock_is_an_hour_off_all_day_still_ends_its_run_once(arena: Arena, tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    clock.set("+3600")
    arena.worker(env=clock.env)
    arena.started()
    run = arena.submit()
    arena.wait_for_step(run, 40, timeout_s=40)
    # an object store may refuse its signatures; then the run waits for a sane clock, and nothing is trained again
    arena.wait_until(
        lambda: arena.state(run) is JobState.SUCCEEDED or arena.job(run).stage == "publishing",
        timeout_s=20,
        what="it is published, or waits for that",
    )
    clock.set("+0")
    arena.wait_for_end(run, timeout_s=60)
    assert (arena.state(run), arena.job(run).attempt) == (JobState.SUCCEEDED, 1)


@pytest.mark.drill(25)
@pytest.mark.parametrize("offset", ["+3600", "-3600"])
def test_an_api_whose_clock_jumps_by_an_hour_takes_jobs_as_before(arena: Arena, tmp_path: Path, offset: str) -> None:
    clock = Clock(tmp_path / "clock")
    arena.worker()
    address = arena.api_process(env=clock.env)
    headers = {"authorization": f"Bearer {arena.api_key()}"}
    with httpx.Client(base_url=address, headers=headers, timeout=10) as api:
        for moment in ("+0", offset):
            clock.set(moment)
            key = {"idempotency-key": f"drill-{moment}"}
            made = api.post("/v1/fine_tuning/jobs", json=arena.request_body(), headers=key)
            again = api.post("/v1/fine_tuning/jobs", json=arena.request_body(), headers=key)
            assert (made.status_code, again.status_code) == (200, 200), made.text + again.text
            assert made.json()["id"] == again.json()["id"]
    arena.wait_until(
        lambda: arena.rows("select state from jobs where queue = 'cpu'") == ["succeeded", "succeeded"],
        timeout_s=40,
        what="both runs are done: neither waits for a moment that is an hour away",
    )
