"""Drill 37: very many questions for very long lists, and viewers who stay; measured as by `make bench-api`."""

from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine

from tests.factories import long_lists
from tests.faults.arena import Arena
from tests.faults.load import ask, head
from tests.faults.recording import Record
from tests.faults.viewers import watch

pytestmark = [pytest.mark.stack, pytest.mark.drill(37)]

NUM_JOBS = 1_000_000
NUM_QUESTIONS, NUM_CONNECTIONS = 10_000, 500
WATCHED_S = 600.0


def test_a_crowd_before_a_million_jobs_is_answered_and_viewers_cost_no_memory(
    arena: Arena, record_figure: Record
) -> None:
    template = arena.submit(ring=False)
    engine = create_engine(arena.servers.direct.database_owner_url)
    with engine.connect() as connection:
        long_lists.fill(connection, template_run_id=template.run_id, num=NUM_JOBS)
    engine.dispose()
    ports = [urlsplit(arena.api_process(is_direct=True, rate_limit_reads=10**9)).port or 0 for _ in range(2)]
    key = arena.api_key()
    paths = [f"/v1/fine_tuning/jobs?after={long_lists.run_id(arena.random.randint(1, NUM_JOBS))}" for _ in range(1_000)]

    def come() -> None:
        answers = ask(
            [head(path, key) for path in paths], ports=ports, num_connections=NUM_CONNECTIONS, count=NUM_QUESTIONS
        )
        p99_s = answers.percentile(99) / 1000
        record_figure("list_p99_s", p99_s, times=NUM_QUESTIONS)
        assert answers.statuses == {"200": NUM_QUESTIONS}
        assert p99_s < 1

    try:
        found = watch(arena, ports, seconds=WATCHED_S, meanwhile=come)
        record_figure("rss_growth_pct", found.growth_pct)
        assert found.growth_pct < 10
        assert min(found.num_seen) > 0.9 * found.num_said
    finally:
        # the arena's checker would read a million jobs that nobody works on
        arena.servers.empty()
