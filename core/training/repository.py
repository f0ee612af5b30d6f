from collections.abc import Mapping, Sequence

from sqlalchemy import Select, Subquery, bindparam, exists, false, insert, or_, select
from sqlalchemy.orm import Session

from core.adapters.models import Adapter
from core.datasets.models import Dataset, DatasetVersion
from core.db.reading import Reading
from core.jobs.models import Job
from core.jobs.states import JobState
from core.kit.pagination import Page, PageRequest
from core.training.models import Run, RunMetadata
from core.training.types import RunDetails, RunFilter

# built once: to put the same query together anew takes as long as Postgres takes to answer it
_DETAILS = (
    select(Run, Job, Dataset.name, Adapter)
    .join(Job, Job.id == Run.job_id)
    .join(DatasetVersion, DatasetVersion.id == Run.dataset_version_id)
    .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
    .outerjoin(Adapter, Adapter.id == Run.adapter_id)
    .where(Run.workspace_id == bindparam("workspace_id"))
    .execution_options(populate_existing=True)
)
_DETAILS_OF_ONE = Reading(_DETAILS.where(Run.id == bindparam("run_id")))


class RunRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, run: Run) -> None:
        self._session.add(run)
        self._session.flush()
        pairs = (run.user_metadata or {}).items()
        if pairs:
            owned = {"workspace_id": self._workspace_id, "run_id": run.id}
            self._session.execute(insert(RunMetadata), [{"key": key, "value": value} | owned for key, value in pairs])

    def get(self, run_id: str) -> Run | None:
        return self._session.scalar(select(Run).where(Run.workspace_id == self._workspace_id, Run.id == run_id))

    def find(self, run_id: str) -> RunDetails | None:
        """As it is in the database now, to read, without its place in the queue."""
        row = _DETAILS_OF_ONE.one_or_none(self._session, {"workspace_id": self._workspace_id, "run_id": run_id})
        return None if row is None else RunDetails(*row)

    def hold(self, run_id: str) -> tuple[Run, Job] | None:
        """The run and its job as they are now, the job's row held until the transaction ends."""
        job = self._session.scalar(
            select(Job)
            .join(Run, Run.job_id == Job.id)
            .where(Run.workspace_id == self._workspace_id, Run.id == run_id)
            .with_for_update(of=Job, key_share=True)
            .execution_options(populate_existing=True)
        )
        return None if job is None else (self._runs_of([job])[0], job)

    def of_versions(self, version_ids: Sequence[str], *, limit: int) -> Sequence[RunDetails]:
        """The runs that learned from these versions or were measured with them, newest first."""
        query = _DETAILS.where(Run.dataset_version_id.in_(version_ids) | Run.validation_version_id.in_(version_ids))
        rows = self._session.execute(query.order_by(Run.id.desc()).limit(limit), {"workspace_id": self._workspace_id})
        return [RunDetails(*row) for row in rows]

    def of_jobs(self, job_ids: Sequence[str]) -> Sequence[RunDetails]:
        """The runs of these jobs, in the order given; jobs without a run are left out."""
        query = _DETAILS.where(Run.job_id.in_(job_ids))
        rows = self._session.execute(query, {"workspace_id": self._workspace_id})
        found = {row[1].id: RunDetails(*row) for row in rows}
        return [found[job_id] for job_id in job_ids if job_id in found]

    def page(self, page: PageRequest, wanted: RunFilter) -> Page[RunDetails]:
        """Newest first.

        The ids come first, from one table in the order of an index, and only those of the page are joined: else a plan
        may join all of them and sort.
        """
        ids = self._ids_with(wanted.metadata) if wanted.metadata else self._ids()
        run_id = ids.selected_columns[0]
        if page.after:
            ids = ids.where(run_id < page.after)
        if wanted.has_no_metadata:
            ids = ids.where(false() if wanted.metadata else Run.user_metadata.is_(None))
        page_ids = ids.order_by(run_id.desc()).limit(page.limit + 1).cte("page").prefix_with("materialized")
        query = _DETAILS.join(page_ids, page_ids.c[0] == Run.id).order_by(Run.id.desc())
        rows = self._session.execute(query, {"workspace_id": self._workspace_id})
        return Page.cut([RunDetails(*row) for row in rows], page.limit)

    def waiting_for(self, version_id: str) -> Sequence[tuple[Run, Job]]:
        """Runs that wait for this version to be checked, their jobs held until the transaction ends."""
        jobs = self._session.scalars(
            select(Job)
            .join(Run, Run.job_id == Job.id)
            .where(
                Run.workspace_id == self._workspace_id,
                or_(Run.dataset_version_id == version_id, Run.validation_version_id == version_id),
                Job.state == JobState.VALIDATING,
            )
            .order_by(Run.id)
            .with_for_update(of=Job)
            .execution_options(populate_existing=True)
        ).all()
        return list(zip(self._runs_of(jobs), jobs, strict=True))

    def hold_version(self, version_id: str) -> DatasetVersion | None:
        """The version as it is now, kept from changing until the transaction ends.

        Else it could become ready after this transaction saw it validating, and before the one that makes it ready
        could see the run that waits for it.
        """
        return self._session.scalar(
            select(DatasetVersion)
            .where(DatasetVersion.workspace_id == self._workspace_id, DatasetVersion.id == version_id)
            .with_for_update(read=True)
            .execution_options(populate_existing=True)
        )

    def recently_finished(self, *, limit: int) -> Sequence[Run]:
        """The last runs that made an adapter, newest first."""
        return self._session.scalars(
            select(Run)
            .where(
                Run.workspace_id == self._workspace_id,
                Run.adapter_id.is_not(None),
                Run.results.is_not(None),
            )
            .order_by(Run.id.desc())
            .limit(limit)
        ).all()

    def _ids(self) -> Select[str]:
        return select(Run.id).where(Run.workspace_id == self._workspace_id)

    def _ids_with(self, metadata: Mapping[str, str]) -> Select[str]:
        first, *others = (self._pairs(key, value) for key, value in metadata.items())
        return select(first.c.run_id).where(
            *(exists(select(other.c.run_id).where(other.c.run_id == first.c.run_id)) for other in others)
        )

    def _pairs(self, key: str, value: str) -> Subquery:
        return (
            select(RunMetadata.run_id)
            .where(RunMetadata.workspace_id == self._workspace_id, RunMetadata.key == key, RunMetadata.value == value)
            .subquery()
        )

    def _runs_of(self, jobs: Sequence[Job]) -> list[Run]:
        """The runs of jobs that are held, in the order given; read after the wait for them.

        What a statement reads beside a row that it waits for, Postgres gives it as it was before the wait.
        """
        found = self._session.scalars(
            select(Run).where(Run.job_id.in_([job.id for job in jobs])).execution_options(populate_existing=True)
        )
        by_job = {run.job_id: run for run in found}
        return [by_job[job.id] for job in jobs]
