"""Runs against the real database: create, wait for data, queue, cancel, finish."""

from typing import Any

import pytest
from sqlalchemy import text

from core.adapters import service as adapters
from core.adapters.service import AdapterFile
from core.backends.queue import RecordingTaskQueue
from core.config import Settings
from core.datasets.models import DatasetVersion
from core.datasets.types import Split, VersionStatus
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import AppError, Conflict, Invalid, NotFound, Unavailable
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.kit.pagination import PageRequest
from core.training import execution
from core.training import service as training
from core.training.execution import Fenced, Published
from core.training.recipes import Recipe
from core.training.request import AdapterType, RunRequest
from core.training.types import RunDetails, RunFilter, RunTerms
from core.usage.models import LedgerEntry
from core.workers import service as workers
from core.workers.types import Vitals
from core.workspaces.principal import Principal
from tests.factories.training import NUM_TRAIN, finish_version, make_file, make_version, put_base_model_on_disk

pytestmark = pytest.mark.stack

PUBLISHED = Published(
    key_prefix="workspaces/w/runs/r/a1",
    digest="d" * 64,
    files=[AdapterFile(name="adapter_model.safetensors", key="k", sha256="e" * 64, num_bytes=10)],
)
RESULTS = {"trained_tokens": 4000, "steps": 30, "base_heldout_loss": 3.1, "tuned_heldout_loss": 1.2}


class Runs:
    """The service with its sessions, each call a transaction of its own."""

    def __init__(self, database: Database, principal: Principal, settings: Settings) -> None:
        self.database, self.principal, self.settings = database, principal, settings
        self.queue = RecordingTaskQueue()
        self.model = put_base_model_on_disk(settings)

    def version(self, **changes: object) -> DatasetVersion:
        with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
            return make_version(session, self.principal.workspace_id, **changes)

    def create(self, *, terms: RunTerms = RunTerms(), **asked: object) -> RunDetails:  # noqa: B008 - frozen
        request = RunRequest(**({"model": self.model} | asked))
        with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
            return training.create(
                session,
                principal=self.principal,
                request=request,
                terms=terms,
                settings=self.settings,
                queue=self.queue,
            )

    def get(self, run_id: str) -> RunDetails:
        with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
            return training.get(session, workspace_id=self.principal.workspace_id, run_id=run_id)

    def finish_version(self, version_id: str, error: dict[str, Any] | None = None) -> None:
        with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
            version = session.get_one(DatasetVersion, version_id)
            if error:
                version.status, version.error = VersionStatus.FAILED, error
            else:
                finish_version(version)
            session.flush()
            training.on_version_finished(
                session, workspace_id=self.principal.workspace_id, version_id=version_id, queue=self.queue
            )

    def cancel(self, run_id: str) -> RunDetails:
        with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
            return training.cancel(session, principal=self.principal, run_id=run_id)

    def claim(self) -> Lease:
        with self.database.session(SYSTEM) as session:
            lease = jobs.claim(session, queue_name="cpu", worker_id="w", lease_s=60)
        assert lease is not None
        return lease

    def succeed(self, lease: Lease, seconds: float = 3600, results: dict[str, Any] | None = None) -> str:
        told = RESULTS | {"billable_s": seconds} | (results or {})
        with self.database.session(workspace_scope(lease.workspace_id)) as session:
            adapter = execution.succeed(session, lease, published=PUBLISHED, results=told)
        return adapter.model_id

    def messages(self, run_id: str) -> list[str]:
        with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
            page = training.list_events(
                session, workspace_id=self.principal.workspace_id, run_id=run_id, page=PageRequest(limit=100)
            )
        return [event.message for event in reversed(page.items)]

    def ledger(self) -> list[LedgerEntry]:
        with self.database.session(SYSTEM) as session:
            return list(session.query(LedgerEntry))


@pytest.fixture
def runs(database: Database, principal: Principal, settings: Settings) -> Runs:
    return Runs(database, principal, settings)


