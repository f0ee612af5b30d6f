"""`make bench-recipes`: what our automatic recipe learns from real data, beside what the peers' defaults learn.

    python bench/recipes.py [--datasets NAME ...] [--contestants NAME ...] [--tokens 10000]

SmolLM2-135M in float32; one judge (`bench/competitors/evaluate.py`) on rows that no contestant has seen. Peers train on
all the other rows; ours gives a tenth of them up to measure itself with, as it does for its users.

ours          the recipe Balanced, resolved from the data
trl           SFTTrainer and `trl sft --use_peft` as they are: 3 epochs, rate 2e-5, batch 8, rank 16 on the query and
              value layers
trl_example   the rate and the rank of the LoRA example that TRL's script shows (2e-4, rank 32, alpha 16), every linear
              layer, 3 epochs, batch 8; without its packing and batch of 16 packs, which would make one step of this
llamafactory  its LoRA example: 3 epochs, rate 1e-4, warm-up and cosine, batch 8, rank 8 on every linear layer

Peers run without gradient checkpointing and padding where they can: that changes the time, not what is learned.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import recipe_data  # noqa: E402
import train_cells as cells  # noqa: E402
from competitors.environments import HOME  # noqa: E402
from train import judge  # noqa: E402
from train_rows import Row, describe  # noqa: E402

from core.base_models import service as base_models  # noqa: E402
from core.config import Settings  # noqa: E402
from core.stack.figures import write_figures  # noqa: E402
from core.training.recipes import DatasetStats, Recipe, resolve  # noqa: E402
from core.training.spec import RunInput  # noqa: E402
from worker.base_models import prepare  # noqa: E402
from worker.training.data.chat_format import ChatFormat  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "recipes.json"
_KEPT = HOME / "recipes"
_CONTESTANTS = ("ours", "trl", "trl_example", "llamafactory")
_IN_FIGURES = ("trl", "llamafactory")
_SEED, _OUR_HELDOUT_SHARE = 7, 10
_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
_TRL = {"num_train_epochs": 3, "max_length": None, "padding_free": True, "gradient_checkpointing": False}
_LLAMAFACTORY = {
    "lora_rank": 8,
    "lora_target": "all",
    "cutoff_len": 2048,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "learning_rate": 1e-4,
    "num_train_epochs": 3.0,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.1,
    "disable_gradient_checkpointing": True,
    "default_system": _SYSTEM,
}
_PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "trl": (
        "trl",
        {"config": _TRL, "lora": {"r": 16, "lora_alpha": 32, "lora_dropout": 0.05}},
    ),
    "trl_example": (
        "trl",
        {
            "config": _TRL | {"learning_rate": 2e-4},
            "lora": {"r": 32, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": "all-linear"},
        },
    ),
    "llamafactory": ("llamafactory", {"config": _LLAMAFACTORY}),
}


def main() -> None:
    wanted = _arguments()
    base = base_models.default_base_model()
    model_dir = prepare(Settings(home=HOME / "home"), base.id).resolve()
    chat_format = ChatFormat.load(model_dir)
    runs = []
    for name in wanted.datasets:
        dataset = recipe_data.load(name, HOME / "data", chat_format=chat_format, max_tokens=wanted.tokens, seed=_SEED)
        for contestant in wanted.contestants:
            key = {"dataset": name, "contestant": contestant, "max_tokens": wanted.tokens}
            found = _kept(key)
            if found is None:
                found = key | _measure(contestant, dataset, model_dir)
                _keep(key, found)
            runs.append(found)
            loss = found.get("heldout_loss")
            print(f"{name:10} {contestant:13} held-out {loss if loss is None else round(loss, 4)}", flush=True)
    figures = figures_of(runs)
    write_figures(wanted.out, packages=("torch", "transformers", "peft"), figures=figures, runs=runs)
    for figure, value in figures.items():
        print(f"{figure:32} {value}")
    print(f"Written to {wanted.out}")


def figures_of(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Held-out loss by data set and contestant; `wins` are data sets where ours is below both peers' defaults."""
    losses = {(run["dataset"], run["contestant"]): run["heldout_loss"] for run in runs if run.get("heldout_loss")}
    figures = {f"{dataset}_{contestant}": round(loss, 4) for (dataset, contestant), loss in losses.items()}
    figures |= {f"{run['dataset']}_base": round(run["base_heldout_loss"], 4) for run in runs if "heldout_loss" in run}
    figures["wins"] = sum(
        all(ours < losses[dataset, peer] for peer in _IN_FIGURES if (dataset, peer) in losses)
        for (dataset, contestant), ours in losses.items()
        if contestant == "ours"
    )
    return figures


