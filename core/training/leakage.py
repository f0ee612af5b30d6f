"""Rows of a validation file that are learned from too: looked for before a run costs anything."""

from typing import Any

from sqlalchemy.orm import Session

from core.datasets import service as datasets
from core.datasets.health.overlap import Overlap, OverlapCheck
from core.datasets.models import DatasetVersion
from core.datasets.types import Split, VersionStatus

ADVICE = "Leave them out of one of the two sets, or check with examples that are not learned from."
# what is compared while somebody waits for an answer; more is compared by the run's worker, before it trains
MAX_ROWS_AT_ONCE = 20_000
# beside the plan, in a run's estimate
_KEY = "leakage"


def between(session: Session, version: DatasetVersion, validation: DatasetVersion) -> Overlap | None:
    """What of the validation is learned too; None for more rows than are compared at once, or that are not read yet.

    With a validation file, all rows of the version are learned from.
    """
    if any(one.status is not VersionStatus.READY for one in (version, validation)):
        return None
    if version.kind is not validation.kind or num_rows(version, validation) > MAX_ROWS_AT_ONCE:
        return None
    check = OverlapCheck()
    for one, feed in ((version, check.learn), (validation, check.measure)):
        for split in (Split.TRAIN, Split.HELDOUT):
            for row in datasets.stream_rows(session, workspace_id=one.workspace_id, version_id=one.id, split=split):
                feed(row.number, row)
    return check.found()


def num_rows(*versions: DatasetVersion) -> int:
    return sum(one.num_rows or 0 for one in versions)


def of(estimate: dict[str, Any] | None) -> Overlap | None:
    """What was found of a run, from its estimate."""
    found = (estimate or {}).get(_KEY)
    return None if found is None else Overlap.model_validate(found)


def noted(estimate: dict[str, Any] | None, overlap: Overlap) -> dict[str, Any]:
    return (estimate or {}) | {_KEY: overlap.model_dump(mode="json")}


def told(overlap: Overlap) -> str:
    """For a run's log."""
    return f"{sentence(overlap)} {ADVICE}"


def sentence(overlap: Overlap) -> str:
    """What was found and what it means, in plain words."""
    if overlap.num_shared == 0:
        return f"None of the {overlap.num_measured:,} examples that this is checked with is learned from."
    are = "is" if overlap.num_shared == 1 else "are"
    which = ", ".join(
        f"row {row.number:,} (as row {row.training_number:,} of those to learn from)" for row in overlap.rows
    )
    more = overlap.num_shared - len(overlap.rows)
    return (
        f"{overlap.num_shared:,} of the {overlap.num_measured:,} examples that this is checked with {are} learned from "
        f"too, {overlap.num_same:,} word for word and {overlap.num_nearly:,} nearly, so the result will look better "
        f"than it is: {which}{f' and {more:,} more' if more else ''}."
    )
