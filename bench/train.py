"""`make bench-train`: how fast, in how much memory and to what loss we and our peers train, on the same rows.

    python bench/train.py [--repeats 2] [--seconds 120] [--models NAME ...] [--laws NAME ...]
                          [--contestants NAME ...] [--only speed|loss] [--fresh]

Every contestant has its own environment (`bench/competitors`), the same model, rows in the same order, LoRA of rank 16
on every linear layer, float32, AdamW at a constant rate, 16 rows a step and two threads. A step of 16 short rows warms
up; the law's rows after it are timed. Contestants take turns (A B C D A B C D), medians count. Each finished cell is
kept in .bench/train/cells.jsonl at once: a bench that was stopped goes on where it was; `--fresh` forgets them.
The loss is a bench of its own, of shorter rows and more steps: all contestants to the end, judged by one evaluator.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import train_cells as cells  # noqa: E402
import train_rows as rows  # noqa: E402
from competitors.environments import HOME, python_of  # noqa: E402
from train_figures import figures_of, table  # noqa: E402

from core.base_models import service as base_models  # noqa: E402
from core.config import Settings  # noqa: E402
from core.stack.figures import write_figures  # noqa: E402
from worker.base_models import prepare  # noqa: E402
from worker.training.kernels import products  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "train.json"
_KEPT = HOME / "train" / "cells.jsonl"
_MODELS = ("smollm2-135m", "llama-32m")
_SPEED = ("ours", "trl", "hf", "trl_packing", "llamafactory", "axolotl")
_LOSS = ("ours", "trl", "hf", "trl_packing")
_TABLE_ONLY = ("llamafactory", "axolotl")
"""In the table but in no figure: measured once, on the small model."""
_TIMED_STEPS = {"smollm2-135m": 1, "llama-32m": 2}
_WARMUP_TOKENS = 40
_LEARNING_RATE = 1e-3
_LOSS_STEPS, _LOSS_SCALE, _NUM_HELDOUT = 12, 0.3, 48
_GEMM = 2048
_QUIET_SHARE, _QUIET_PATIENCE_S = 0.1, 60


@dataclass(frozen=True, slots=True)
class Cell:
    part: str
    repeat: int
    model: str
    law: str
    contestant: str

    @property
    def key(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("part", "repeat", "model", "law", "contestant")}


def main() -> None:
    wanted = _arguments()
    models = _prepare_models(wanted.models)
    kept = _load(wanted.fresh)
    _wait_until_quiet()
    kept.append(_machine())
    _keep(kept[-1])
    for cell in _cells(wanted):
        if any(_is_of(found, cell) for found in kept):
            continue
        idle_share = _wait_until_quiet()
        folder = cells.fresh(HOME / "train" / "cell")
        found = _speed(cell, models, folder, wanted) if cell.part == "speed" else _loss(cell, models, folder)
        kept.append(cell.key | {"busy_before": idle_share} | found)
        _keep(kept[-1])
        print(_line(cell, found), flush=True)
    _write(kept, wanted.out)


def _line(cell: Cell, found: dict[str, Any]) -> str:
    return (
        f"{cell.part:5} {cell.repeat} {cell.model:13} {cell.law:8} {cell.contestant:13}"
        f"{found['useful_tokens_per_s'] or 0:8.1f} tok/s {found['peak_rss_bytes'] / 1e9:5.2f} GB"
        f"  first step {found['first_step_s'] or 0:6.1f} s  others {found['others_cpu_share']:4.0%}"
        + (f"  FAILED: {found['error']}" if found["error"] else "")
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/train.py")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120, help="most seconds timed in a cell")
    parser.add_argument("--models", nargs="+", default=_MODELS, choices=_MODELS)
    parser.add_argument("--laws", nargs="+", default=rows.LAWS, choices=rows.LAWS)
    parser.add_argument("--contestants", nargs="+", choices=("ours", *cells.PEERS))
    parser.add_argument("--only", choices=("speed", "loss"))
    parser.add_argument("--steps", type=int, help="timed steps of a cell, of every model")
    parser.add_argument("--fresh", action="store_true", help="forget the cells measured before")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    return parser.parse_args()


def _cells(wanted: argparse.Namespace) -> Iterator[Cell]:
    if wanted.only != "loss":
        yield from _speed_cells(wanted)
    if wanted.only != "speed":
        yield from _loss_cells(wanted)


def _speed_cells(wanted: argparse.Namespace) -> Iterator[Cell]:
    """Contestants are the innermost loop, repeats the outermost: A B C D A B C D."""
    for repeat, model, law in itertools.product(range(wanted.repeats), wanted.models, wanted.laws):
        for contestant in wanted.contestants or _SPEED:
            if wanted.contestants or contestant not in _TABLE_ONLY or (repeat == 0 and model == "llama-32m"):
                yield Cell("speed", repeat, model, law, contestant)


def _loss_cells(wanted: argparse.Namespace) -> Iterator[Cell]:
    for model in wanted.models:
        # the large model learns from one law, the small one from all: that is what the time is enough for
        for law in wanted.laws if model == "llama-32m" else wanted.laws[:1]:
            for contestant in wanted.contestants or _LOSS:
                yield Cell("loss", 0, model, law, contestant)


def _speed(cell: Cell, models: dict[str, Path], folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    num_rows = cells.BATCH_SIZE * (wanted.steps or _TIMED_STEPS[cell.model])
    maker = rows.RowMaker(models[cell.model], seed=cell.repeat)
    warmup = maker.rows([_WARMUP_TOKENS] * cells.BATCH_SIZE)
    law = maker.rows(rows.lengths(cell.law, num_rows, seed=cell.repeat))
    work = cells.Work(
        model_dir=models[cell.model],
        rows=warmup + law,
        heldout=[],
        seed=cell.repeat,
        learning_rate=_LEARNING_RATE,
        max_timed_s=wanted.seconds,
    )
    flops = rows.flops(work.model_dir, law, rank=cells.RANK)
    return _run(cell, work, folder) | {"rows": rows.describe(law) | {"useful_flops": flops}}


def _loss(cell: Cell, models: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Trained to the end and judged on held-out rows of the same law."""
    model_dir = models[cell.model]
    maker = rows.RowMaker(model_dir, seed=1000)
    num_train = _LOSS_STEPS * cells.BATCH_SIZE
    sizes = rows.lengths(cell.law, num_train + _NUM_HELDOUT, seed=1000, scale=_LOSS_SCALE)
    made = maker.rows(sizes)
    work = cells.Work(
        model_dir=model_dir,
        rows=made[:num_train],
        heldout=made[num_train:],
        seed=0,
        learning_rate=_LEARNING_RATE,
        is_to_the_end=True,
    )
    found = _run(cell, work, folder)
    if found["error"] is None:
        adapter = folder / "adapter" if cell.contestant == "ours" else folder / "out" / "adapter"
        losses = judge(model_dir, work.heldout, [adapter], folder)
        found |= {"base_heldout_loss": losses[0], "heldout_loss": losses[1]}
    return found | {"rows": rows.describe(work.rows)}


