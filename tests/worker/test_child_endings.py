"""Why a child is ended: a pause, a budget, no progress, too much memory, a drain; and what it printed meanwhile."""

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.types import Lease
from tests.factories.children import DEAF, GENTLE, WAIT_FOR_EVER, on_ready
from worker import memory
from worker.context import WorkContext
from worker.lease_file import LEASE_FILE
from worker.lease_keeper import LeaseKeeper
from worker.supervise import ChildResult, JobInterrupted, JobPaused

pytestmark = pytest.mark.stack

Run = Callable[..., ChildResult]


def with_settings(context: WorkContext, **changes: object) -> WorkContext:
    return replace(context, settings=context.settings.model_copy(update=changes))


class TestPause:
    def test_its_owner_asks_and_it_saves_its_place(self, run: Run, lease: Lease, database: Database) -> None:
        def pause() -> None:
            with database.session(SYSTEM) as session:
                jobs.request_pause(session, workspace_id=lease.workspace_id, job_id=lease.job_id)

        with pytest.raises(JobPaused) as caught:
            run(GENTLE + WAIT_FOR_EVER, on_event=on_ready(pause))
        assert (caught.value.reason, caught.value.result.exit_code) == ("requested", 3)

    def test_it_ends_when_it_has_used_up_what_it_may_cost(self, run: Run, lease: Lease) -> None:
        steps = (
            "for n in range(1000):\n say(type='progress', step=n, total_steps=1000, billable_s=n)\n time.sleep(0.01)"
        )
        with pytest.raises(JobPaused) as caught:
            run(GENTLE + steps, lease=replace(lease, payload={"max_billable_s": 5.0}))
        assert caught.value.reason == "budget"
        assert 5 <= caught.value.result.billable_s < 200

    def test_without_a_limit_what_is_billable_is_only_told(self, run: Run) -> None:
        script = (
            "say(type='progress', step=1, total_steps=1, billable_s=3)\nsay(type='result', data={'billable_s': 4.5})"
        )
        assert run(script).billable_s == 4.5


class TestWatchdog:
    def test_a_child_that_says_nothing_is_ended_and_its_result_tells(self, run: Run) -> None:
        result = run(GENTLE + WAIT_FOR_EVER, no_progress_s=0.5)
        assert (result.exit_code, result.made_no_progress) == (3, True)

    def test_one_that_does_not_listen_is_killed(self, run: Run, context: WorkContext) -> None:
        result = run(DEAF, context=with_settings(context, no_progress_s=0.5, kill_grace_s=0.3))
        assert (result.exit_code, result.made_no_progress) == (-signal.SIGKILL, True)
        assert not result.memory_was_exhausted

    def test_one_that_stands_still_is_killed(self, run: Run) -> None:
        result = run("os.kill(os.getpid(), signal.SIGSTOP)", no_progress_s=0.5, grace_s=0.3)
        assert result.made_no_progress

    def test_signs_of_life_keep_it(self, run: Run) -> None:
        script = "for n in range(15):\n say(type='alive')\n time.sleep(0.1)"
        result = run(script, no_progress_s=1)
        assert (result.exit_code, result.made_no_progress) == (0, False)


class TestMemory:
    def test_one_that_uses_more_than_it_may_is_ended_as_exhausted(self, run: Run, context: WorkContext) -> None:
        greedy = "hoard = [bytearray(os.urandom(1 << 20)) for _ in range(200)]\n" + WAIT_FOR_EVER
        result = run(greedy, context=with_settings(context, child_memory_bytes=100 << 20))
        assert (result.exit_code, result.memory_was_exhausted) == (-signal.SIGKILL, True)

    def test_its_helpers_count(self, run: Run, context: WorkContext) -> None:
        greedy = "subprocess.Popen([sys.executable, '-c', 'x = bytes(bytearray(200 << 20)); input()'], stdin=-1)\n"
        result = run(greedy + WAIT_FOR_EVER, context=with_settings(context, child_memory_bytes=100 << 20))
        assert result.memory_was_exhausted

    def test_a_kill_counts_as_exhaustion_only_if_the_kernel_says_so(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        die = "os.kill(os.getpid(), signal.SIGKILL)"
        assert not run(die).memory_was_exhausted
        counts = iter([3, 4])
        monkeypatch.setattr(memory, "num_oom_kills", lambda: next(counts))
        assert run(die).memory_was_exhausted

    def test_the_kernel_takes_the_child_before_anything_of_ours(self, run: Run) -> None:
        result = run("say(type='result', data={'score': open('/proc/self/oom_score_adj').read()})")
        assert result.result == {"score": "1000\n"}


class TestDrain:
    def test_a_worker_that_is_drained_now_interrupts_its_child(self, run: Run, context: WorkContext) -> None:
        with pytest.raises(JobInterrupted):
            run(GENTLE + WAIT_FOR_EVER, on_event=on_ready(context.draining_now.set))


class Doubtful(LeaseKeeper):
    """In doubt once: the database was away for three quarters of the lease, and then it was ours still."""

    num_looks = 0

    @property
    def is_lost(self) -> bool:
        self.num_looks += 1
        return self.num_looks == 5


class TestDoubt:
    def test_a_child_that_had_to_end_under_a_lease_that_is_ours_still_is_no_failure(
        self, run: Run, context: WorkContext, lease: Lease
    ) -> None:
        with (
            Doubtful(context.settings, context.database, context.backends.events, lease) as keeper,
            pytest.raises(JobInterrupted) as caught,
        ):
            run(DEAF, context=replace(context, keeper=keeper))
        assert caught.value.result.exit_code == -signal.SIGKILL


class TestOutput:
    def test_what_it_prints_can_be_read_while_it_runs(
        self, run: Run, lease: Lease, database: Database, tmp_path: Path
    ) -> None:
        seen: list[str] = []

        def look(_line: object) -> None:
            with database.session(SYSTEM) as session:
                found = jobs.logs_after(session, job_id=lease.job_id, after_seq=0, limit=100)
            seen[:] = [piece.text for piece in found]
            if seen:
                (tmp_path / "go-on").touch()

        script = """
print("hello \\u00e9\\0", flush=True)
while not os.path.exists(sys.argv[1] + "/go-on"):
    say(type="alive"); time.sleep(0.05)
print("the end", flush=True)
"""
        result = run(script, on_event=look)
        assert result.exit_code == 0
        assert seen == ["hello é\N{REPLACEMENT CHARACTER}\n"]
        with database.session(SYSTEM) as session:
            found = jobs.logs_after(session, job_id=lease.job_id, after_seq=0, limit=100)
        assert "".join(piece.text for piece in found).endswith("the end\n")
        assert (tmp_path / "child.log").read_text().endswith("the end\n")

    def test_one_that_floods_its_output_is_not_held_up(self, run: Run) -> None:
        started_at = time.monotonic()
        assert run("for _ in range(3000): sys.stdout.write('x' * 9999 + '\\n')").exit_code == 0
        assert time.monotonic() - started_at < 20


def test_the_child_finds_until_when_it_may_work(run: Run, tmp_path: Path, settings: Settings) -> None:
    result = run(f"say(type='result', data={{'until': float(open(sys.argv[1] + '/{LEASE_FILE}').read())}})")
    assert result.result is not None
    assert 0 < result.result["until"] - time.monotonic() < settings.lease_s
