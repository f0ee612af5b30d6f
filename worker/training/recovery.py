"""Which checkpoint a run goes on from, and what it says about those that cannot be used."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from worker.training import snapshot
from worker.training.events import EventWriter
from worker.training.snapshot import Damaged, Snapshot

T = TypeVar("T")


def recover(
    folder: Path, *, belongs_to: str, events: EventWriter, load: Callable[[Snapshot], T]
) -> tuple[Snapshot, T] | None:
    """The newest whole checkpoint of exactly this spec, data and precision, loaded; None to start from the beginning.

    `load` sees verified bytes only, and raises `Damaged` if it cannot make sense of them. Those passed over are said
    and removed: they must not count among the kept ones, nor be found again.
    """
    snapshot.remove_partial(folder)
    damaged: list[tuple[str, str]] = []
    found: tuple[Snapshot, T] | None = None
    for path in snapshot.newest_first(folder):
        try:
            candidate = snapshot.read(path)
            if candidate.belongs_to == belongs_to:
                found = (candidate, load(candidate))
                break
            events.message(
                f"The checkpoint of step {candidate.step} was made from other data or on another kind of machine, "
                "so it is not used."
            )
        except Damaged as problem:
            damaged.append((path.name, str(problem)))
        snapshot.remove(path)
    used = None if found is None else found[0].name
    for name, why in damaged:
        events.message(damage_message(name, why, used), level="warn", data=damage_data(name, why, used))
    return found


def damage_message(name: str, problem: str, used: str | None) -> str:
    instead = (
        "Without another one, training starts from the beginning."
        if used is None
        else f"The one of step {snapshot.step_of(used)} is used instead."
    )
    return f"The checkpoint of step {snapshot.step_of(name)} is damaged: {problem}. {instead}"


def damage_data(name: str, problem: str, used: str | None) -> dict[str, str | None]:
    return {"checkpoint": name, "problem": problem, "used": used}


def continuing(found: Snapshot, *, total_steps: int) -> str:
    return (
        f"Continuing after step {found.step} of {total_steps} from a checkpoint of "
        f"{found.created_at:%Y-%m-%d %H:%M:%S} UTC."
    )
