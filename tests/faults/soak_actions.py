"""What a soak may do: each action is one fault or one thing that people do, and is over in seconds."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil
import redis

from core.db.session import workspace_scope
from core.errors import AppError
from core.jobs.states import TERMINAL, JobState
from core.training import control
from tests.faults.arena import LEASE_S, Arena, Submitted, WorkerHandle, stub
from tests.faults.proxy_rules import Rule
from worker.training import snapshot

WORKSPACES = ("acme", "rival", "third", "small")
TRAINER = stub(step_s=0.03)
# what the trainer of a run does by itself, on its first attempt; most do nothing
TROUBLES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {},
    {},
    {"kill_at": 12},
    {"crash_at": 7},
    {"hang_at": 20},
    {"disk_full_at": 9},
    {"out_of_memory_below_divisor": 2},
    {"nan_at": 15},
)


@dataclass(slots=True)
class Field:
    """The arena of a soak and who is in it."""

    arena: Arena
    machines: dict[str, WorkerHandle] = field(default_factory=dict)
    runs: list[tuple[str, Submitted]] = field(default_factory=list)
    wrong_by_themselves: set[str] = field(default_factory=set)
    """Job ids of runs whose loss stops being a number: they must fail."""
    heal_at: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def start_worker(self, machine: str) -> None:
        self.machines[machine] = self.arena.worker(machine=machine, trainer=TRAINER, no_progress_s=4.0)

    def later(self, seconds: float, heal: Callable[[], object]) -> None:
        self.heal_at.append((time.monotonic() + seconds, heal))

    def heal_due(self, *, everything: bool = False) -> None:
        due = [one for one in self.heal_at if everything or one[0] <= time.monotonic()]
        for one in due:
            self.heal_at.remove(one)
            one[1]()


Act = Callable[[Field, Random], object]


def submit(soak: Field, chance: Random) -> None:
    arena, workspace = soak.arena, chance.choice(WORKSPACES)
    trouble = chance.choice(TROUBLES)
    # nobody may claim it before every machine knows what it does
    run = arena.submit(workspace=workspace, ring=False)
    if trouble:
        always = "nan_at" in trouble or "out_of_memory_below_divisor" in trouble
        for worker in soak.machines.values():
            worker.script(run, **trouble, **({} if always else {"attempts": [1]}))
    arena.execute("update jobs set max_attempts = 50 where id = :id", id=run.job_id)
    arena.ring(run.job_id)
    soak.runs.append((workspace, run))
    if "nan_at" in trouble:
        soak.wrong_by_themselves.add(run.job_id)


def kill_a_trainer(soak: Field, chance: Random) -> None:
    for process in soak.arena.trainers()[: chance.randint(1, 2)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def lose_a_machine(soak: Field, chance: Random) -> None:
    """It comes back a little later, with its disk."""
    name = chance.choice(sorted(soak.machines))
    soak.machines[name].kill(with_children=chance.random() < 0.5)
    soak.later(chance.uniform(0, LEASE_S), lambda: soak.start_worker(name))


def deploy_a_worker(soak: Field, chance: Random) -> None:
    name = chance.choice(sorted(soak.machines))
    soak.machines[name].terminate()
    soak.later(chance.uniform(0, 2), lambda: soak.start_worker(name))


def freeze_a_worker(soak: Field, chance: Random) -> None:
    worker = soak.machines[chance.choice(sorted(soak.machines))]
    worker.freeze()
    soak.later(chance.uniform(0.5, 2) * LEASE_S, worker.thaw)


def redis_dies(soak: Field, chance: Random) -> None:
    soak.arena.servers.valkey.kill()
    soak.later(chance.uniform(0.5, 4), soak.arena.servers.valkey.start)


def redis_forgets(soak: Field, _chance: Random) -> None:
    with suppress(redis.RedisError), redis.Redis.from_url(soak.arena.servers.direct.redis_url) as client:
        client.flushall()


def redis_swallows(soak: Field, chance: Random) -> None:
    soak.arena.servers.redis_proxy.faults.black_hole = True
    soak.later(chance.uniform(1, 5), soak.arena.servers.redis_proxy.heal)


def postgres_restarts(soak: Field, _chance: Random) -> None:
    soak.arena.servers.postgres.restart()


def postgres_dies(soak: Field, _chance: Random) -> None:
    soak.arena.servers.postgres.kill()
    soak.arena.servers.postgres.start()


def postgres_resets_everyone(soak: Field, _chance: Random) -> None:
    soak.arena.servers.database_proxy.reset_connections()


def postgres_swallows(soak: Field, chance: Random) -> None:
    soak.arena.servers.database_proxy.faults.black_hole = True
    soak.later(chance.uniform(0.5, 0.5 * LEASE_S), soak.arena.servers.database_proxy.heal)


def postgres_is_slow(soak: Field, chance: Random) -> None:
    faults = soak.arena.servers.database_proxy.faults
    faults.latency_s, faults.jitter_s = 0.02, 0.05
    soak.later(chance.uniform(1, 4), soak.arena.servers.database_proxy.heal)


def commits_lose_their_reply(soak: Field, _chance: Random) -> None:
    soak.arena.servers.database_proxy.faults.rules.append(
        Rule("lose_reply", when=lambda chunk: b"COMMIT" in chunk, times=2)
    )


def s3_says_slow_down(soak: Field, chance: Random) -> None:
    soak.arena.servers.s3_proxy.faults.rules.append(Rule("503", probability=0.3))
    soak.later(chance.uniform(2, 6), soak.arena.servers.s3_proxy.heal)


def s3_damages_what_is_read(soak: Field, _chance: Random) -> None:
    soak.arena.servers.s3_proxy.faults.rules.append(
        Rule("corrupt", when=lambda head: head.startswith(b"GET") and b"/runs/" in head, times=2)
    )


def s3_breaks_off(soak: Field, _chance: Random) -> None:
    soak.arena.servers.s3_proxy.faults.rules.append(Rule("cut", when=lambda head: head.startswith(b"PUT"), times=2))


def s3_is_away(soak: Field, chance: Random) -> None:
    soak.arena.servers.s3_proxy.refuse()
    soak.later(chance.uniform(1, 5), soak.arena.servers.s3_proxy.heal)


def doorbells_are_doubled(soak: Field, chance: Random) -> None:
    if soak.runs:
        run = chance.choice(soak.runs)[1]
        with suppress(Exception):
            for _ in range(20):
                soak.arena.ring_now(run.job_id)


def a_checkpoint_is_damaged(soak: Field, chance: Random) -> None:
    """On a machine that has just been lost, so that nobody writes beside us."""
    name = chance.choice(sorted(soak.machines))
    worker = soak.machines[name]
    worker.kill(with_children=True)
    for checkpoints in (worker.home / "runs").glob("*/*/checkpoints"):
        for path in snapshot.newest_first(checkpoints)[:1]:
            state = path / "state.safetensors"
            if state.exists():
                state.write_bytes(state.read_bytes()[:-1])
    soak.later(0.5, lambda: soak.start_worker(name))


def somebody_cancels(soak: Field, chance: Random) -> None:
    _steer(soak, chance, lambda workspace, run: soak.arena.cancel(run, workspace))


def somebody_pauses(soak: Field, chance: Random) -> None:
    def pause(workspace: str, run: Submitted) -> None:
        with soak.arena.database.session(workspace_scope(run.workspace_id)) as session:
            control.pause(session, principal=soak.arena.principal(workspace), run_id=run.run_id)

    _steer(soak, chance, pause)


def paused_runs_are_resumed(soak: Field, _chance: Random) -> None:
    for workspace, run in soak.runs:
        if soak.arena.state(run) is JobState.PAUSED:
            with suppress(AppError), soak.arena.database.session(workspace_scope(run.workspace_id)) as session:
                control.resume(session, principal=soak.arena.principal(workspace), run_id=run.run_id, queue=None)


def _steer(soak: Field, chance: Random, act: Callable[[str, Submitted], object]) -> None:
    living = [one for one in soak.runs if soak.arena.state(one[1]) not in TERMINAL]
    if living:
        with suppress(AppError):
            act(*chance.choice(living))


ACTIONS: tuple[Act, ...] = (
    kill_a_trainer,
    kill_a_trainer,
    lose_a_machine,
    deploy_a_worker,
    freeze_a_worker,
    redis_dies,
    redis_forgets,
    redis_swallows,
    postgres_restarts,
    postgres_dies,
    postgres_resets_everyone,
    postgres_swallows,
    postgres_is_slow,
    commits_lose_their_reply,
    s3_says_slow_down,
    s3_damages_what_is_read,
    s3_breaks_off,
    s3_is_away,
    doorbells_are_doubled,
    a_checkpoint_is_damaged,
    somebody_cancels,
    somebody_pauses,
    paused_runs_are_resumed,
)
