"""The real trainer under the real task: stopped on one machine, continued on another, the same bits."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core.base_models import service as base_models
from core.config import Settings
from core.jobs.states import JobState
from core.kit.hashing import sha256_bytes
from core.workspaces.principal import Principal
from tests.factories.waiting import eventually
from tests.worker.tasks.workshop import Workshop
from tests.worker.training.conftest import base_model_dir
from worker.context import WorkContext

__all__ = ["base_model_dir"]  # a fixture

pytestmark = pytest.mark.stack


def open_shop(context: WorkContext, principal: Principal, home: Path, model_dir: Path) -> Workshop:
    settings = context.settings.model_copy(update={"home": home, "checkpoint_every_s": 0.0})
    shop = Workshop(replace(context, settings=settings), principal)
    put_model(shop, model_dir)
    return shop


def put_model(shop: Workshop, model_dir: Path) -> None:
    put_model_in(shop.context.settings, model_dir)


def put_model_in(settings: Settings, model_dir: Path) -> None:
    """In place of the default base model."""
    folder = base_models.folder(settings, base_models.default_base_model().id)
    marker = folder / "tailorbird.json"
    kept = marker.read_bytes() if marker.exists() else None
    shutil.copytree(model_dir, folder, dirs_exist_ok=True)
    if kept is not None:
        marker.write_bytes(kept)


def adapter_sha256(shop: Workshop) -> str:
    done = shop.look()
    assert done.job.state is JobState.SUCCEEDED, done.job.error
    assert done.adapter is not None
    key = f"{done.adapter.key_prefix}/adapter_model.safetensors"
    return sha256_bytes(shop.context.backends.blobs.read_bytes(key))


def test_a_run_stopped_here_and_continued_there_ends_in_the_same_bits(
    context: WorkContext,
    principal: Principal,
    tmp_path: Path,
    base_model_dir: Path,
) -> None:
    whole = open_shop(context, principal, tmp_path / "one", base_model_dir)
    whole.work()

    stopped = open_shop(context, principal, tmp_path / "two", base_model_dir)
    working = stopped.working()
    eventually(lambda: (stopped.look().job.progress_step or 0) >= 3, timeout_s=90)
    stopped.context.stopping.set()
    working.join(timeout=60)
    assert stopped.look().job.state is JobState.QUEUED
    assert stopped.checkpoints()
    home = tmp_path / "three"
    shutil.copytree(stopped.context.settings.base_models_dir, home / "base_models")
    stopped.move_to_another_machine(home)
    stopped.work()
    assert any(message.startswith("Continuing after step") for message in stopped.messages())
    assert adapter_sha256(stopped) == adapter_sha256(whole)
    results = stopped.look().run.results
    assert results is not None
    assert {entry.source_id: entry.seconds for entry in stopped.ledger()}[stopped.run_id] == results["billable_s"]


def test_a_run_of_two_processes_is_published(
    context: WorkContext, principal: Principal, tmp_path: Path, base_model_dir: Path
) -> None:
    shop = open_shop(context, principal, tmp_path / "home", base_model_dir)
    shop.plan_execution(num_processes=2, micro_batch_tokens=64)
    shop.work()
    assert adapter_sha256(shop)
    run = shop.look().run
    assert run.results is not None
    assert run.results["num_processes"] == 2
    assert run.results["steps"] == run.results["planned_steps"]
    assert {entry.source_id: entry.seconds for entry in shop.ledger()}[shop.run_id] == run.results["billable_s"]