class TestCreate:
    def test_with_checked_data_it_is_planned_and_queued_at_once(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version().id, name="Claims helper", metadata={"team": "a"})
        assert made.job.state is JobState.QUEUED
        assert runs.queue.rung == [("cpu", made.job.id)]
        assert made.run.spec is not None
        assert made.run.spec["method"]["type"] == "lora"
        assert made.run.spec["seed"] == made.run.seed
        assert made.run.estimate is not None
        assert made.run.estimate["cost_micros"] > 0
        assert made.dataset_name == "Reviews"
        assert made.outlook is not None
        assert made.outlook.position == 1
        assert runs.messages(made.run.id) == [
            f"Created fine-tuning job: {made.run.id}",
            f"Validating training file: {made.run.training_file_id}",
            "Files validated, moving job to queued state",
        ]

    def test_what_was_asked_goes_before_the_recipe(self, runs: Runs) -> None:
        asked = {"n_epochs": 7, "batch_size": 3, "learning_rate_multiplier": 2.0, "seed": 11, "rank": 64}
        plain = runs.create(dataset_version_id=runs.version().id).run.spec
        made = runs.create(dataset_version_id=runs.version().id, adapter_type=AdapterType.LORA, **asked).run.spec
        assert plain is not None
        assert made is not None
        assert (made["num_epochs"], made["batch_size"], made["seed"]) == (7, 3, 11)
        assert (made["method"]["type"], made["method"]["rank"], made["method"]["alpha"]) == ("lora", 64, 128)
        assert made["learning_rate"] == pytest.approx(2 * plain["learning_rate"])

    def test_a_file_waits_until_its_rows_are_checked(self, runs: Runs) -> None:
        version = runs.version(status=VersionStatus.VALIDATING)
        made = runs.create(dataset_version_id=version.id)
        assert (made.job.state, made.run.spec, runs.queue.rung) == (JobState.VALIDATING, None, [])
        runs.finish_version(version.id)
        assert runs.get(made.run.id).job.state is JobState.QUEUED
        assert runs.queue.rung == [("cpu", made.job.id)]

    def test_bad_rows_fail_the_waiting_run_and_name_the_file(self, runs: Runs) -> None:
        version = runs.version(status=VersionStatus.VALIDATING)
        made = runs.create(dataset_version_id=version.id)
        runs.finish_version(version.id, error={"code": "too_few_rows", "message": "There are 3 rows; 10 are needed."})
        failed = runs.get(made.run.id).job
        assert failed.state is JobState.FAILED
        assert failed.error is not None
        assert (failed.error["code"], failed.error["param"]) == ("too_few_rows", "training_file")
        assert failed.blame == "user_error"

    def test_with_a_validation_file_both_must_be_ready(self, runs: Runs) -> None:
        version = runs.version()
        with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
            file = make_file(session, runs.principal.workspace_id)
        made = runs.create(dataset_version_id=version.id, validation_file=file.id)
        assert made.job.state is JobState.VALIDATING
        assert made.run.validation_version_id is not None
        runs.finish_version(made.run.validation_version_id)
        assert runs.get(made.run.id).job.state is JobState.QUEUED
        expected = f"Validating training file: {made.run.training_file_id} and validation file: {file.id}"
        assert expected in runs.messages(made.run.id)

    @pytest.mark.parametrize(
        ("asked", "error", "code"),
        [
            ({"model": "gpt-99"}, NotFound, "model_not_found"),
            ({"model": "ft:x:y::z"}, NotFound, "model_not_found"),
            ({"dataset_version_id": "dsv_none"}, NotFound, "dataset_version_not_found"),
            ({"dataset_version_id": None}, Invalid, "training_data_required"),
            ({"dataset_version_id": None, "training_file": "file-none"}, NotFound, "file_not_found"),
            ({"n_epochs": 51}, Invalid, "out_of_range"),
            ({"batch_size": 0}, Invalid, "out_of_range"),
            ({"learning_rate_multiplier": 0.0}, Invalid, "out_of_range"),
            ({"learning_rate_multiplier": float("nan")}, Invalid, "out_of_range"),
            ({"suffix": "s" * 65}, Invalid, "out_of_range"),
            ({"suffix": " "}, Invalid, "out_of_range"),
            ({"seed": -1}, Invalid, "out_of_range"),
            ({"metadata": {"k" * 65: "v"}}, Invalid, "out_of_range"),
            ({"metadata": {str(number): "" for number in range(17)}}, Invalid, "out_of_range"),
        ],
    )
    def test_what_cannot_be_done_is_refused(
        self, runs: Runs, asked: dict[str, Any], error: type[AppError], code: str
    ) -> None:
        version_id = runs.version().id
        with pytest.raises(error) as caught:
            runs.create(**({"dataset_version_id": version_id} | asked))
        assert caught.value.error_code == code

    def test_a_model_that_is_not_on_disk_is_not_promised(self, runs: Runs) -> None:
        (runs.settings.base_models_dir / runs.model / "tailorbird.json").unlink()
        with pytest.raises(Unavailable) as caught:
            runs.create(dataset_version_id=runs.version().id)
        assert caught.value.error_code == "model_not_ready"

    def test_a_failed_version_is_refused_with_its_reason(self, runs: Runs) -> None:
        version = runs.version(status=VersionStatus.FAILED, error={"code": "too_few_rows", "message": "Too few."})
        with pytest.raises(Invalid, match="Too few"):
            runs.create(dataset_version_id=version.id)

    def test_another_workspaces_data_does_not_exist(self, runs: Runs, other_workspace_id: str) -> None:
        with runs.database.session(SYSTEM) as session:
            foreign = make_version(session, other_workspace_id)
        with pytest.raises(NotFound):
            runs.create(dataset_version_id=foreign.id)

    def test_it_is_audited(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version().id)
        with runs.database.session(SYSTEM) as session:
            actions = session.execute(text("select action, target_id from audit_events")).all()
        assert ("run.created", made.run.id) in [tuple(row) for row in actions]


