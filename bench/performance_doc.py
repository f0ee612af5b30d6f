"""Writes the measured parts of docs/performance.md from bench/results: `python bench/performance_doc.py`."""

import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(Path(__file__).parent)]

from train_figures import table  # noqa: E402

_DOC = ROOT / "docs" / "performance.md"
_RESULTS = ROOT / "bench" / "results"
_NOT_YET = "*not yet measured*"
_GOALS = {
    "vs_trl_default": ("speed over TRL's defaults", "at least 6"),
    "vs_trainer": ("speed over Trainer + PEFT", "at least 5"),
    "vs_trl_packing": ("speed over TRL with packing", "at least 2.5"),
    "worst_vs_trl_packing": ("the same, in the worst cell", "at least 1.8"),
    "peak_memory_vs_trl": ("peak memory over TRL's with packing", "at most 0.6"),
    "start_vs_trl": ("start to first step over TRL's", "at most 1"),
    "loss_gap_pct": ("largest distance of held-out loss, %", "at most 1"),
    "share_of_gemm_peak": ("share of the matrix products' peak", ""),
}
_DATA_GOALS = {
    "jsonl_mb_s": ("JSON lines validated on one core, MB/s", "at least 300"),
    "jsonl_peak_mb": ("most memory of it, 1 GB, MB", "at most 300"),
    "csv_mb_s": ("CSV validated on one core, MB/s", "at least 100"),
    "csv_peak_mb": ("most memory of it, 1 GB, MB", "at most 300"),
    "tokenise_vs_bare": ("tokens a second on two cores, over the library alone", "at least 0.9"),
    "neardup_1m_s": ("near duplicates of 1,000,000 rows on one core, s", "at most 60"),
    "upload_peak_mb": ("what the api takes more while 1 GB arrives, MB", "at most 150"),
    "preview_s": ("the first look at a CSV of 1 GB, s", "at most 2"),
    "preview_answer_s": ("the api's first preview of it, s", "at most 2"),
}
_SERVE_GOALS = {
    "mixed64_vs_one": ("tokens a second with 64 adapters mixed, over one adapter", "at least 0.9"),
    "mixed64_vs_peft": ("the same over plain PEFT, one request after another", "at least 3"),
    "publish_to_first_token_s": ("published, proved and answering: worst of five, s", "at most 2"),
    "cached_first_token_ms": ("first token of an adapter that is on the disk, median, ms", "at most 200"),
    "failed_of_1000": ("requests for 1,000 adapters that fail, with room for 64", "0"),
    "thousand_memory_growth_mb": ("what the runtime grows by meanwhile, MB", ""),
}
_API_GOALS = {
    "reads_per_s": ("a job by its id, questions a second", "at least 1000"),
    "peer_reads_per_s": ("the same of a bare FastAPI service that reads by hand", ""),
    "list_p99_ms_1m": ("lists of 20 out of 1,000,000 jobs, p99, ms", "at most 50"),
    "list_worst_p99_ms_1m": ("the slowest kind of list, p99, ms", ""),
    "peer_list_p50_ms": ("a list of the bare service, median, ms", ""),
    "sse_rss_growth_pct": ("growth of both processes under 50 viewers in 5 minutes, %", "flat"),
}
_DATA_PEERS = ("polars", "pandas", "datasets")
_GPU_MODELS, _GPU_METHODS, _GPU_TOKENS = ("8b", "3b", "1b"), ("lora", "qlora"), (2048, 8192)


def main() -> None:
    text = _DOC.read_text()
    parts = {"train": _train(), "data": _data(), "serve": _figures("serve", _SERVE_GOALS)}
    parts |= {"api": _figures("api", _API_GOALS), "recipes": _recipes(), "gpu": _gpu()}
    for name, lines in parts.items():
        block = "\n".join([f"<!-- {name} -->", *lines, f"<!-- end of {name} -->"])
        text, num = re.subn(rf"<!-- {name} -->.*?<!-- end of {name} -->", lambda _, b=block: b, text, flags=re.DOTALL)
        if num != 1:
            raise RuntimeError(f"{_DOC.name} has no place for {name}.")
    _DOC.write_text(text)


