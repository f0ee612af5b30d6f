"""The task around a trainer that only pretends: real database, real object store, a real child process."""

import hashlib
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from core.adapters import service as adapters
from core.datasets import files
from core.db.session import SYSTEM
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.workspaces.principal import Principal
from tests.factories.training import NUM_HELDOUT, NUM_TRAIN
from tests.factories.waiting import eventually
from tests.worker.tasks.workshop import Workshop
from worker.context import WorkContext
from worker.tasks import training as task
from worker.tasks.sweeping import sweep_objects

pytestmark = pytest.mark.stack

PRETEND = """
import hashlib, json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
spec = json.loads((folder / "spec.json").read_text())
events = (folder / "events.jsonl").open("a")
EPOCHS = 0
def say(**line):
    events.write(json.dumps(line) + "\\n")
    events.flush()
num_train = len((folder / "train.jsonl").read_text().splitlines())
num_heldout = len((folder / "heldout.jsonl").read_text().splitlines())
say(type="stage", stage="training")
say(type="metrics", step=1, total_steps=2, data={"train_loss": 2.5})
"""
GOOD_END = """
def write(adapter, weights, is_whole=True):
    adapter.mkdir(parents=True)
    content = {"adapter_model.safetensors": weights, "adapter_config.json": b"{}"}
    files = {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in content.items()}
    for name, data in content.items():
        (adapter / name).write_bytes(data if is_whole else b"")
    (adapter / "manifest.json").write_text(json.dumps({"files": files, "results": {}}))
for number in range(EPOCHS):
    say(type="metrics", step=number + 2, total_steps=9, data={"step": number + 2, "train_loss": 1.5, "lr": 0.1})
    write(folder / "epochs" / f"step-{number + 2:08d}", b"epoch %d" % number, is_whole=number != 1)
write(folder / "adapter", b"weights")
say(type="result", data={"trained_tokens": num_train, "seen_tokens": num_heldout, "steps": 2,
                         "billable_s": 36.0, "base_heldout_loss": 3.0, "tuned_heldout_loss": 1.0})
"""


class Scripted(Workshop):
    """With a trainer whose script each test writes."""

    def __init__(self, context: WorkContext, principal: Principal, script: Path) -> None:
        super().__init__(replace(context, trainer_argv=(sys.executable, str(script))), principal)
        self.script = script

    def trainer(self, ending: str) -> None:
        self.script.write_text(PRETEND + ending)


@pytest.fixture
def workshop(context: WorkContext, principal: Principal, tmp_path: Path) -> Scripted:
    return Scripted(context, principal, tmp_path / "trainer.py")


def test_a_trained_adapter_is_published_registered_and_charged(workshop: Scripted) -> None:
    workshop.trainer(GOOD_END)
    workshop.work()
    done = workshop.look()
    assert (done.job.state, done.run.trained_tokens) == (JobState.SUCCEEDED, NUM_TRAIN)
    assert done.run.results is not None
    assert done.run.results["seen_tokens"] == NUM_HELDOUT
    assert done.adapter is not None
    assert done.adapter.key_prefix.endswith("/a1")
    stored = workshop.context.backends.blobs.read_bytes(f"{done.adapter.key_prefix}/manifest.json")
    assert done.adapter.digest == hashlib.sha256(stored).hexdigest()
    assert [entry.source_id for entry in workshop.ledger()] == [workshop.run_id]
    assert not workshop.folder.exists()


def test_the_trainer_is_told_the_spec_the_place_of_the_model_and_the_lineage(workshop: Scripted) -> None:
    workshop.trainer(GOOD_END + '(folder.parents[2] / "seen.json").write_text(json.dumps(spec))')
    workshop.work()
    seen = json.loads((workshop.context.settings.home / "seen.json").read_text())
    assert seen["method"]["type"] == "lora"
    assert seen["execution"]["micro_batch_tokens"] == 512
    assert Path(seen["base_model_dir"]).is_dir()
    assert seen["lineage"]["run_id"] == workshop.run_id