class TestCancel:
    def test_a_queued_run_stops_at_once_and_asking_again_changes_nothing(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version().id)
        assert runs.cancel(made.run.id).job.state is JobState.CANCELLED
        num_events = len(runs.messages(made.run.id))
        assert runs.cancel(made.run.id).job.state is JobState.CANCELLED
        assert len(runs.messages(made.run.id)) == num_events

    def test_a_waiting_run_that_was_cancelled_is_not_queued_when_its_data_is_ready(self, runs: Runs) -> None:
        version = runs.version(status=VersionStatus.VALIDATING)
        made = runs.create(dataset_version_id=version.id)
        runs.cancel(made.run.id)
        runs.finish_version(version.id)
        assert runs.get(made.run.id).job.state is JobState.CANCELLED

    def test_a_running_run_pays_for_the_seconds_it_used(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version().id)
        lease = runs.claim()
        assert runs.cancel(made.run.id).job.state is JobState.RUNNING
        with runs.database.session(workspace_scope(lease.workspace_id)) as session:
            execution.cancelled(session, lease, billable_s=1800)
        ended = runs.get(made.run.id)
        assert (ended.job.state, ended.run.seconds) == (JobState.CANCELLED, 1800)
        assert [entry.amount_micros for entry in runs.ledger()] == [ended.run.cost_micros]
        assert ended.run.cost_micros == (made.run.price_micros_per_hour or 0) // 2

    def test_a_finished_run_refuses(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version().id)
        runs.succeed(runs.claim())
        with pytest.raises(Conflict) as caught:
            runs.cancel(made.run.id)
        assert caught.value.error_code == "job_state_conflict"


class TestSucceed:
    def test_the_adapter_the_charge_and_the_end_come_together(self, runs: Runs) -> None:
        asked = {"suffix": "my reviews!", "adapter_type": AdapterType.QLORA}
        made = runs.create(dataset_version_id=runs.version().id, **asked)
        model_id = runs.succeed(runs.claim(), seconds=3600)
        assert model_id.startswith(f"ft:{runs.model}:acme:my-reviews:")
        assert len(model_id.rpartition(":")[2]) == 8
        done = runs.get(made.run.id)
        assert done.adapter is not None
        assert (done.job.state, done.adapter.model_id) == (JobState.SUCCEEDED, model_id)
        assert (done.run.trained_tokens, done.run.tuned_heldout_loss) == (4000, 1.2)
        assert done.adapter.quantization == "nf4"
        (entry,) = runs.ledger()
        assert (entry.kind, entry.source_id, entry.tokens) == ("training", made.run.id, 4000)
        assert entry.amount_micros == done.run.cost_micros == made.run.price_micros_per_hour
        assert runs.messages(made.run.id)[-2:] == [
            f"New fine-tuned model created: {model_id}",
            "The job has successfully completed",
        ]

    def test_without_suffix_or_name_its_place_stays_empty(self, runs: Runs) -> None:
        runs.create(dataset_version_id=runs.version().id)
        assert f"ft:{runs.model}:acme::" in runs.succeed(runs.claim())

    def test_a_worker_that_lost_its_lease_leaves_no_trace(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version().id)
        lease = runs.claim()
        with runs.database.session(SYSTEM) as session:
            session.execute(text("update jobs set attempt = attempt + 1"))
        with pytest.raises(Fenced):
            runs.succeed(lease)
        run = runs.get(made.run.id)
        assert (run.adapter, run.run.cost_micros, runs.ledger()) == (None, None, [])


