import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.types import Lease
from tests.factories.children import DEAF, WAIT_FOR_EVER, on_ready
from tests.factories.waiting import eventually
from worker import lease_keeper
from worker.context import WorkContext
from worker.lease_keeper import LeaseKeeper
from worker.supervise import ChildLimits, ChildResult, JobCancelled, JobInterrupted, LeaseLost

pytestmark = pytest.mark.stack


class TestEnd:
    def test_a_child_that_is_done_leaves_its_result_and_its_story(
        self, run: Callable[..., ChildResult], lease: Lease, database: Database, look: Callable[[str], Job]
    ) -> None:
        seen: list[str] = []
        result = run(
            """
say(type="stage", stage="training")
for step in (1, 2):
    say(type="progress", step=step, total_steps=2, seconds_left=2.5)
    say(type="metrics", step=step, total_steps=2, data={"train_loss": 1.0 / step})
say(type="message", level="warn", message="nearly", data={})
say(type="result", data={"tokens": 7})
sys.stdout.write("a last word")
""",
            on_event=lambda line: seen.append(line["type"]),
        )
        assert (result.exit_code, result.result, result.error) == (0, {"tokens": 7}, None)
        assert result.stderr_tail == "a last word"
        assert seen == ["stage", "progress", "metrics", "progress", "metrics", "message", "result"]
        job = look(lease.job_id)
        assert (job.stage, job.progress_step, job.progress_total_steps) == ("training", 2, 2)
        with database.session(SYSTEM) as session:
            events = jobs.events_after(session, workspace_id=job.workspace_id, job_id=job.id, after_seq=0)
        assert [event.message for event in events] == [
            "Step 1/2: training loss=1.00",
            "Step 2/2: training loss=0.50",
            "nearly",
        ]
        assert events[1].data == {"step": 2, "total_steps": 2, "train_loss": 0.5}

    def test_a_crash_leaves_its_last_words(self, run: Callable[..., ChildResult], tmp_path: Path) -> None:
        result = run("sys.stderr.write('x' * 100_000)\nraise RuntimeError('the reason')")
        assert result.exit_code == 1
        kept = (tmp_path / "stderr.log").read_text()
        assert kept == result.stderr_tail
        assert len(kept) == 64 * 1024
        assert "RuntimeError: the reason" in kept

    def test_a_reported_error_comes_with_the_exit_code(self, run: Callable[..., ChildResult]) -> None:
        result = run("say(type='error', code='file_empty', message='It is empty.', details={'row': 1})\nsys.exit(2)")
        assert result.exit_code == 2
        assert result.error == {"code": "file_empty", "message": "It is empty.", "details": {"row": 1}}

    def test_a_signal_is_told_apart(self, run: Callable[..., ChildResult]) -> None:
        assert run("os.kill(os.getpid(), signal.SIGKILL)").exit_code == -signal.SIGKILL

    def test_helpers_of_the_child_do_not_outlive_it(self, run: Callable[..., ChildResult]) -> None:
        result = run("helper = subprocess.Popen(['sleep', '600'])\nsay(type='result', data={'pid': helper.pid})")
        assert result.result is not None
        pid = result.result["pid"]
        eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


