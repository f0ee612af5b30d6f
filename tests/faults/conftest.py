"""Fixtures of the drills; `README.md` says how to write one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.arena import STUB, Arena
from tests.faults.arena_servers import ArenaServers, arena_servers
from tests.faults.checker import violations
from tests.faults.recording import SEED


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
