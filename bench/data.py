"""`make bench-data`: how fast files are validated, searched for near duplicates and tokenised, and in how much memory.

    python bench/data.py [PART ...]     validation near_duplicates tokenising first_look upload

Each part is measured on the product's own path, in processes of its own; a part that fails is told and the others go
on. Peers read a quarter of the same file on the same core, and check its rows by the same rules: all must find the rows
that say nothing. What was measured before is kept beside what is measured now.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import data_files  # noqa: E402
from competitors.environments import HOME, python_of  # noqa: E402

from core.stack.figures import write_figures  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "data.json"
_HERE = Path(__file__).parent
_PACKAGES = ("numpy", "orjson", "pyarrow", "rensa", "tokenizers")
_PEERS = ("polars", "pandas", "datasets")
_FILE_BYTES, _PEER_BYTES = 1_000_000_000, 250_000_000
_NUM_NEAR, _NUM_TOKENISED_BYTES = 1_000_000, 25_000_000
_TIMEOUT_S = 240
# the last of them: the first has the interrupts
_CORE: Final = str((os.cpu_count() or 1) - 1)
Found = tuple[dict[str, float], list[dict[str, Any]]]


def main() -> None:
    """Measure all, or only the parts that the arguments name."""
    wanted = sys.argv[1:] or list(PARTS)
    before = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {"figures": {}, "runs": []}
    figures, runs = before["figures"], before["runs"]
    failed = []
    for name in wanted:
        began = time.monotonic()
        try:
            found, details = PARTS[name]()
        except Exception:  # noqa: BLE001 - the others are still worth measuring
            traceback.print_exc()
            failed.append(name)
            continue
        figures |= {key: round(value, 3) for key, value in found.items()}
        runs = [run for run in runs if run["part"] != name] + [{"part": name, **one} for one in details]
        write_figures(_RESULTS, packages=_PACKAGES, figures=figures, runs=runs)
        for key in found:
            print(f"{key:28} {figures[key]:>10}", flush=True)
        print(f"({name}: {time.monotonic() - began:.0f} s)", flush=True)
    print(f"Written to {_RESULTS.relative_to(ROOT)}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    sys.exit(bool(failed))


def validation() -> Found:
    """Every row parsed and checked, on one core: JSON lines, CSV; peers by turns."""
    figures: dict[str, float] = {}
    runs: list[dict[str, Any]] = []
    for file_format, make in (("jsonl", data_files.jsonl), ("csv", data_files.table)):
        whole, part = make(_FILE_BYTES), make(_PEER_BYTES)
        ours = [_on_one_core(_ours("validate", whole)) for _ in range(3)]
        for one in ours:
            if one["num_unsound"] != data_files.NUM_EMPTY or not one["is_complete"]:
                raise RuntimeError(f"not all of {whole.name} was validated: {one}")
        speeds = [whole.stat().st_size / 1e6 / one["seconds"] for one in ours]
        figures[f"{file_format}_mb_s"] = statistics.median(speeds)
        figures[f"{file_format}_peak_mb"] = max(one["peak_mb"] for one in ours)
        runs += [
            {"contestant": "ours", "format": file_format, "mb_s": round(s, 1), **one}
            for s, one in zip(speeds, ours, strict=True)
        ]
        for peer in _PEERS:
            found = _peer(peer, file_format, part)
            runs.append({"contestant": peer, "format": file_format, **found})
            if "mb_s" in found:
                figures[f"{file_format}_{peer}_mb_s"] = found["mb_s"]
    return figures, runs


def _peer(name: str, file_format: str, path: Path) -> dict[str, Any]:
    """One that fails is no reason not to measure the others."""
    command = [str(python_of("data")), str(_HERE / "competitors" / "run_data.py"), name, file_format, str(path)]
    try:
        found = _on_one_core(command)
    except (subprocess.SubprocessError, ValueError) as error:
        print(f"{name} failed on {path.name}: {error}", flush=True)
        return {"error": str(error)[-300:]}
    if found["num_unsound"] != data_files.NUM_EMPTY:
        return {"error": f"found {found['num_unsound']} rows that are not sound", **found}
    return {"mb_s": round(path.stat().st_size / 1e6 / found["seconds"], 1), **found}


def near_duplicates() -> Found:
    found = _on_one_core(_ours("near_duplicates", str(_NUM_NEAR)))
    figures = {"neardup_1m_s": found["seconds"], "neardup_peak_mb": found["peak_mb"]}
    return figures, [{"contestant": "ours", **found}]


def tokenising() -> Found:
    """By turns, on two cores; both must come to the same number of tokens."""
    from core.base_models import service as base_models  # noqa: PLC0415 - only this part has a model
    from core.config import Settings  # noqa: PLC0415
    from worker.base_models import prepare  # noqa: PLC0415

    model_dir = prepare(Settings(home=HOME / "home"), base_models.default_base_model().id).resolve()
    rows = data_files.training_rows(_NUM_TOKENISED_BYTES)
    runs = []
    for _ in range(3):
        for contestant, part in (("ours", "tokenise"), ("bare", "tokenise_bare")):
            found = _run(_ours(part, rows, model_dir), RAYON_NUM_THREADS="2", TOKENIZERS_PARALLELISM="true")
            runs.append(
                {"contestant": contestant, "tokens_per_s": round(found["num_tokens"] / found["seconds"]), **found}
            )
    if len({run["num_tokens"] for run in runs}) > 1:
        raise RuntimeError(f"not the same tokens: {runs}")
    ours, bare = (
        statistics.median(run["tokens_per_s"] for run in runs if run["contestant"] == name) for name in ("ours", "bare")
    )
    return {"tokenise_vs_bare": ours / bare, "tokens_per_s": ours, "bare_tokens_per_s": bare}, runs


def first_look() -> Found:
    """What is shown of a large table first: its columns, its first examples, what is wrong in the beginning."""
    runs = [_run(_ours("first_look", data_files.table(_FILE_BYTES))) for _ in range(3)]
    return {"preview_s": statistics.median(run["seconds"] for run in runs)}, [
        {"contestant": "ours", **run} for run in runs
    ]


def upload() -> Found:
    """A gigabyte through the api in parts, and then the answer of a preview of it."""
    path = data_files.table(_FILE_BYTES)
    found = _run([sys.executable, str(_HERE / "upload_memory.py"), str(path)])
    names = ("upload_peak_mb", "preview_answer_s", "upload_s")
    return {name: found[name] for name in names}, [{"contestant": "ours", **found}]


PARTS: Final[dict[str, Callable[[], Found]]] = {
    "validation": validation,
    "near_duplicates": near_duplicates,
    "tokenising": tokenising,
    "first_look": first_look,
    "upload": upload,
}


def _ours(part: str, *given: object) -> list[str]:
    return [sys.executable, str(_HERE / "data_ours.py"), part, *map(str, given)]


def _on_one_core(command: Sequence[str]) -> dict[str, Any]:
    return _run(["taskset", "-c", _CORE, *command], POLARS_MAX_THREADS="1", OMP_NUM_THREADS="1")


def _run(command: Sequence[str], **environment: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - ours, and peers that we pinned
        command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, env=os.environ | environment, cwd=ROOT
    )
    if done.returncode != 0:
        raise subprocess.SubprocessError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
