"""`make bench-jobs`: how soon jobs start, resume and stop, and how fairly they take turns. Nothing here is a test.

Every figure is measured on the product's own processes: real Postgres, Valkey and S3, real workers, and the real
trainer on the bundled model where the trainer's time is part of the figure. Peers run in the same minutes on the same
servers: procrastinate for the claim, plain Celery for the start of a task, a bare training script for the first step.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import celery_peer  # noqa: E402
import queue_turns  # noqa: E402

import core.tables  # noqa: E402, F401 - a foreign key needs both of its tables known
from core.base_models import service as base_models  # noqa: E402
from core.config import Settings  # noqa: E402
from core.jobs.states import TERMINAL, JobState  # noqa: E402
from core.stack.figures import write_figures  # noqa: E402
from tests.faults.arena import STUB, Arena, Submitted, WorkerHandle  # noqa: E402
from tests.faults.arena_servers import ArenaServers, arena_servers  # noqa: E402
from worker.base_models import prepare  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "jobs.json"
_DEFAULTS: dict[str, Any] = {
    name: Settings.model_fields[name].default
    for name in ("lease_s", "heartbeat_s", "reconcile_interval_s", "kill_grace_s", "checkpoint_every_s")
}
_NUM_STARTS, _NUM_CRASHES, _NUM_FIRST_STEPS = 60, 5, 3
_PATIENCE_S = 240
_PACKAGES = ("celery", "procrastinate", "sqlalchemy", "torch", "transformers")
MEASURES = ("turns", "starts", "crashes", "crash_by_default", "cancels", "first_steps")


def main() -> None:
    """Measure all, or only what the arguments name; what was measured before is kept beside it."""
    wanted = sys.argv[1:] or MEASURES
    before = json.loads(_RESULTS.read_text()) if sys.argv[1:] and _RESULTS.exists() else {"figures": {}, "runs": []}
    figures, runs = before["figures"], {run["measured"]: run for run in before["runs"]}
    with (
        tempfile.TemporaryDirectory(prefix="bench-jobs-") as name,
        arena_servers(Path(name) / "servers", seed=1) as servers,
    ):
        bench = Bench(servers, Path(name))
        for measured in wanted:
            found, details = getattr(bench, measured)()
            figures |= {key: round(value, 3) for key, value in found.items()}
            runs[measured] = {"measured": measured, **details}
            for key in found:
                print(f"{key:32} {figures[key]}", flush=True)
            write_figures(_RESULTS, packages=_PACKAGES, figures=figures, runs=list(runs.values()))
    print(f"Written to {_RESULTS.relative_to(ROOT)}")


Found = tuple[dict[str, float], dict[str, Any]]


class Bench:
    def __init__(self, servers: ArenaServers, folder: Path) -> None:
        self._servers, self._folder, self._number = servers, folder, 0

    def turns(self) -> Found:
        self._servers.recover()
        self._servers.empty()
        with self._arena() as arena:
            ours = queue_turns.measure(arena.database)
            peer_ms = queue_turns.measure_peer(self._servers.direct.database_owner_url, 1000)
        return {
            "claim_p99_ms_10k": percentile(ours.claim_ms, 99),
            "claim_median_ms_10k": statistics.median(ours.claim_ms),
            "peer_claim_median_ms_10k": statistics.median(peer_ms),
            "peer_claim_p99_ms_10k": percentile(peer_ms, 99),
            "fairness_worst_pct": ours.fairness_worst_pct,
        }, {"num_claims": len(ours.claim_ms), "num_peer_claims": len(peer_ms), "peer": "procrastinate"}

    def starts(self) -> Found:
        """From a submit to the claim, with an idle worker: by the database's clock alone."""
        with self._arena(trainer=[*STUB, "--steps", "1", "--eval-s", "0"]) as arena:
            arena.worker(**_DEFAULTS)
            arena.started()
            for _ in range(_NUM_STARTS):
                arena.wait_for_end(arena.submit(), timeout_s=_PATIENCE_S)
            took_ms = [
                float(took) * 1000
                for took in arena.rows(
                    "select extract(epoch from a.created_at - j.queued_at) from jobs j join job_attempts a "
                    "on a.job_id = j.id and a.attempt = 1 where j.kind = 'training.run' order by j.created_at"
                )
            ]
            peer_ms = celery_peer.measure(self._servers.direct.redis_url, self._folder, _NUM_STARTS)
        return {
            "submit_to_claim_p95_ms": percentile(took_ms, 95),
            "submit_to_claim_median_ms": statistics.median(took_ms),
            "peer_send_to_start_p95_ms": percentile(peer_ms, 95),
            "peer_send_to_start_median_ms": statistics.median(peer_ms),
        }, {"took_ms": took_ms, "peer": "celery, prefork, one process, early ack", "peer_ms": peer_ms}

    def crashes(self) -> Found:
        """With the short lease of the drills, and a trainer that starts at once."""
        took_s = []
        for _ in range(_NUM_CRASHES):
            with self._arena(trainer=[*STUB, "--steps", "2000", "--step-s", "0.05"]) as arena:
                took_s.append(_crash(arena, at_step=20))
        return {"crash_to_resume_short_lease_s": max(took_s)}, {"took_s": took_s}

    def crash_by_default(self) -> Found:
        """With the settings that people have, and the real trainer on the bundled model."""
        with self._arena(trainer=(), is_real=True) as arena:
            took_s = _crash(arena, at_step=4, **_DEFAULTS | {"checkpoint_every_s": 5})
        return {"crash_to_resume_s": took_s}, {"settings": _DEFAULTS | {"checkpoint_every_s": 5}}

    def cancels(self) -> Found:
        """With the settings that people have: while it waits, starts, trains, is deaf to SIGTERM, publishes."""
        took_s: dict[str, float] = {}
        with self._arena(trainer=[*STUB, "--steps", "3000", "--step-s", "0.05"]) as arena:
            waiting = arena.submit()
            took_s["queued"] = _cancel(arena, waiting)
            worker = arena.worker(**_DEFAULTS)
            arena.started()
            claimed = arena.submit()
            arena.wait_for_state(claimed, JobState.RUNNING)
            took_s["claimed"] = _cancel(arena, claimed)
            trained = arena.submit()
            arena.wait_for_step(trained, 5)
            took_s["training"] = _cancel(arena, trained)
            deaf = arena.submit()
            worker.script(deaf, ignore_sigterm=True)
            arena.wait_for_step(deaf, 5)
            took_s["training, deaf to SIGTERM"] = _cancel(arena, deaf)
            published = arena.submit()
            worker.script(published, steps=1)
            self._servers.s3_proxy.faults.black_hole = True
            arena.wait_until(
                lambda: arena.job(published).stage == "publishing", timeout_s=_PATIENCE_S, what="it is being published"
            )
            took_s["publishing, S3 silent"] = _cancel(arena, published)
            self._servers.recover()
        return {"cancel_worst_s": max(took_s.values())}, {"took_s": took_s}

    def first_steps(self) -> Found:
        """From a submit to the end of the first optimizer step, against a bare script on the same rows."""
        ours, peers = [], []
        with self._arena(trainer=(), is_real=True) as arena:
            worker = arena.worker(**_DEFAULTS, num_cpu_threads=2)
            arena.started()
            for _ in range(_NUM_FIRST_STEPS):
                run = arena.submit(n_epochs=1)
                folder = worker.home.resolve() / "runs" / run.job_id / "a1"
                arena.wait_for_step(run, 1, timeout_s=_PATIENCE_S)
                (took,) = arena.rows(
                    "select extract(epoch from e.created_at - j.queued_at) from jobs j "
                    "join job_events e on e.job_id = j.id where j.id = :id "
                    "and e.type = 'metrics' and e.data ? 'train_loss' order by e.seq limit 1",
                    id=run.job_id,
                )
                ours.append(float(took))
                kept = self._folder / f"bare-{len(ours)}"
                kept.mkdir()
                for name in ("spec.json", "train.jsonl"):
                    (kept / name).write_bytes((folder / name).read_bytes())
                arena.cancel(run)
                arena.wait_for_end(run, timeout_s=_PATIENCE_S)
                peers.append(_bare(kept))
        pairs = [mine - bare for mine, bare in zip(ours, peers, strict=True)]
        return {
            "first_step_overhead_s": statistics.median(pairs),
            "submit_to_first_step_s": statistics.median(ours),
            "peer_bare_script_s": statistics.median(peers),
        }, {"ours_s": ours, "bare_s": peers, "peer": "transformers + peft, a bare script"}

    @contextmanager
    def _arena(self, *, trainer: Sequence[str] = STUB, is_real: bool = False) -> Iterator[Arena]:
        self._servers.recover()
        self._servers.empty()
        self._number += 1
        home = self._folder / f"arena-{self._number}"
        home.mkdir()
        arena = Arena(self._servers, home, trainer=trainer, base_model_dir=self._base_model() if is_real else None)
        try:
            yield arena
        finally:
            arena.close()

    def _base_model(self) -> Path:
        settings = Settings(home=self._folder / "model")
        return prepare(settings, base_models.default_base_model().id).resolve()


