import re
from pathlib import Path

import pytest

from core.jobs.states import CANCELLED_AT_ONCE, TERMINAL, TRANSITIONS, JobState

DOCS = Path(__file__).parents[3] / "docs" / "jobs.md"


def test_the_diagram_in_the_docs_is_the_table() -> None:
    diagram = DOCS.read_text().split("```mermaid", 1)[1].split("```", 1)[0]
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", diagram, re.MULTILINE))
    table = {(state.value, following.value) for state, ends in TRANSITIONS.items() for following in ends}
    assert drawn == table


def test_every_state_has_its_line_in_the_table() -> None:
    assert set(TRANSITIONS) == set(JobState)


def test_only_its_owner_takes_up_what_is_over_and_only_after_a_failure() -> None:
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} == TERMINAL
    assert {state: TRANSITIONS[state] for state in TERMINAL if TRANSITIONS[state]} == {
        JobState.FAILED: frozenset({JobState.QUEUED})
    }


@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL))
def test_everything_that_is_not_over_can_be_cancelled(state: JobState) -> None:
    assert JobState.CANCELLED in TRANSITIONS[state]


def test_only_running_needs_a_workers_consent_to_cancel() -> None:
    assert set(JobState) - TERMINAL - CANCELLED_AT_ONCE == {JobState.RUNNING}
