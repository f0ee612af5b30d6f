from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from core.datasets.models import DatasetVersion
from core.jobs.models import Job
from core.jobs.states import TERMINAL
from core.kit.pagination import Page, PageRequest
from core.training.models import ScalingStudy


class StudyRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, study: ScalingStudy) -> None:
        self._session.add(study)
        self._session.flush()

    def get(self, study_id: str) -> ScalingStudy | None:
        return self._session.scalar(
            select(ScalingStudy).where(ScalingStudy.workspace_id == self._workspace_id, ScalingStudy.id == study_id)
        )

    def find(self, study_id: str) -> tuple[ScalingStudy, Job] | None:
        row = self._session.execute(
            self._found().where(ScalingStudy.id == study_id).execution_options(populate_existing=True)
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def hold(self, study_id: str) -> tuple[ScalingStudy, Job] | None:
        """As they are now, the job's row held until the transaction ends."""
        job = self._session.scalar(
            select(Job)
            .join(ScalingStudy, ScalingStudy.job_id == Job.id)
            .where(ScalingStudy.workspace_id == self._workspace_id, ScalingStudy.id == study_id)
            .with_for_update(of=Job, key_share=True)
            .execution_options(populate_existing=True)
        )
        # read after the wait: beside a row that is waited for, Postgres gives what was there before
        return None if job is None else self.find(study_id)

    def hold_version(self, version_id: str) -> None:
        """Until the transaction ends: of two studies that are asked for at once, the second sees the first."""
        self._session.execute(
            select(DatasetVersion.id)
            .where(DatasetVersion.workspace_id == self._workspace_id, DatasetVersion.id == version_id)
            .with_for_update(key_share=True)
        )

    def page(self, version_id: str, page: PageRequest) -> Page[tuple[ScalingStudy, Job]]:
        """Newest first."""
        query = self._found().where(ScalingStudy.dataset_version_id == version_id)
        if page.after:
            query = query.where(ScalingStudy.id < page.after)
        rows = self._session.execute(query.order_by(ScalingStudy.id.desc()).limit(page.limit + 1))
        return Page.cut([(row[0], row[1]) for row in rows], page.limit)

    def unfinished_of(self, version_id: str) -> Sequence[str]:
        """Ids of those that wait or run."""
        return self._session.scalars(
            select(ScalingStudy.id)
            .join(Job, Job.id == ScalingStudy.job_id)
            .where(
                ScalingStudy.workspace_id == self._workspace_id,
                ScalingStudy.dataset_version_id == version_id,
                Job.state.not_in(TERMINAL),
            )
        ).all()

    def _found(self) -> Select[ScalingStudy, Job]:
        return (
            select(ScalingStudy, Job)
            .join(Job, Job.id == ScalingStudy.job_id)
            .where(ScalingStudy.workspace_id == self._workspace_id)
        )
