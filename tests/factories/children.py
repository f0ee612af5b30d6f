"""Small children of jobs: scripts that keep the contract of `docs/jobs.md`, or break it."""

from collections.abc import Callable
from typing import Any

# what every child script begins with: `say(type=…)` writes an event
PRELUDE = """
import json, os, signal, subprocess, sys, time
def say(**fields):
    with open(sys.argv[1] + "/events.jsonl", "a") as stream:
        stream.write(json.dumps(fields) + "\\n")
"""
WAIT_FOR_EVER = "say(type='stage', stage='ready')\nwhile True: time.sleep(0.05)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT_FOR_EVER
# saves its place when it is asked to end
GENTLE = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"


def on_ready(action: Callable[[], object]) -> Callable[[dict[str, Any]], None]:
    return lambda line: action() if line["type"] == "stage" and line["stage"] == "ready" else None
