"""From measured cells to the figures of `make bench-train`, and to the table that documents them."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

Runs = Sequence[dict[str, Any]]
_OTHERS_SHARE_AT_MOST = 0.15
_PEERS = {"vs_trl_default": "trl", "vs_trainer": "hf", "vs_trl_packing": "trl_packing"}


def figures_of(runs: Runs) -> dict[str, float]:
    """Speeds are geometric means of ours over theirs; memory and start are ours over theirs, so less is better.

    `peak_memory_vs_trl` is against TRL with packing, its leanest; `start_vs_trl` against its default, which warms up on
    the same short rows: seconds from the start of the process to the end of the first step. `ready_vs_trl` is until the
    first batch is about to be computed. `loss_gap_pct` is the largest distance of our held-out loss from that of TRL
    and of the Trainer, whose steps hold the same rows as ours; with packing TRL's steps cannot, so that gap stands
    apart. `share_of_gemm_peak` is how much of what a large matrix product reaches here our least necessary arithmetic
    comes to (`train_rows.flops`).
    """
    found: dict[str, float] = {}
    for name, peer in _PEERS.items():
        found[name] = _geometric(_ratios(runs, peer, "useful_tokens_per_s"))
    found["worst_vs_trl_packing"] = min(_ratios(runs, "trl_packing", "useful_tokens_per_s"), default=float("nan"))
    found["peak_memory_vs_trl"] = _geometric(_ratios(runs, "trl_packing", "peak_rss_bytes"))
    found["peak_memory_vs_trl_worst"] = max(_ratios(runs, "trl_packing", "peak_rss_bytes"), default=float("nan"))
    found["start_vs_trl"] = _geometric(_ratios(runs, "trl", "first_step_s"))
    found["ready_vs_trl"] = _geometric(_ratios(runs, "trl", "ready_s"))
    found["loss_gap_pct"] = max(_loss_gaps(runs, ("trl", "hf")), default=float("nan"))
    found["loss_gap_packing_pct"] = max(_loss_gaps(runs, ("trl_packing",)), default=float("nan"))
    found |= _limit(runs)
    found["share_of_cells_disturbed"] = statistics.fmean(
        [run["others_cpu_share"] > _OTHERS_SHARE_AT_MOST for run in runs if run["part"] == "speed"] or [float("nan")]
    )
    return {name: round(value, 3) for name, value in found.items() if value == value}  # noqa: PLR0124 - drops NaN


def _limit(runs: Runs) -> dict[str, float]:
    # the most that was seen: a measurement is only ever too low, when others work beside it
    peak = max((run["gemm_flops"] for run in runs if run["part"] == "machine"), default=float("nan"))
    shares = []
    for model, law in _seen(runs, ("model", "law")):
        rate = median_of(runs, "ours", model, law, "useful_tokens_per_s")
        rows = next(run["rows"] for run in runs if (run.get("model"), run.get("law")) == (model, law))
        if rate and "useful_flops" in rows:
            shares.append(rate * rows["useful_flops"] / rows["num_trained"] / peak)
    return {"gemm_gflops": peak / 1e9, "share_of_gemm_peak": _geometric(shares)}


def median_of(runs: Runs, contestant: str, model: str, law: str, name: str, *, part: str = "speed") -> float | None:
    """Over the repeats of a cell; None if none of them was measured."""
    key = {"part": part, "contestant": contestant, "model": model, "law": law}
    values = [
        run[name] for run in runs if all(run.get(k) == v for k, v in key.items()) and not run["error"] and run.get(name)
    ]
    return statistics.median(values) if values else None


def table(runs: Runs) -> str:
    """Markdown: a line for each model, law and contestant, in the order in which they were measured."""
    lines = [
        "| model | rows | contestant | useful tok/s | computed per trained | peak GB | first step s |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for model, law, contestant in _seen(runs, ("model", "law", "contestant")):
        values = [
            median_of(runs, contestant, model, law, name)
            for name in ("useful_tokens_per_s", "computed_per_trained", "peak_rss_bytes", "first_step_s")
        ]
        if values[0] is None or values[2] is None:
            continue
        shown = [values[0], values[1], values[2] / 1e9, values[3]]
        lines.append(f"| {model} | {law} | {contestant} | " + " | ".join(f"{value or 0:.1f}" for value in shown) + " |")
    return "\n".join(lines)


def _seen(runs: Runs, names: Sequence[str]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(tuple(run[name] for name in names) for run in runs if run["part"] == "speed"))


def _ratios(runs: Runs, peer: str, name: str) -> list[float]:
    """Ours over the peer's, of each model and law that both were measured on."""
    pairs = (
        (median_of(runs, "ours", model, law, name), median_of(runs, peer, model, law, name))
        for model, law in _seen(runs, ("model", "law"))
    )
    return [ours / theirs for ours, theirs in pairs if ours and theirs]


def _geometric(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.geometric_mean(found) if found else float("nan")


def _loss_gaps(runs: Runs, peers: Sequence[str]) -> list[float]:
    """Per cent, of each model, law and one of `peers` whose adapter was judged on the same rows as ours."""
    judged = {
        (run["model"], run["law"], run["contestant"]): run["heldout_loss"] for run in runs if run.get("heldout_loss")
    }
    return [
        100 * abs(judged[model, law, "ours"] - loss) / loss
        for (model, law, contestant), loss in judged.items()
        if contestant in peers and (model, law, "ours") in judged
    ]
