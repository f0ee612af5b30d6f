"""What drills measured, kept in `bench/results/drills.json` when `DRILLS_RECORD=1` (as `make drills` sets it).

`tests/conftest.py` takes the hooks and the fixture from here: a drill may stand wherever its tests do.
"""

import json
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.kit.clock import utc_now

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "drills.json"
SEED = int(os.environ.get("SEED", "1"))
Record = Callable[..., None]


@dataclass(slots=True)
class TestRecord:
    __test__ = False

    drill: int
    test: str
    outcome: str = "passed"
    reason: str = ""
    seconds: float = 0.0
    times: int = 1
    """How often the fault was set."""
    figures: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "test": self.test,
            "outcome": self.outcome,
            "reason": self.reason,
            "seconds": round(self.seconds, 1),
            "times": self.times,
            "figures": {name: float(f"{value:.3g}") for name, value in sorted(self.figures.items())},
        }


_records = pytest.StashKey[TestRecord]()


def begin(item: pytest.Item) -> None:
    """If the test is a drill, or a part of one, what it measures is kept from now on."""
    number = number_of(item)
    if number is not None:
        item.stash[_records] = TestRecord(drill=number, test=item.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if (record := item.stash.get(_records, None)) is not None:
        note_report(record, report)
        if report.failed:
            report.sections.append(("seed", f"SEED={SEED} pytest -m drill '{item.nodeid}'"))
        if report.when == "teardown":
            save(record, SEED)
    return report


@pytest.fixture
def record_figure(request: pytest.FixtureRequest) -> Record:
    """`record_figure(name, value)`: into the table of `docs/reliability.md`. `times`: how often the fault was set."""

    def record(name: str | None = None, value: float = 0.0, *, times: int | None = None) -> None:
        kept = request.node.stash[_records]
        if name is not None:
            kept.figures[name] = value
        kept.times = kept.times if times is None else times

    return record


def number_of(item: pytest.Item) -> int | None:
    marker = item.get_closest_marker("drill")
    return int(marker.args[0]) if marker and marker.args else None


def note_report(record: TestRecord, report: pytest.TestReport) -> None:
    record.seconds += report.duration
    if report.skipped:
        record.outcome = "skipped"
        record.reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
    elif report.failed:
        record.outcome = "failed"


def save(record: TestRecord, seed: int) -> None:
    """Put it in the place of what was known of the same test; at once, so that a run that is broken off counts."""
    if os.environ.get("DRILLS_RECORD") != "1":
        return
    known: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    entry = {**record.as_json(), "seed": seed, "at": utc_now().strftime("%Y-%m-%d %H:%M")}
    tests = known.setdefault("drills", {}).setdefault(str(record.drill), [])
    tests[:] = [*(one for one in tests if one["test"] != record.test), entry]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
