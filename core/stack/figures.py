"""Measured figures in a file that says where they come from: `bench/results/NAME.json`."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from core.kit.clock import utc_now


def write_figures(
    path: Path, *, packages: Sequence[str], figures: Mapping[str, float], runs: Sequence[Mapping[str, Any]]
) -> None:
    """Write what was measured, on which commit, machine and versions of `packages`."""
    found = {
        "date": utc_now().isoformat(timespec="seconds"),
        "commit": _commit(path.parent),
        "machine": _machine(),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in packages},
        "figures": figures,
        "runs": runs,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _commit(folder: Path) -> str | None:
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607 - git of the caller's PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


def _machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "num_cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
