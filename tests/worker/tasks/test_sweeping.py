import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from core.backends.blobs import MemoryBlobStore
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.serving.completions import service as completions
from core.serving.completions.models import Completion
from core.workspaces.principal import Principal
from tests.factories.completions import new_completion
from tests.factories.waiting import eventually
from tests.worker.tasks.workshop import Workshop
from worker.context import WorkContext
from worker.tasks.sweeping import Sweeper, sweep_completions, sweep_folders, sweep_objects, sweep_run

PREFIX = "workspaces/w/runs/r/"


def test_what_no_row_names_is_deleted_up_to_the_last_attempt() -> None:
    blobs = MemoryBlobStore()
    kept = [f"{PREFIX}a2/manifest.json", f"{PREFIX}checkpoints/a2/step-00000010/manifest.json"]
    later = [f"{PREFIX}a4/weights", f"{PREFIX}checkpoints/a4/step-00000012/state.json"]
    strange = [f"{PREFIX}notes.txt", "workspaces/w/runs/r2/a1/weights"]
    gone = [
        f"{PREFIX}a1/weights",
        f"{PREFIX}a22x/../a3/x",
        f"{PREFIX}checkpoints/a1/step-00000005/state.json",
        f"{PREFIX}checkpoints/a2/step-000000100/state.json",
    ]
    for key in [*kept, *later, *strange, *gone]:
        blobs.put_bytes(key, b"x")
    num_deleted = sweep_run(
        blobs, PREFIX, kept=[f"{PREFIX}a2", f"{PREFIX}checkpoints/a2/step-00000010"], up_to_attempt=3
    )
    # the third attempt's is no folder of an attempt by its name
    assert num_deleted == 3
    assert set(blobs.objects) == {*kept, *later, *strange, gone[1]}


@pytest.mark.stack
class TestSweep:
    @pytest.fixture
    def shop(self, context: WorkContext, principal: Principal) -> Workshop:
        return Workshop(context, principal)

    def leave(self, shop: Workshop) -> None:
        prefix = f"workspaces/{shop.principal.workspace_id}/runs/{shop.run_id}/"
        shop.context.backends.blobs.put_bytes(f"{prefix}checkpoints/a0/step-00000005/state.json", b"x")
        shop.context.backends.blobs.put_bytes(f"{prefix}a0/adapter_model.safetensors", b"x")
        (shop.folder / "a0").mkdir(parents=True)

    def test_nothing_of_a_run_that_goes_on_is_touched(self, shop: Workshop) -> None:
        self.leave(shop)
        sweep_objects(shop.context.database, shop.context.backends.blobs)
        assert sweep_folders(shop.context.database, shop.context.settings.runs_dir) == 0
        assert len(shop.stored_keys()) == 2
        assert shop.folder.exists()

    def test_a_run_cancelled_while_nobody_worked_leaves_nothing(self, shop: Workshop) -> None:
        self.leave(shop)
        shop.cancel()
        sweeper = Sweeper(shop.context.database, shop.context.backends.blobs, shop.context.settings.runs_dir)
        sweeper.tick(is_leading=True)
        eventually(lambda: not shop.stored_keys() and not shop.folder.exists())
        self.leave(shop)
        sweeper.tick(is_leading=True)  # not due again so soon
        assert sweeper._thread is not None
        sweeper._thread.join()
        assert shop.folder.exists()

    def test_who_does_not_lead_sweeps_only_its_own_disk(self, shop: Workshop) -> None:
        self.leave(shop)
        shop.cancel()
        sweeper = Sweeper(shop.context.database, shop.context.backends.blobs, shop.context.settings.runs_dir)
        sweeper.tick(is_leading=False)
        eventually(lambda: not shop.folder.exists())
        assert len(shop.stored_keys()) == 2

    def test_a_failed_run_keeps_its_folder(self, shop: Workshop) -> None:
        self.leave(shop)
        with shop.context.database.session(SYSTEM) as session:
            lease = jobs.claim(session, queue_name="cpu", worker_id="w", lease_s=60)
        assert lease is not None
        with shop.context.database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.finish(session, lease, JobState.FAILED)
        assert sweep_folders(shop.context.database, shop.context.settings.runs_dir) == 0

    def test_a_database_that_is_away_does_not_end_the_worker(self, shop: Workshop, tmp_path: Path) -> None:
        class Away(MemoryBlobStore):
            def abort_stale_uploads(self, prefix: str = "", *, older_than_s: float = 0) -> int:
                raise OSError("away")

        sweeper = Sweeper(shop.context.database, Away(), tmp_path / "none")
        sweeper.tick(is_leading=True)
        assert isinstance(sweeper._thread, threading.Thread)
        sweeper._thread.join()


@pytest.mark.stack
def test_answers_are_kept_for_their_days_and_for_ever_at_zero(database: Database, workspace_id: str) -> None:
    with database.session(SYSTEM) as session:
        for number, days in enumerate((1, 31, 400)):
            completions.keep(session, new_completion(workspace_id, f"chatcmpl-{number}"))
            session.execute(
                text("update completions set created_at = now() - make_interval(days => :days) where id = :id"),
                {"days": days, "id": f"chatcmpl-{number}"},
            )
    assert sweep_completions(database, older_than_days=0) == 0
    assert sweep_completions(database, older_than_days=30) == 2
    with database.session(SYSTEM) as session:
        assert [row.id for row in session.query(Completion)] == ["chatcmpl-0"]
