"""A run that is crashed, stopped, starved and robbed at every stage still ends in the same adapter, paid for once."""

import hashlib
import json
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from core.backends.blobs import MemoryBlobStore
from core.errors import Unavailable
from core.jobs.states import JobState
from core.workspaces.principal import Principal
from tests.factories.waiting import eventually
from tests.faults import stub_trainer
from tests.worker.tasks.workshop import Workshop
from worker.context import WorkContext
from worker.tasks import publishing
from worker.training import snapshot

pytestmark = pytest.mark.stack

STEPS = 40
STUB = (sys.executable, stub_trainer.__file__, "--steps", str(STEPS), "--step-s", "0.005")


class Stubbed(Workshop):
    """With the stub in the trainer's place, and faults for it."""

    def __init__(self, context: WorkContext, principal: Principal) -> None:
        super().__init__(replace(context, trainer_argv=STUB), principal)
        self.blobs = Flaky()
        self.context = replace(self.context, backends=replace(context.backends, blobs=self.blobs))

    def faults(self, **faults: object) -> None:
        runs_dir = self.context.settings.runs_dir
        runs_dir.mkdir(parents=True, exist_ok=True)
        (runs_dir / "drill.json").write_text(json.dumps(faults))

    def assert_whole(self) -> None:
        """One terminal state, one charge, the weights of an undisturbed run, and nothing left behind."""
        done = self.look()
        assert done.job.state is JobState.SUCCEEDED, (done.job.error, self.messages())
        assert done.adapter is not None
        weights = self.blobs.read_bytes(f"{done.adapter.key_prefix}/adapter_model.safetensors")
        rows = "".join(sorted(self.written_rows))
        expected = stub_trainer.expected_sha256(seed=7, data_sha256=rows, steps=STEPS)
        assert hashlib.sha256(weights).hexdigest() == expected
        [entry] = self.ledger()
        assert done.run.results is not None
        assert entry.seconds == pytest.approx(done.run.results["billable_s"])
        assert (self.checkpoints(), self.stored_keys("checkpoints/"), self.folder.exists()) == ([], [], False)
        named = [f"{done.adapter.key_prefix}/{name}" for name in ("manifest.json", "step_metrics.csv")]
        named += [entry["key"] for entry in done.adapter.files]
        assert self.stored_keys() == sorted(named)

    @property
    def written_rows(self) -> set[str]:
        """The digest of the rows that each attempt was given; always one."""
        return self.blobs.seen_rows

    def work(self) -> None:
        self.blobs.runs_dir = self.context.settings.runs_dir
        super().work()