def _measure(contestant: str, dataset: recipe_data.Dataset, model_dir: Path) -> dict[str, Any]:
    folder = cells.fresh(HOME / "recipes" / "run")
    if contestant == "ours":
        num_heldout = max(1, len(dataset.train) // _OUR_HELDOUT_SHARE)
        train, heldout = dataset.train[num_heldout:], dataset.train[:num_heldout]
        spec = our_spec(train, heldout, model_dir)
        found = cells.run_ours(_work(train, heldout, model_dir), folder, spec=spec)
        found["spec"] = spec.training_spec().model_dump(mode="json")
        adapter = folder / "adapter"
    else:
        peer, extra = _PEERS[contestant]
        work = _work(dataset.train, [], model_dir)
        found = cells.run_peer(peer, work, folder, defaults=True, shuffle=True, extra=extra)
        found["spec"] = extra
        adapter = folder / "out" / "adapter"
    # speed is another bench's matter
    found = {name: found[name] for name in ("spec", "losses", "peak_rss_bytes", "others_cpu_share", "error")}
    found["rows"] = {"train": describe(dataset.train), "test": describe(dataset.test)}
    if found["error"] is None:
        losses = judge(model_dir, dataset.test, [adapter], folder)
        found |= {"base_heldout_loss": losses[0], "heldout_loss": losses[1]}
    return found


def our_spec(train: list[Row], heldout: list[Row], model_dir: Path) -> RunInput:
    """What the product resolves for such data on a processor."""
    sizes = sorted(row.num_tokens for row in [*train, *heldout])
    stats = DatasetStats(
        num_train=len(train),
        num_heldout=len(heldout),
        num_tokens=sum(sizes),
        max_row_tokens=sizes[-1],
        p99_row_tokens=sizes[int(0.99 * (len(sizes) - 1))],
    )
    spec = resolve(Recipe.BALANCED, stats, base_models.default_base_model(), "cpu", {"seed": _SEED})
    return RunInput(**spec.model_dump(), base_model_dir=model_dir, num_threads=cells.NUM_THREADS)


def _work(train: list[Row], heldout: list[Row], model_dir: Path) -> cells.Work:
    return cells.Work(model_dir=model_dir, rows=train, heldout=heldout, seed=_SEED, learning_rate=0, is_to_the_end=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/recipes.py")
    parser.add_argument("--datasets", nargs="+", default=recipe_data.NAMES, choices=recipe_data.NAMES)
    parser.add_argument("--contestants", nargs="+", default=_CONTESTANTS, choices=_CONTESTANTS)
    parser.add_argument("--tokens", type=int, default=10_000, help="of the training rows, about")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    wanted = parser.parse_args()
    if wanted.fresh:
        (_KEPT / "kept.jsonl").unlink(missing_ok=True)
    return wanted


def _kept(key: dict[str, Any]) -> dict[str, Any] | None:
    path = _KEPT / "kept.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [run for run in map(json.loads, lines) if all(run[name] == value for name, value in key.items())]
    return found[-1] if found else None


def _keep(key: dict[str, Any], found: dict[str, Any]) -> None:
    """Only what came to an end: a run that failed is tried again next time."""
    if found["error"] is not None:
        print(f"{key['dataset']} {key['contestant']} failed:\n{found['error']}", flush=True)
        return
    with (_KEPT / "kept.jsonl").open("a") as stream:
        stream.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