def _read(name: str) -> dict[str, Any] | None:
    path = _RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _measured_on(found: dict[str, Any]) -> str:
    machine, versions = found["machine"], found["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine['num_cpus']} cores of {machine['cpu']}, {found['date'][:10]}; {packages}."


def _figures(name: str, goals: dict[str, tuple[str, str]], *more: str) -> list[str]:
    """The table of a bench: what was to be reached and what was, then `more`, then where it was measured."""
    found = _read(name)
    figures = found["figures"] if found else {}
    lines = ["| figure | | goal | measured |", "|---|---|---|---:|"]
    for figure, (meaning, goal) in goals.items():
        lines.append(f"| `{figure}` | {meaning} | {goal} | {figures.get(figure, _NOT_YET)} |")
    return [*lines, *more, "", _measured_on(found)] if found else lines


def _train() -> list[str]:
    found = _read("train")
    return _figures("train", _GOALS, *(["", table(found["runs"])] if found else []))


def _data() -> list[str]:
    found = _read("data")
    if found is None:
        return _figures("data", _DATA_GOALS)
    lines = ["", "| rows parsed and checked, MB/s on one core | ours | polars | pandas | datasets |"]
    lines.append("|---|---:|---:|---:|---:|")
    for file_format in ("jsonl", "csv"):
        names = [f"{file_format}_mb_s", *(f"{file_format}_{peer}_mb_s" for peer in _DATA_PEERS)]
        values = (str(found["figures"].get(name, _NOT_YET)) for name in names)
        lines.append(f"| {file_format} | {' | '.join(values)} |")
    return _figures("data", _DATA_GOALS, *lines)


def _recipes() -> list[str]:
    found = _read("recipes")
    if found is None:
        return [_NOT_YET]
    figures = found["figures"]
    contestants = list(dict.fromkeys(run["contestant"] for run in found["runs"]))
    lines = [f"| data | untuned | {' | '.join(contestants)} |", "|---|---:|" + "---:|" * len(contestants)]
    for name in dict.fromkeys(run["dataset"] for run in found["runs"]):
        values = [figures.get(f"{name}_{who}", _NOT_YET) for who in ("base", *contestants)]
        lines.append(f"| {name} | {' | '.join(str(value) for value in values)} |")
    return [*lines, "", _measured_on(found)]


def _gpu() -> list[str]:
    found = _read("gpu_train")
    runs = found["runs"] if found else []
    lines = [
        "| device | model | method | tokens | tok/s | MFU | peak GB | predicted GB | plain PEFT tok/s |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    cells = itertools.product(_GPU_MODELS, _GPU_METHODS, _GPU_TOKENS)
    lines += [_gpu_line(runs, model, method, tokens) for model, method, tokens in cells]
    return [*lines, "", _measured_on(found)] if found else lines


def _gpu_line(runs: list[dict[str, Any]], model: str, method: str, tokens: int) -> str:
    """Of the first repeat, without gradient checkpointing."""
    key = {"model": model, "method": method, "tokens": tokens, "is_checkpointed": False, "repeat": 0}
    by_name = {run["contestant"]: run for run in runs if all(run.get(name) == value for name, value in key.items())}
    ours, plain = by_name.get("ours"), by_name.get("hf", {})
    begin = f"| {ours['device'] if ours else 'H100 80 GB'} | {model} | {method} | {tokens} | "
    if ours is None or "error" in ours:
        return begin + " | ".join([_NOT_YET if ours is None else ours["error"], "", "", "", ""]) + " |"
    return (
        begin
        + f"{ours['tokens_per_s']:.0f} | {ours['mfu']:.0%} | {ours['peak_bytes'] / 1e9:.1f} | "
        + f"{ours['predicted_bytes'] / 1e9:.1f} | {plain.get('tokens_per_s', 0):.0f} |"
    )


if __name__ == "__main__":
    main()