def _machine() -> dict[str, Any]:
    """What a square float32 product reaches here by the quicker library, in the threads that all contestants have."""
    torch.set_num_threads(cells.NUM_THREADS)
    left, right = torch.randn(_GEMM, _GEMM), torch.randn(_GEMM, _GEMM)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        products.forward(left, right)
        seconds.append(time.perf_counter() - began)
    return {"part": "machine", "gemm_flops": 2 * _GEMM**3 / statistics.median(seconds[2:])}


def _run(cell: Cell, work: cells.Work, folder: Path) -> dict[str, Any]:
    if cell.contestant == "ours":
        return cells.run_ours(work, folder)
    return cells.run_peer(cell.contestant, work, folder)


def judge(model_dir: Path, heldout: list[rows.Row], adapters: list[Path], folder: Path) -> list[float]:
    """Held-out loss of the base and of each adapter, by the one evaluator."""
    rows.write_rows(folder / "judged.jsonl", heldout)
    argv = [str(python_of("hf")), str(ROOT / "bench" / "competitors" / "evaluate.py"), str(model_dir)]
    argv += [str(folder / "judged.jsonl"), str(cells.NUM_THREADS), *map(str, adapters)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return [json.loads(line)["loss"] for line in done.stdout.splitlines()]


def _prepare_models(names: list[str]) -> dict[str, Path]:
    settings = Settings(home=HOME / "home")
    smollm2 = prepare(settings, base_models.default_base_model().id).resolve()
    made = {"smollm2-135m": lambda: smollm2, "llama-32m": lambda: rows.random_llama(HOME / "llama-32m", smollm2)}
    return {name: made[name]() for name in names}


def _wait_until_quiet() -> float:
    """Share of the processors that others use now; waits a minute for them to end."""
    until = time.monotonic() + _QUIET_PATIENCE_S
    while True:
        share = psutil.cpu_percent(interval=1) / 100
        if share <= _QUIET_SHARE or time.monotonic() >= until:
            return round(share, 3)


def _load(is_fresh: bool) -> list[dict[str, Any]]:  # noqa: FBT001
    if is_fresh or not _KEPT.exists():
        _KEPT.parent.mkdir(parents=True, exist_ok=True)
        _KEPT.write_text("")
    return [json.loads(line) for line in _KEPT.read_text().splitlines()]


def _is_of(found: dict[str, Any], cell: Cell) -> bool:
    return all(found.get(name) == value for name, value in cell.key.items())


def _keep(found: dict[str, Any]) -> None:
    with _KEPT.open("a") as stream:
        stream.write(json.dumps(found) + "\n")


def _write(kept: list[dict[str, Any]], path: Path) -> None:
    figures = figures_of(kept)
    write_figures(path, packages=("torch", "transformers", "peft"), figures=figures, runs=kept)
    print(table(kept))
    for name, value in figures.items():
        print(f"{name:32} {value}")
    print(f"Written to {path}")


if __name__ == "__main__":
    main()
