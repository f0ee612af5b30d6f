"""`make bench-api`: how many questions the API answers, and how soon, with a million jobs. Nothing here is a test.

Two API processes on ports of their own (as behind a load balancer), real Postgres, Valkey and S3, real API keys. All of
it shares the machine's processors with the process that asks (`tests/faults/load.py`), which is part of every figure.
The peer is a bare FastAPI service that reads the same rows by hand (`api_peer.py`), in the same minutes.
"""

import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import api_plans  # noqa: E402
from sqlalchemy import create_engine  # noqa: E402

import core.tables  # noqa: E402, F401 - a foreign key needs both of its tables known
from core.db.session import SYSTEM  # noqa: E402
from core.identity import service as identity  # noqa: E402
from core.stack.figures import write_figures  # noqa: E402
from core.stack.ports import choose  # noqa: E402
from tests.factories import long_lists  # noqa: E402
from tests.faults.arena import Arena  # noqa: E402
from tests.faults.arena_servers import arena_servers  # noqa: E402
from tests.faults.load import Answers, ask, head  # noqa: E402
from tests.faults.viewers import watch  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "api.json"
_PACKAGES = ("fastapi", "psycopg", "pydantic", "sqlalchemy", "starlette", "uvicorn")
_NUM_PROCESSES = 2
_NUM_JOBS = 1_000_000
_SECONDS = 15
# counted as ever, but not refused: one key asks what very many would
_UNLIMITED = 10**9
_WATCH_S = 300
_SHARED = {
    "api_processes": _NUM_PROCESSES,
    "shared": "the API, Postgres and the process that asks share the machine's processors",
    "num_jobs": _NUM_JOBS,
}
MEASURES = ("reads", "lists", "plans", "crowd", "viewers")
Found = tuple[dict[str, float], dict[str, Any]]


def main() -> None:
    """Measure all, or only what the arguments name; what was measured before is kept beside it."""
    wanted = sys.argv[1:] or MEASURES
    before = json.loads(_RESULTS.read_text()) if sys.argv[1:] and _RESULTS.exists() else {"figures": {}, "runs": []}
    figures, runs = before["figures"], {run["measured"]: run for run in before["runs"]}
    with tempfile.TemporaryDirectory(prefix="bench-api-") as name, _bench(Path(name)) as bench:
        for measured in wanted:
            found, details = getattr(bench, measured)()
            figures |= {key: round(value, 3) for key, value in found.items()}
            runs[measured] = {"measured": measured, **details}
            for key in found:
                print(f"{key:32} {figures[key]}", flush=True)
            write_figures(_RESULTS, packages=_PACKAGES, figures=figures, runs=list(runs.values()))
    print(f"Written to {_RESULTS.relative_to(ROOT)}")


@contextmanager
def _bench(folder: Path) -> Iterator["Bench"]:
    with arena_servers(folder / "servers") as servers:
        home = folder / "arena"
        home.mkdir()
        arena = Arena(servers, home, trainer=())
        try:
            began = time.monotonic()
            template = arena.submit(ring=False)
            engine = create_engine(servers.direct.database_owner_url)
            with engine.connect() as connection:
                long_lists.fill(connection, template_run_id=template.run_id, num=_NUM_JOBS)
            engine.dispose()
            print(f"{_NUM_JOBS:,} jobs after {time.monotonic() - began:.0f} s", flush=True)
            yield Bench(arena)
        finally:
            arena.close()