def _crash(arena: Arena, *, at_step: int, **settings: object) -> float:
    """Kill a worker and its trainer at once; seconds until another machine's worker is beyond where it was."""
    workers = [arena.worker(**settings), arena.worker(**settings)]
    arena.started()
    run = arena.submit(epochs=40)
    arena.wait_for_step(run, at_step, timeout_s=_PATIENCE_S)
    victim = _holder(arena, run, workers)
    began = time.monotonic()
    victim.kill(with_children=True)
    arena.lost_machines.add(victim.home)
    arena.wait_until(
        lambda: (job := arena.job(run)).attempt == 2 and job.stage == "training",  # noqa: PLR2004 - the second
        timeout_s=_PATIENCE_S,
        what="another worker trains on",
    )
    return time.monotonic() - began


def _holder(arena: Arena, run: Submitted, workers: Sequence[WorkerHandle]) -> WorkerHandle:
    owner = str(arena.job(run).lease_owner)
    return next(worker for worker in workers if f"-{worker.pid}-" in owner)


def _cancel(arena: Arena, run: Submitted) -> float:
    began = time.monotonic()
    arena.cancel(run)
    arena.wait_until(lambda: arena.state(run) in TERMINAL, timeout_s=_PATIENCE_S, what="it is cancelled")
    return time.monotonic() - began


def _bare(folder: Path) -> float:
    script = Path(__file__).parent / "bare_first_step.py"
    argv = [sys.executable, str(script), str(folder), str(time.time())]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return float(done.stdout.split()[-1])


def percentile(values: Sequence[float], per_cent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[per_cent - 1]


if __name__ == "__main__":
    main()