class TestLimits:
    def test_memory_is_limited(self, run: Callable[..., ChildResult]) -> None:
        result = run("bytearray(1 << 30)", limits=ChildLimits(max_memory_bytes=512 << 20))
        assert result.exit_code == 1
        assert "MemoryError" in result.stderr_tail

    def test_processor_time_is_limited(self, run: Callable[..., ChildResult]) -> None:
        result = run("while True: pass", limits=ChildLimits(max_cpu_s=1))
        assert result.exit_code in {-signal.SIGXCPU, -signal.SIGKILL}

    def test_the_child_knows_none_of_our_secrets(
        self, run: Callable[..., ChildResult], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("DATABASE_URL", "REDIS_URL", "AWS_SECRET_ACCESS_KEY", "TAILORBIRD_SECRET_KEY"):
            monkeypatch.setenv(name, "secret")
        result = run("say(type='result', data=dict(os.environ))", env={"EXTRA": "given"})
        assert result.result is not None
        assert "secret" not in result.result.values()
        assert result.result["EXTRA"] == "given"
        assert "PATH" in result.result


class TestStop:
    def test_a_cancel_lets_the_child_end_gently(
        self, run: Callable[..., ChildResult], lease: Lease, database: Database
    ) -> None:
        def cancel() -> None:
            with database.session(SYSTEM) as session:
                jobs.request_cancel(session, workspace_id=lease.workspace_id, job_id=lease.job_id)

        gentle = "signal.signal(signal.SIGTERM, lambda *_: (say(type='result', data={'step': 5}), sys.exit(3)))\n"
        with pytest.raises(JobCancelled) as caught:
            run(gentle + WAIT_FOR_EVER, on_event=on_ready(cancel))
        assert caught.value.result.exit_code == 3
        assert caught.value.result.result == {"step": 5}

    def test_one_that_does_not_listen_is_killed_with_its_helpers(
        self, run: Callable[..., ChildResult], context: WorkContext
    ) -> None:
        started_at = time.monotonic()
        with pytest.raises(JobInterrupted) as caught:
            run(DEAF, on_event=on_ready(context.stopping.set), grace_s=0.3)
        assert caught.value.result.exit_code == -signal.SIGKILL
        assert time.monotonic() - started_at < 10

    def test_what_is_done_in_spite_of_the_signal_is_done(
        self, run: Callable[..., ChildResult], context: WorkContext
    ) -> None:
        script = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + WAIT_FOR_EVER
        assert run(script, on_event=on_ready(context.stopping.set)).exit_code == 0

    def test_a_worker_whose_job_is_anothers_kills_the_child_at_once(
        self, run: Callable[..., ChildResult], lease: Lease, database: Database
    ) -> None:
        def give_away() -> None:
            with database.session(SYSTEM) as session:
                session.execute(text("update jobs set attempt = attempt + 1 where id = :id"), {"id": lease.job_id})

        with pytest.raises(LeaseLost) as caught:
            run(DEAF, on_event=on_ready(give_away))
        assert caught.value.result.exit_code == -signal.SIGKILL

    def test_a_worker_that_cannot_renew_its_lease_kills_the_child_in_time(
        self, run: Callable[..., ChildResult], context: WorkContext
    ) -> None:
        class Gone:
            @contextmanager
            def session(self, scope: object) -> Any:  # noqa: ANN401
                raise OperationalError("select", {}, Exception("connection refused"))
                yield

        hurried = context.settings.model_copy(update={"lease_s": 1})
        started_at = time.monotonic()
        with pytest.raises(LeaseLost):
            run(DEAF, context=replace(context, settings=hurried, database=Gone()))
        assert time.monotonic() - started_at < 5

    def test_a_mistake_in_who_listens_does_not_leave_the_child_behind(self, run: Callable[..., ChildResult]) -> None:
        pids: list[int] = []

        def fail(line: dict[str, Any]) -> None:
            pids.append(line["data"]["pid"])
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            run("say(type='result', data={'pid': os.getpid()})\ntime.sleep(600)", on_event=fail)
        assert not psutil.pid_exists(pids[0])


def test_events_wait_for_a_database_that_is_away(context: WorkContext, lease: Lease, database: Database) -> None:
    class Flaky:
        num_refusals = 2

        @contextmanager
        def session(self, scope: Any) -> Any:  # noqa: ANN401
            if self.num_refusals:
                self.num_refusals -= 1
                raise OperationalError("insert", {}, Exception("connection refused"))
            with database.session(scope) as session:
                yield session

    flaky: Any = Flaky()
    with LeaseKeeper(context.settings, flaky, context.backends.events, lease) as keeper:
        for n in range(3):
            keeper.note({"type": "message", "message": str(n)})
        assert keeper.flush()
    with database.session(SYSTEM) as session:
        events = jobs.events_after(session, workspace_id=lease.workspace_id, job_id=lease.job_id, after_seq=0)
    assert [event.message for event in events] == ["0", "1", "2"]


def test_a_child_that_says_more_than_can_be_written_fills_no_memory(
    context: WorkContext, lease: Lease, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_keeper, "_MAX_WAITING", 25)
    monkeypatch.setattr(lease_keeper, "_MAX_BATCH", 10)
    keeper = LeaseKeeper(context.settings, database, context.backends.events, lease)
    for n in range(40):
        keeper.note({"type": "message", "message": str(n)})
    with keeper:
        assert keeper.flush()
    with database.session(SYSTEM) as session:
        events = jobs.events_after(session, workspace_id=lease.workspace_id, job_id=lease.job_id, after_seq=0)
    assert [event.message for event in events] == [str(n) for n in range(15, 40)]
