"""Fixtures of the drills; `README.md` says how to write one."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults.arena import STUB, Arena
from tests.faults.arena_servers import ArenaServers, arena_servers
from tests.faults.checker import violations
from tests.faults.recording import Record, TestRecord, note_report, number_of, save

SEED = int(os.environ.get("SEED", "1"))
_records = pytest.StashKey[TestRecord]()


def pytest_runtest_setup(item: pytest.Item) -> None:
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


@pytest.fixture(scope="session")
def drill_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArenaServers]:
    with arena_servers(tmp_path_factory.mktemp("arena"), seed=SEED) as servers:
        yield servers


@pytest.fixture
def arena(drill_servers: ArenaServers, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A fresh arena. After the drill its workers end as in a deploy, the janitor goes round, the checker looks."""
    drill_servers.recover()
    drill_servers.empty()
    made = Arena(drill_servers, tmp_path, trainer=STUB, seed=SEED)
    try:
        yield made
        drill_servers.recover()
        made.stop_workers()
        made.tidy()
        found = violations(made.scene())
        assert found == [], "\n".join([*found, made.describe()])
    finally:
        made.close()


@pytest.fixture
def record_figure(request: pytest.FixtureRequest) -> Record:
    """`record_figure(name, value)`: into the table of `docs/reliability.md`. `times`: how often the fault was set."""

    def record(name: str | None = None, value: float = 0.0, *, times: int | None = None) -> None:
        kept = request.node.stash[_records]
        if name is not None:
            kept.figures[name] = value
        kept.times = kept.times if times is None else times

    return record
