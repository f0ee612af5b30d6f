"""Rows of a validation file that are learned from too: told before the run begins."""

from dataclasses import replace

import pytest

from core.config import Settings
from core.datasets.health.overlap import Overlap, SharedRow
from core.datasets.models import DatasetVersion, Row
from core.datasets.types import Split, VersionStatus
from core.db.session import Database, workspace_scope
from core.jobs.states import JobState
from core.jobs.types import EventLevel
from core.kit.pagination import PageRequest
from core.training import execution, leakage
from core.training import service as training
from core.training.execution import Fenced
from core.workspaces.principal import Principal
from tests.core.training.test_runs import Runs


def test_the_sentence_says_how_many_which_and_what_it_means() -> None:
    found = Overlap(
        num_measured=200,
        num_same=1,
        num_nearly=2,
        rows=[
            SharedRow(number=3, training_number=1040, is_same=True),
            SharedRow(number=7, training_number=12, is_same=False),
        ],
    )
    assert leakage.sentence(found) == (
        "3 of the 200 examples that this is checked with are learned from too, 1 word for word and 2 nearly, so the "
        "result will look better than it is: row 3 (as row 1,040 of those to learn from), row 7 (as row 12 of those to "
        "learn from) and 1 more."
    )
    none = Overlap(num_measured=200, num_same=0, num_nearly=0, rows=[])
    assert leakage.sentence(none) == "None of the 200 examples that this is checked with is learned from."


@pytest.fixture
def runs(database: Database, principal: Principal, settings: Settings) -> Runs:
    return Runs(database, principal, settings)


def levels(runs: Runs, run_id: str) -> list[tuple[EventLevel, str]]:
    with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
        page = training.list_events(
            session, workspace_id=runs.principal.workspace_id, run_id=run_id, page=PageRequest(limit=100)
        )
    return [(event.level, event.message) for event in reversed(page.items)]


def add_rows(runs: Runs, version: DatasetVersion, questions: dict[int, str]) -> None:
    with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
        session.add_all(
            Row(
                reading_id=version.id,
                number=number,
                workspace_id=version.workspace_id,
                split=Split.HELDOUT if number % 2 else Split.TRAIN,
                messages=[{"role": "user", "content": said}, {"role": "assistant", "content": "answer"}],
                num_tokens=50,
            )
            for number, said in questions.items()
        )


@pytest.mark.stack
class TestOfARun:
    def test_it_is_entered_and_warned_of_before_the_run_is_queued(self, runs: Runs) -> None:
        version, validation = runs.version(with_rows=True), runs.version()
        # held out or not: with a validation file all rows are learned from
        add_rows(runs, validation, {2: "question 10", 3: "question 11", 4: "something else"})
        made = runs.create(dataset_version_id=version.id, validation_dataset_version_id=validation.id)
        assert made.job.state is JobState.QUEUED
        found = leakage.of(made.run.estimate)
        assert found is not None
        assert (found.num_measured, found.num_same, found.num_nearly) == (3, 2, 0)
        assert [(row.number, row.training_number) for row in found.rows] == [(2, 10), (3, 11)]
        told = levels(runs, made.run.id)
        warned = [place for place, (level, _) in enumerate(told) if level is EventLevel.WARN]
        assert [told[place][1] for place in warned] == [leakage.told(found)]
        assert warned[0] < [message for _, message in told].index("Files validated, moving job to queued state")
        assert made.run.validation_version_id == validation.id
        assert made.run.validation_file_id is not None

    def test_nothing_is_warned_of_where_nothing_is_shared(self, runs: Runs) -> None:
        version, validation = runs.version(with_rows=True), runs.version()
        add_rows(runs, validation, {2: "something else"})
        made = runs.create(dataset_version_id=version.id, validation_dataset_version_id=validation.id)
        found = leakage.of(made.run.estimate)
        assert found is not None
        assert found.num_shared == 0
        assert {level for level, _ in levels(runs, made.run.id)} == {EventLevel.INFO}

    def test_without_a_validation_file_there_is_nothing_to_look_for(self, runs: Runs) -> None:
        made = runs.create(dataset_version_id=runs.version(with_rows=True).id)
        assert leakage.of(made.run.estimate) is None

    def test_it_is_looked_for_when_the_last_of_both_is_read(self, runs: Runs) -> None:
        version, validation = runs.version(with_rows=True), runs.version(status=VersionStatus.VALIDATING)
        made = runs.create(dataset_version_id=version.id, validation_dataset_version_id=validation.id)
        assert made.job.state is JobState.VALIDATING
        add_rows(runs, validation, {2: "question 10"})
        runs.finish_version(validation.id)
        after = runs.get(made.run.id)
        found = leakage.of(after.run.estimate)
        assert (after.job.state, found and found.num_same) == (JobState.QUEUED, 1)

    def test_too_many_rows_are_left_to_the_worker(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leakage, "MAX_ROWS_AT_ONCE", 150)
        version, validation = runs.version(with_rows=True), runs.version(with_rows=True)
        made = runs.create(dataset_version_id=version.id, validation_dataset_version_id=validation.id)
        assert (made.job.state, leakage.of(made.run.estimate)) == (JobState.QUEUED, None)
        lease = runs.claim()
        scope = workspace_scope(runs.principal.workspace_id)
        with runs.database.session(scope) as session:
            work = execution.load(session, lease)
        assert not work.is_leakage_known
        shared = [SharedRow(number=1, training_number=1, is_same=True)]
        overlap = Overlap(num_measured=100, num_same=100, num_nearly=0, rows=shared)
        with runs.database.session(scope) as session:
            execution.note_leakage(session, lease, overlap)
        assert leakage.of(runs.get(made.run.id).run.estimate) == overlap
        assert (EventLevel.WARN, leakage.told(overlap)) in levels(runs, made.run.id)
        with runs.database.session(scope) as session:
            assert execution.load(session, lease).is_leakage_known
        with pytest.raises(Fenced), runs.database.session(scope) as session:
            execution.note_leakage(session, replace(lease, attempt=lease.attempt - 1), overlap)
