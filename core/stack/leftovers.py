"""What a killed supervisor left running is written down while it runs, and ended before the next start."""

import os
from collections.abc import Iterable
from typing import Any

from core.stack.home import Home
from core.stack.processes import Child, alive, end_leftover, identify

_STATE = "state.json"


def write_down(home: Home, children: Iterable[Child], **about: Any) -> None:  # noqa: ANN401 - JSON values
    """Record this process and its children, in the order of their start."""
    living = [child for child in children if child.exit_code() is None]
    described = [{**child.identity(), "stop_signal": int(child.program.stop_signal)} for child in living]
    home.write(_STATE, {**about, "supervisor": identify(os.getpid()), "children": described})


def holder(home: Home) -> dict[str, Any] | None:
    """What the process that runs this home has written about itself; None when none runs."""
    state = home.read(_STATE)
    return state if alive(state.get("supervisor", {})) else None


def end_leftovers(home: Home) -> int:
    """End what is still running from an earlier start of this home; only what is certainly ours. Returns how many."""
    found = home.read(_STATE).get("children", [])
    return sum(end_leftover(identity) for identity in reversed(found))