class TestRows:
    def test_held_out_rows_are_not_trained_on(self, runs: Runs) -> None:
        runs.create(dataset_version_id=runs.version(with_rows=True).id)
        lease = runs.claim()
        with runs.database.session(workspace_scope(lease.workspace_id)) as session:
            work = execution.load(session, lease)
            train = {row.number for row in execution.rows(session, lease, work, Split.TRAIN)}
            heldout = {row.number for row in execution.rows(session, lease, work, Split.HELDOUT)}
        assert len(train) == NUM_TRAIN
        assert not train & heldout
        assert work.lineage.dataset_sha256 == "c" * 64


class TestEstimate:
    def test_recipes_cost_more_the_longer_they_take(self, runs: Runs) -> None:
        request = RunRequest(model=runs.model, dataset_version_id=runs.version().id)
        with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
            quote = training.estimate(session, principal=runs.principal, request=request, recipes=list(Recipe))
        costs = [plan.cost_micros for plan in quote.plans]
        assert costs == sorted(costs)
        assert quote.refusals == {}
        assert (quote.price.hardware, quote.place.queue, quote.place.outlook.position) == ("cpu", "cpu", 1)

    def test_a_finished_run_makes_the_next_estimate_surer(self, runs: Runs) -> None:
        version_id = runs.version().id
        before = runs.create(dataset_version_id=version_id).run.estimate
        runs.succeed(runs.claim(), results={"tokens_per_second": 20.0})
        after = runs.create(dataset_version_id=version_id).run.estimate
        assert before is not None
        assert after is not None
        assert (before["based_on"], after["based_on"], after["num_past_runs"]) == ("catalogue", "own_runs", 1)
        assert after["tokens_per_second"] == pytest.approx(20.0)
        assert after["seconds_high"] / after["seconds_low"] < before["seconds_high"] / before["seconds_low"]

    def test_a_worker_with_too_little_memory_is_no_place_for_a_run(self, runs: Runs) -> None:
        with runs.database.session(SYSTEM) as session:
            workers.beat(
                session,
                worker_id="small",
                hostname="h",
                queue_name=QueueName.CPU,
                pid=1,
                version="0",
                vitals=Vitals(memory_bytes=2**29),
            )
        with pytest.raises(Invalid) as refused:
            runs.create(dataset_version_id=runs.version().id)
        assert refused.value.error_code == "does_not_fit"
        assert runs.queue.rung == []

    def test_data_that_is_still_checked_has_no_estimate_yet(self, runs: Runs) -> None:
        version = runs.version(status=VersionStatus.VALIDATING)
        request = RunRequest(model=runs.model, dataset_version_id=version.id)
        with (
            runs.database.session(workspace_scope(runs.principal.workspace_id)) as session,
            pytest.raises(Conflict) as caught,
        ):
            training.estimate(session, principal=runs.principal, request=request, recipes=[Recipe.FAST])
        assert caught.value.error_code == "dataset_version_not_ready"


class TestList:
    def test_newest_first_and_by_metadata(self, runs: Runs) -> None:
        version_id = runs.version().id
        first = runs.create(dataset_version_id=version_id, metadata={"team": "a", "x": "1"}).run.id
        second = runs.create(dataset_version_id=version_id).run.id

        def found(**wanted: object) -> list[str]:
            with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
                page = training.list_runs(
                    session,
                    workspace_id=runs.principal.workspace_id,
                    page=PageRequest(),
                    wanted=RunFilter(**wanted),
                )
            return [details.run.id for details in page.items]

        assert found() == [second, first]
        assert found(metadata={"team": "a"}) == [first]
        assert found(metadata={"team": "b"}) == []
        assert found(has_no_metadata=True) == [second]


class TestAdapters:
    def test_a_deleted_model_is_gone_until_it_is_restored(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version().id)
        model_id = runs.succeed(runs.claim())
        workspace_id = runs.principal.workspace_id
        with runs.database.session(workspace_scope(workspace_id)) as session:
            adapters.delete(session, workspace_id=workspace_id, model_id=model_id)
            with pytest.raises(NotFound):
                adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=model_id)
            with pytest.raises(NotFound):
                adapters.delete(session, workspace_id=workspace_id, model_id=model_id)
        adapter = runs.get(made.run.id).adapter
        assert adapter is not None
        assert adapter.model_id == model_id
        with runs.database.session(workspace_scope(workspace_id)) as session:
            adapters.restore(session, workspace_id=workspace_id, model_id=model_id)
            assert len(adapters.list_adapters(session, workspace_id=workspace_id)) == 1
