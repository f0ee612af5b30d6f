"""`python -m tests.faults.soak --seed 1 --minutes 10`: faults drawn from a seed, over 100 jobs, then the checker.

The seed decides what happens, in which order and when; what a process makes of it also depends on the machine.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from core.jobs.states import TERMINAL, JobState
from tests.faults.arena import Arena
from tests.faults.arena_servers import arena_servers
from tests.faults.checker import violations
from tests.faults.recording import RESULTS
from tests.faults.soak_actions import ACTIONS, WORKSPACES, Act, Field, paused_runs_are_resumed, submit

NUM_MACHINES = 3
# of the time, in which all jobs are submitted
_SUBMITTED_BY = 0.7
_MEAN_PAUSE_S = 2.0
_SETTLE_S = 300.0


def plan(seed: int, *, minutes: float, num_jobs: int) -> list[tuple[float, Act]]:
    """What happens at which second."""
    chance, length_s = Random(seed), minutes * 60
    submits = [(chance.uniform(0, _SUBMITTED_BY * length_s), submit) for _ in range(num_jobs)]
    num_faults = int(length_s / _MEAN_PAUSE_S)
    faults = [(chance.uniform(0, length_s), chance.choice(ACTIONS)) for _ in range(num_faults)]
    return sorted([*submits, *faults], key=lambda one: one[0])


def play(soak: Field, planned: list[tuple[float, Act]], seed: int) -> Counter[str]:
    began, done = time.monotonic(), Counter[str]()
    for number, (moment, act) in enumerate(planned):
        while time.monotonic() - began < moment:
            soak.heal_due()
            time.sleep(0.05)
        soak.heal_due()
        say(f"{time.monotonic() - began:6.1f} s  {act.__name__}")
        # of its own, so that what one action draws does not depend on what another found
        act(soak, Random(f"{seed}/{number}"))
        done[act.__name__] += 1
    return done


def settle(soak: Field) -> None:
    """Everything heals, every machine is there, no retry waits for its delay; then every job must come to its end."""
    arena = soak.arena
    soak.heal_due(everything=True)
    arena.servers.recover()
    for name, worker in sorted(soak.machines.items()):
        worker.thaw()
        if not worker.is_alive:
            soak.start_worker(name)
    deadline = time.monotonic() + _SETTLE_S
    while any(arena.state(run) not in TERMINAL for _, run in soak.runs):
        if time.monotonic() > deadline:
            return
        paused_runs_are_resumed(soak, Random(0))
        arena.execute("update jobs set not_before = null where state = 'queued' and queue = 'cpu'")
        time.sleep(0.5)


def surprises(soak: Field) -> list[str]:
    """What the checker cannot know: who was to fail, and that equal runs end in equal bits."""
    found = []
    for _, run in soak.runs:
        job = soak.arena.job(run)
        if job.state is JobState.FAILED and run.job_id not in soak.wrong_by_themselves:
            found.append(f"{run.job_id} failed: {job.error}")
    for workspace in WORKSPACES:
        digests = {
            soak.arena.adapter_sha256(run)
            for owner, run in soak.runs
            if owner == workspace and soak.arena.state(run) is JobState.SUCCEEDED
        }
        if len(digests) > 1:
            found.append(f"equal runs of {workspace} ended in {len(digests)} different adapters")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        home = Path(folder)
        with arena_servers(home / "servers", seed=options.seed) as servers:
            servers.recover()
            (home / "arena").mkdir()
            arena = Arena(servers, home / "arena", trainer=(), seed=options.seed)
            try:
                return _run(Field(arena), options.seed, options.minutes, options.jobs)
            finally:
                arena.close()


def _run(soak: Field, seed: int, minutes: float, num_jobs: int) -> int:
    for number in range(NUM_MACHINES):
        soak.start_worker(f"machine-{number}")
    for workspace in WORKSPACES:
        soak.arena.version(workspace)
    soak.arena.started()
    done = play(soak, plan(seed, minutes=minutes, num_jobs=num_jobs), seed)
    settle(soak)
    soak.arena.stop_workers()
    soak.arena.tidy()
    found = [*violations(soak.arena.scene()), *surprises(soak)]
    states = Counter(soak.arena.state(run).value for _, run in soak.runs)
    (attempts,) = soak.arena.rows("select count(*) from job_attempts")
    num_faults = sum(count for name, count in done.items() if name != submit.__name__)
    result = "passed" if not found else f"{len(found)} violations"
    say(f"{dict(sorted(done.items()))}\n{dict(states)}, {attempts} attempts, {num_faults} faults: {result}")
    for sentence in found:
        say(sentence)
    if found:
        say(soak.arena.describe())
    say(f"replay: make soak SEED={seed} MINUTES={minutes:g}" + ("" if num_jobs == 100 else f"  (--jobs {num_jobs})"))
    entry = {"seed": seed, "minutes": minutes, "jobs": num_jobs, "faults": num_faults, "attempts": attempts}
    entry |= {name: states.get(name, 0) for name in ("succeeded", "cancelled", "failed")}
    _save({**entry, "result": result})
    return 1 if found else 0


def _save(entry: dict[str, object]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    soaks = [
        one for one in known.get("soaks", []) if (one["seed"], one["minutes"]) != (entry["seed"], entry["minutes"])
    ]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({**known, "soaks": [*soaks, entry]}, indent=1, sort_keys=True) + "\n")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