def test_the_curve_and_the_checkpoints_of_the_last_epochs_are_published_beside_it(workshop: Scripted) -> None:
    workshop.trainer("EPOCHS = 5" + GOOD_END)
    workshop.work()
    done = workshop.look()
    assert done.adapter is not None
    prefix, blobs = done.adapter.key_prefix, workshop.context.backends.blobs
    database, workspace_id = workshop.context.database, workshop.principal.workspace_id
    with database.session(workshop.scope) as session:
        made = {
            one.checkpoint_step: one for one in adapters.of_run(session, workspace_id=workspace_id, run_id=done.run.id)
        }
        assert done.run.result_file_id is not None
        file = files.get(session, workspace_id=workspace_id, file_id=done.run.result_file_id)
    # of what the child wrote the newest three
    assert set(made) == {None, 4, 5, 6}
    assert made[6].model_id == f"{done.adapter.model_id}:ckpt-step-6"
    assert made[6].metrics == {"train_loss": 1.5}
    assert blobs.read_bytes(f"{prefix}/ckpt-step-6/adapter_model.safetensors") == b"epoch 4"
    assert (file.purpose, file.object_key) == ("fine-tune-results", f"{prefix}/step_metrics.csv")
    lines = blobs.read_bytes(file.object_key).decode().splitlines()
    assert lines[:3] == ["step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy", "1,2.5,,,", "2,1.5,,,"]
    assert workshop.messages()[-4:] == [
        f"Checkpoint created at step 5 with Snapshot ID: {done.adapter.model_id}:ckpt-step-5",
        f"Checkpoint created at step 6 with Snapshot ID: {done.adapter.model_id}:ckpt-step-6",
        f"New fine-tuned model created: {done.adapter.model_id}",
        "The job has successfully completed",
    ]
    sweep_objects(database, blobs)
    assert blobs.info(file.object_key) is not None
    assert blobs.info(f"{prefix}/ckpt-step-4/adapter_model.safetensors") is not None


def test_a_checkpoint_that_is_not_whole_is_none(workshop: Scripted) -> None:
    workshop.trainer("EPOCHS = 3" + GOOD_END)
    workshop.work()
    done = workshop.look()
    with workshop.context.database.session(workshop.scope) as session:
        workspace_id = workshop.principal.workspace_id
        made = adapters.of_run(session, workspace_id=workspace_id, run_id=done.run.id)
    assert {one.checkpoint_step for one in made} == {None, 2, 4}


@pytest.mark.parametrize(("exit_code", "blame"), [(2, "user_error"), (5, "user_error")])
def test_a_failure_of_the_users_making_ends_the_run_and_costs_nothing(
    workshop: Scripted, exit_code: int, blame: str
) -> None:
    workshop.trainer(f"""
say(type="error", code="rows_too_long", message="Every row is longer than the model can read.", details={{}})
sys.exit({exit_code})
""")
    workshop.work()
    failed = workshop.look()
    assert (failed.job.state, failed.job.blame) == (JobState.FAILED, blame)
    assert failed.job.error is not None
    assert failed.job.error["code"] == "rows_too_long"
    assert (workshop.ledger(), failed.run.cost_micros, workshop.folder.exists()) == ([], 0, False)


def test_a_crash_is_tried_again_from_the_last_checkpoint(workshop: Scripted) -> None:
    workshop.trainer('(folder / "checkpoints" / "step-1").mkdir(parents=True)\nsys.exit(1)')
    workshop.work()
    assert workshop.look().job.state is JobState.QUEUED
    workshop.make_due()
    workshop.trainer('assert (folder / "checkpoints" / "step-1").is_dir()' + GOOD_END)
    workshop.work()
    done = workshop.look()
    assert done.job.state is JobState.SUCCEEDED
    assert done.adapter is not None
    assert done.adapter.key_prefix.endswith("/a2")


def test_memory_that_does_not_suffice_twice_will_not_suffice_later(workshop: Scripted) -> None:
    workshop.trainer("sys.exit(4)")
    workshop.work()
    workshop.make_due()
    workshop.work()
    failed = workshop.look().job
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert (failed.error["code"], failed.blame) == ("out_of_memory", "platform_error")


def test_a_cancelled_run_stops_and_pays_for_its_seconds(workshop: Scripted) -> None:
    workshop.trainer("time.sleep(60)")
    working = threading.Thread(target=workshop.work)
    working.start()
    eventually(lambda: workshop.look().job.stage == "training")
    workshop.cancel()
    working.join(timeout=30)
    ended = workshop.look()
    assert ended.job.state is JobState.CANCELLED
    assert ended.run.cost_micros is not None
    assert [entry.amount_micros for entry in workshop.ledger()] == [ended.run.cost_micros]
    assert not workshop.folder.exists()


def test_an_interrupted_run_is_queued_again_and_keeps_its_checkpoints(workshop: Scripted) -> None:
    workshop.trainer('(folder / "checkpoints" / "step-1").mkdir(parents=True)\ntime.sleep(60)')
    working = threading.Thread(target=workshop.work)
    working.start()
    eventually(lambda: workshop.look().job.stage == "training")
    workshop.context.stopping.set()
    working.join(timeout=30)
    assert workshop.look().job.state is JobState.QUEUED
    assert (workshop.folder / "a1" / "checkpoints" / "step-1").is_dir()


def test_without_its_worker_a_cancelled_run_costs_nothing(workshop: Scripted) -> None:
    database = workshop.context.database
    with database.session(SYSTEM) as session:
        lease = jobs.claim(session, queue_name="cpu", worker_id="dead", lease_s=60)
    assert lease is not None
    with database.session(workshop.scope) as session:
        job = jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
        task.settle(session, job)
    assert workshop.look().run.cost_micros == 0