class Flaky(MemoryBlobStore):
    """A store that can be away, or spoil what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = threading.Event()
        self.is_away_for_adapters = threading.Event()
        self.spoiled_keys: set[str] = set()
        self.num_refused = 0
        self.seen_rows: set[str] = set()
        self.runs_dir = Path()

    def put_file(self, key: str, path: Path) -> None:
        self._look_at_rows()
        if self.is_away.is_set() or (self.is_away_for_adapters.is_set() and "/checkpoints/" not in key):
            self.num_refused += 1
            raise Unavailable("The object store does not answer.", code="storage_unavailable")
        super().put_file(key, path)

    def download(self, key: str, path: Path) -> None:
        if self.is_away.is_set():
            self.num_refused += 1
            raise Unavailable("The object store does not answer.", code="storage_unavailable")
        data = self.objects[key]
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if key in self.spoiled_keys else data)

    def _look_at_rows(self) -> None:
        for path in self.runs_dir.glob("job_*/a*/train.jsonl"):
            self.seen_rows.add(hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def shop(context: WorkContext, principal: Principal) -> Stubbed:
    return Stubbed(context, principal)


def newest_local(shop: Stubbed) -> Path:
    return max(shop.folder.glob("a*/checkpoints/step-*"))


def test_an_undisturbed_run_leaves_its_adapter_and_nothing_else(shop: Stubbed) -> None:
    shop.work()
    shop.assert_whole()
    assert shop.look().job.attempt == 1


@pytest.mark.parametrize("fault", ["crash_at", "kill_at", "disk_full_at"])
def test_a_crash_costs_at_most_the_steps_since_the_last_checkpoint(shop: Stubbed, fault: str) -> None:
    shop.faults(**{fault: 18, "attempts": [1]})
    shop.work()
    assert shop.look().job.state is JobState.QUEUED
    assert shop.checkpoints()[0].step == 15
    shop.make_due()
    shop.work()
    shop.assert_whole()
    assert any(message.startswith("Continuing after step 15 of 40") for message in shop.messages())


def test_another_machine_goes_on_from_the_object_store(shop: Stubbed, tmp_path: Path) -> None:
    shop.faults(crash_at=18)
    shop.work()
    shop.make_due()
    shutil.copytree(shop.context.settings.base_models_dir, tmp_path / "other" / "base_models")
    shop.move_to_another_machine(tmp_path / "other")
    shop.work()
    shop.assert_whole()
    assert any(message.startswith("Continuing after step 15 of 40") for message in shop.messages())


def test_a_stored_checkpoint_that_comes_back_damaged_is_said_and_the_one_before_it_used(
    shop: Stubbed, tmp_path: Path
) -> None:
    shop.faults(crash_at=18, step_s=0.1)  # slow enough for two to be stored
    shop.work()
    newest, before = shop.checkpoints()
    shop.blobs.spoiled_keys.add(f"{newest.key_prefix}/state.safetensors")
    shop.make_due()
    shutil.copytree(shop.context.settings.base_models_dir, tmp_path / "other" / "base_models")
    shop.move_to_another_machine(tmp_path / "other")
    shop.work()
    shop.assert_whole()
    [said] = [message for message in shop.messages() if "damaged" in message]
    assert said.startswith("The checkpoint of step 15 is damaged: state.safetensors is not what was written")
    assert said.endswith(f"The one of step {before.step} is used instead.")


def test_a_checkpoint_damaged_on_this_machine_is_fetched_whole_from_the_store(shop: Stubbed) -> None:
    shop.faults(crash_at=18, attempts=[1])
    shop.work()
    local = newest_local(shop)
    (local / "state.json").write_text((local / "state.json").read_text().replace("1", "2", 1))
    shop.make_due()
    shop.work()
    shop.assert_whole()
    [said] = [message for message in shop.messages() if "damaged" in message]
    assert "state.json" in said
    assert any(message.startswith("Continuing after step 15 of 40") for message in shop.messages())


def test_a_deploy_stores_the_last_step_before_it_hands_the_job_back(shop: Stubbed, tmp_path: Path) -> None:
    shop.faults(step_s=0.05)
    working = shop.working()
    eventually(lambda: shop.look().job.progress_step)
    shop.context.stopping.set()
    working.join(timeout=30)
    stopped = shop.look().job
    assert (stopped.state, stopped.num_interruptions) == (JobState.QUEUED, 1)
    assert shop.checkpoints()[0].step == snapshot.step_of(newest_local(shop).name)
    shutil.copytree(shop.context.settings.base_models_dir, tmp_path / "other" / "base_models")
    shop.move_to_another_machine(tmp_path / "other")
    shop.work()
    shop.assert_whole()


def test_at_most_two_checkpoints_are_stored(shop: Stubbed) -> None:
    shop.faults(step_s=0.05, crash_at=39)
    shop.work()
    assert [row.step for row in shop.checkpoints()][:1] == [35]
    stored = {key.split("/")[-2] for key in shop.stored_keys("checkpoints/")}
    assert stored == {snapshot.name_of(row.step) for row in shop.checkpoints()}
    assert len(stored) <= 2


def test_a_store_that_is_away_while_training_costs_nothing(shop: Stubbed) -> None:
    shop.blobs.is_away.set()
    working = shop.working()
    eventually(lambda: shop.look().job.stage == "publishing")
    eventually(lambda: shop.blobs.num_refused > 2)
    assert shop.look().job.state is JobState.RUNNING
    shop.blobs.is_away.clear()
    working.join(timeout=30)
    shop.assert_whole()
    assert shop.look().job.attempt == 1


def test_a_finished_adapter_is_not_trained_again_after_an_interruption(shop: Stubbed) -> None:
    shop.blobs.is_away_for_adapters.set()
    working = shop.working()
    eventually(lambda: shop.look().job.stage == "publishing" and shop.blobs.num_refused)
    shop.context.stopping.set()
    working.join(timeout=30)
    assert shop.look().job.state is JobState.QUEUED
    shop.blobs.is_away_for_adapters.clear()
    shop.context = replace(shop.context, stopping=threading.Event(), trainer_argv=("/bin/false",))
    shop.work()
    shop.assert_whole()
    assert "The training is done already; its adapter is stored now." in shop.messages()


def test_another_machine_publishes_from_the_last_checkpoint_without_a_step(shop: Stubbed, tmp_path: Path) -> None:
    shop.blobs.is_away_for_adapters.set()
    working = shop.working()
    eventually(lambda: [row.step for row in shop.checkpoints()][:1] == [STEPS] and shop.blobs.num_refused)
    shop.context.stopping.set()
    working.join(timeout=30)
    shop.blobs.is_away_for_adapters.clear()
    shutil.copytree(shop.context.settings.base_models_dir, tmp_path / "other" / "base_models")
    shop.move_to_another_machine(tmp_path / "other")
    shop.work()
    shop.assert_whole()
    assert any(message.startswith("Continuing after step 40 of 40") for message in shop.messages())


def test_a_store_that_stays_away_gives_the_job_back_and_keeps_the_adapter(
    shop: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_PATIENCE_S", 0.5)
    shop.blobs.is_away.set()
    shop.work()
    waiting = shop.look().job
    assert waiting.state is JobState.QUEUED
    assert "Our storage did not answer for a long time. It is tried again from where it was." in shop.messages()
    shop.blobs.is_away.clear()
    shop.context = replace(shop.context, trainer_argv=("/bin/false",))
    shop.make_due()
    shop.work()
    shop.assert_whole()


def test_a_cancel_while_publishing_is_answered_at_once_and_charged_once(shop: Stubbed) -> None:
    shop.blobs.is_away.set()
    working = shop.working()
    eventually(lambda: shop.look().job.stage == "publishing" and shop.blobs.num_refused)
    shop.cancel()
    working.join(timeout=10)
    ended = shop.look()
    assert (ended.job.state, ended.adapter) == (JobState.CANCELLED, None)
    [entry] = shop.ledger()
    assert entry.seconds > 0.2
    assert (shop.stored_keys(), shop.checkpoints(), shop.folder.exists()) == ([], [], False)


def test_a_paused_run_keeps_its_place_and_goes_on_when_told(shop: Stubbed) -> None:
    shop.faults(step_s=0.05)
    working = shop.working()
    eventually(lambda: shop.look().job.progress_step)
    shop.pause()
    working.join(timeout=30)
    paused = shop.look()
    assert (paused.job.state, shop.ledger()) == (JobState.PAUSED, [])
    assert paused.run.seconds
    assert shop.checkpoints()
    shop.resume()
    shop.work()
    shop.assert_whole()


def test_a_run_that_reaches_its_limit_pauses_and_says_so(shop: Stubbed) -> None:
    shop.limit_billable_s(0.3)
    shop.faults(step_s=0.05)
    shop.work()
    paused = shop.look().job
    assert paused.state is JobState.PAUSED
    assert paused.error is not None
    assert (paused.error["code"], paused.blame) == ("budget_reached", "budget")
    shop.resume(max_billable_s=100)
    shop.work()
    shop.assert_whole()


def test_memory_that_was_not_enough_is_tried_once_more_with_half(shop: Stubbed) -> None:
    shop.faults(out_of_memory_below_divisor=2)
    shop.work()
    assert shop.look().job.payload["micro_batch_divisor"] == 2
    shop.make_due()
    shop.work()
    shop.assert_whole()


def test_memory_that_half_the_portions_do_not_fit_fails_with_advice(shop: Stubbed) -> None:
    shop.faults(out_of_memory_below_divisor=4)
    shop.work()
    shop.make_due()
    shop.work()
    failed = shop.look()
    assert (failed.job.state, failed.job.attempt, failed.run.cost_micros) == (JobState.FAILED, 2, 0)
    assert failed.job.error is not None
    assert failed.job.error["code"] == "out_of_memory"
    assert shop.ledger() == []


def test_what_hangs_is_ended_and_tried_once_more(shop: Stubbed) -> None:
    settings = shop.context.settings.model_copy(update={"no_progress_s": 1.0, "kill_grace_s": 0.5})
    shop.context = replace(shop.context, settings=settings)
    shop.faults(hang_at=18)
    shop.work()
    assert shop.look().job.state is JobState.QUEUED
    shop.make_due()
    shop.work()
    failed = shop.look().job
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "no_progress"
    assert shop.checkpoints()[0].step == 15
    shop.faults()
    shop.resume()
    shop.work()
    shop.assert_whole()


def test_a_loss_that_went_astray_is_not_published(shop: Stubbed) -> None:
    shop.faults(nan_at=12)
    shop.work()
    failed = shop.look().job
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert (failed.error["code"], failed.blame) == ("non_finite_loss", "user_error")
    assert [key for key in shop.stored_keys() if "/checkpoints/" not in key] == []


def test_a_lease_taken_away_while_publishing_publishes_nothing(shop: Stubbed) -> None:
    shop.blobs.is_away.set()
    working = shop.working()
    eventually(lambda: shop.look().job.stage == "publishing" and shop.blobs.num_refused)
    shop.steal_lease()
    working.join(timeout=10)
    assert shop.look().adapter is None
    shop.blobs.is_away.clear()
    assert (working.is_alive(), shop.stored_keys(), shop.ledger()) == (False, [], [])