class Bench:
    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        with arena.database.session(SYSTEM) as session:
            identity.make_installation_admin(session, user_id=arena.principal().user_id)
        self._key = arena.api_key()
        addresses = [arena.api_process(is_direct=True, rate_limit_reads=_UNLIMITED) for _ in range(_NUM_PROCESSES)]
        self._ports = [urlsplit(address).port or 0 for address in addresses]
        self._peer_ports: list[int] = []

    def reads(self) -> Found:
        """A job by its id, any of the million: the question that clients ask most."""
        paths = [f"/v1/fine_tuning/jobs/{self._any_id()}" for _ in range(20_000)]
        ours = self._ask(paths, num_connections=16, seconds=_SECONDS)
        peer = self._ask(paths, ports=self._peer(), num_connections=16, seconds=_SECONDS)
        return {
            "reads_per_s": ours.per_s,
            "read_p50_ms": ours.percentile(50),
            "read_p99_ms": ours.percentile(99),
            "peer_reads_per_s": peer.per_s,
            "peer_read_p99_ms": peer.percentile(99),
        }, {"num_connections": 16, "statuses": ours.statuses, "peer": "a bare FastAPI service", **_SHARED}

    def lists(self) -> Found:
        """Pages of 20: the first, deep ones, by metadata that is common, rare and absent; and an admin's by state."""
        deep = [f"/v1/fine_tuning/jobs?after={self._any_id()}" for _ in range(2_000)]
        admins = [path.replace("fine_tuning", "admin").replace("ftjob-", "job_") for path in deep]
        asked = {
            "first": ["/v1/fine_tuning/jobs"],
            "deep": deep,
            "common_metadata": [f"{path}&metadata[team]=a" for path in deep],
            "rare_metadata": [f"{path}&metadata[customer]=rare" for path in deep],
            "no_metadata": [f"{path}&metadata=null" for path in deep],
            "admin_by_state": [f"{path}&state=failed" for path in admins],
        }
        found = {name: self._ask(paths, num_connections=2, seconds=_SECONDS / 3) for name, paths in asked.items()}
        peer = self._ask(asked["first"], ports=self._peer(), num_connections=2, seconds=_SECONDS / 3)
        all_ms = [took for answers in found.values() for took in answers.latency_ms]
        everything = Answers(all_ms, {}, sum(answers.seconds for answers in found.values()))
        worst = max(found.values(), key=lambda answers: answers.percentile(99))
        return {
            "list_p50_ms_1m": everything.percentile(50),
            "list_p99_ms_1m": everything.percentile(99),
            "list_worst_p99_ms_1m": worst.percentile(99),
            "peer_list_p50_ms": peer.percentile(50),
            "peer_list_p99_ms": peer.percentile(99),
        }, {"num_connections": 2, "asked": {name: _summary(answers) for name, answers in found.items()}, **_SHARED}

    def plans(self) -> Found:
        """How Postgres answers each of these lists: by an index, wherever the page begins."""
        return {}, {"plans": api_plans.explain(self._arena, long_lists.run_id(_NUM_JOBS // 2))}

    def crowd(self) -> Found:
        """500 connections that ask for lists at once, 10,000 of them."""
        paths = [f"/v1/fine_tuning/jobs?after={self._any_id()}" for _ in range(2_000)]
        answers = self._ask(paths, num_connections=500, count=10_000)
        return {"crowd_p99_ms": answers.percentile(99), "crowd_lists_per_s": answers.per_s}, {
            "num_connections": 500,
            **_summary(answers),
            **_SHARED,
        }

    def viewers(self) -> Found:
        """50 who watch a run that speaks ten times a second."""
        found = watch(self._arena, self._ports, seconds=_WATCH_S)
        return {"sse_rss_growth_pct": found.growth_pct}, found.details()

    def _any_id(self) -> str:
        return long_lists.run_id(self._arena.random.randint(1, _NUM_JOBS))

    def _ask(self, paths: Sequence[str], *, num_connections: int, ports: Sequence[int] = (), **until: float) -> Answers:
        """After a warm-up of two seconds."""
        heads, ports = [head(path, self._key) for path in paths], ports or self._ports
        ask(heads, ports=ports, num_connections=min(num_connections, 16), seconds=2)
        found = ask(heads, ports=ports, num_connections=num_connections, **until)  # type: ignore[arg-type]
        if set(found.statuses) != {"200"}:
            print(f"not all were answered: {found.statuses}", flush=True)
        return found

    def _peer(self) -> list[int]:
        """Its ports; as many processes as ours."""
        if not self._peer_ports:
            names = [f"peer-{number}" for number in range(_NUM_PROCESSES)]
            self._peer_ports = list(choose(names, {}).values())
            script, url = Path(__file__).parent / "api_peer.py", self._arena.servers.direct.database_url
            for name, port in zip(names, self._peer_ports, strict=True):
                self._arena.start_process(name, [sys.executable, str(script), url, str(port)])
                self._arena.wait_until(partial(_listens, port), timeout_s=30, what=f"{name} listens")
        return self._peer_ports


def _summary(answers: Answers) -> dict[str, Any]:
    return {
        "per_s": round(answers.per_s, 1),
        "p50_ms": round(answers.percentile(50), 2),
        "p99_ms": round(answers.percentile(99), 2),
        "statuses": answers.statuses,
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
