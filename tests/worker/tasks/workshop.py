"""A queued run and a worker for it, on a real database and a real object store."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from core.db.session import SYSTEM, workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.models import JobEvent
from core.training import service as training
from core.training.models import RunCheckpoint
from core.training.request import RunRequest
from core.training.types import RunDetails
from core.usage.models import LedgerEntry
from core.workspaces.principal import Principal
from tests.factories.training import make_version, put_base_model_on_disk
from worker.app import work_once
from worker.context import WorkContext


class Workshop:
    """The run, and what its owner and its worker do with it."""

    def __init__(self, context: WorkContext, principal: Principal) -> None:
        self.context, self.principal = context, principal
        self.scope = workspace_scope(principal.workspace_id)
        with context.database.session(self.scope) as session:
            version = make_version(session, principal.workspace_id, with_rows=True)
            made = training.create(
                session,
                principal=principal,
                request=RunRequest(
                    model=put_base_model_on_disk(context.settings), dataset_version_id=version.id, seed=7
                ),
                settings=context.settings,
                queue=None,
            )
        self.run_id, self.job_id = made.run.id, made.job.id

    @property
    def folder(self) -> Path:
        return self.context.settings.runs_dir / self.job_id

    def work(self) -> None:
        assert work_once(self.context, QueueName.CPU)

    def working(self) -> threading.Thread:
        """The same in a thread, to be joined."""
        thread = threading.Thread(target=self.work)
        thread.start()
        return thread

    def move_to_another_machine(self, home: Path) -> None:
        """The next attempt finds nothing on its disk."""
        settings = self.context.settings.model_copy(update={"home": home})
        self.context = replace(self.context, settings=settings, stopping=threading.Event(), worker_id="w2")

    def look(self) -> RunDetails:
        with self.context.database.session(self.scope) as session:
            return training.get(session, workspace_id=self.principal.workspace_id, run_id=self.run_id)

    def cancel(self) -> None:
        with self.context.database.session(self.scope) as session:
            training.cancel(session, principal=self.principal, run_id=self.run_id)

    def pause(self) -> None:
        with self.context.database.session(self.scope) as session:
            jobs.request_pause(session, workspace_id=self.principal.workspace_id, job_id=self.job_id)

    def resume(self, **payload_changes: Any) -> None:  # noqa: ANN401 - JSON
        with self.context.database.session(self.scope) as session:
            jobs.resume(
                session,
                workspace_id=self.principal.workspace_id,
                job_id=self.job_id,
                payload_changes=payload_changes or None,
            )

    def make_due(self) -> None:
        with self.context.database.session(SYSTEM) as session:
            session.execute(text("update jobs set not_before = null"))

    def steal_lease(self) -> None:
        """As an admin's kill does, and a reaper that gave up on the worker."""
        with self.context.database.session(SYSTEM) as session:
            jobs.kill(session, job_id=self.job_id)

    def limit_billable_s(self, seconds: float) -> None:
        with self.context.database.session(SYSTEM) as session:
            session.execute(
                text("update jobs set payload = payload || jsonb_build_object('max_billable_s', cast(:s as float))"),
                {"s": seconds},
            )

    def plan_execution(self, **changes: Any) -> None:  # noqa: ANN401 - fields of an ExecutionPlan
        """As a machine other than this one would do it."""
        with self.context.database.session(SYSTEM) as session:
            session.execute(
                text(
                    "update runs set estimate = estimate || jsonb_build_object('execution', "
                    "coalesce(estimate->'execution', '{}') || cast(:changes as jsonb)) where id = :id"
                ),
                {"changes": json.dumps(changes), "id": self.run_id},
            )

    def ledger(self) -> list[LedgerEntry]:
        with self.context.database.session(SYSTEM) as session:
            return list(session.query(LedgerEntry))

    def messages(self) -> list[str]:
        with self.context.database.session(SYSTEM) as session:
            events = session.query(JobEvent).filter_by(job_id=self.job_id).order_by(JobEvent.seq)
            return [event.message for event in events]

    def checkpoints(self) -> list[RunCheckpoint]:
        """Newest first."""
        with self.context.database.session(SYSTEM) as session:
            rows = session.query(RunCheckpoint).filter_by(run_id=self.run_id)
            return sorted(rows, key=lambda row: (row.attempt, row.step), reverse=True)

    def stored_keys(self, below: str = "") -> list[str]:
        prefix = f"workspaces/{self.principal.workspace_id}/runs/{self.run_id}/{below}"
        return self.context.backends.blobs.keys(prefix)
