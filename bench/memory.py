"""`python bench/memory.py MODEL_DIR [CELL ...]`: peak memory of real runs beside what `core.training.memory` predicts.

Each cell is a process of its own that trains a few steps, each of one full micro-batch, with the trainer itself. On a
machine with a GPU it measures there. Speed is printed too, for core.training.throughput, but is only worth something on
an idle machine. Rows are random words; what is learned is of no interest.
"""

import json
import random
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from core.base_models.types import BaseModel, HubSource  # noqa: E402
from core.training import memory  # noqa: E402
from core.training.method_rules import method_for  # noqa: E402
from core.training.objectives import DpoObjective, SftObjective  # noqa: E402
from core.training.spec import ExecutionPlan, RunInput  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "memory.json"
_STEPS = 2
_WORDS = ("the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not")
# (method, tokens of a micro-batch, words of a row, checkpointing, objective)
_CELLS: list[tuple[str, int, int, bool, str]] = [
    *[("lora", tokens, 60, False, "sft") for tokens in (256, 512, 1024, 2048)],
    *[("qlora", tokens, 60, False, "sft") for tokens in (256, 512, 1024)],
    *[(method, 512, 60, False, "sft") for method in ("full", "dora", "prompt_tuning", "pissa")],
    ("lora", 1024, 60, True, "sft"),
    ("lora", 512, 60, False, "dpo"),
    ("lora", 512, 900, False, "sft"),
]


def architecture_of(model_dir: Path) -> BaseModel:
    """Any folder's model as the catalogue would have it."""
    config = json.loads((model_dir / "config.json").read_text())
    hidden, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    keys, inner, vocabulary = config["num_key_value_heads"], config["intermediate_size"], config["vocab_size"]
    head_size = config.get("head_dim") or hidden // heads
    is_tied = bool(config.get("tie_word_embeddings"))
    block = 2 * hidden * heads * head_size + 2 * hidden * keys * head_size + 3 * hidden * inner
    return BaseModel(
        id="measured",
        name=model_dir.name,
        num_parameters=layers * block + vocabulary * hidden * (1 if is_tied else 2),
        num_layers=layers,
        hidden_size=hidden,
        intermediate_size=inner,
        num_heads=heads,
        num_key_value_heads=keys,
        head_size=head_size,
        is_head_tied=is_tied,
        vocab_size=vocabulary,
        context_tokens=config["max_position_embeddings"],
        license="",
        source=HubSource(repository=""),
        revision="0" * 40,
    )


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(count))


def _row(rng: random.Random, number: int, length: int, objective: str) -> dict[str, Any]:
    question = {"role": "user", "content": _words(rng, length // 2)}
    answers = [{"role": "assistant", "content": _words(rng, length // 2)} for _ in range(2)]
    if objective == "dpo":
        return {"number": number, "messages": [question], "chosen": answers[:1], "rejected": answers[1:]}
    return {"number": number, "messages": [question, answers[0]]}


def measure(model_dir: Path, cell: tuple[str, int, int, bool, str]) -> dict[str, Any]:
    """One run in this process."""
    from worker.training import run as trainer  # noqa: PLC0415 - what the parent has no need of
    from worker.training.allocator import keep_freed_memory  # noqa: PLC0415
    from worker.training.events import EventWriter  # noqa: PLC0415

    method, tokens, length, is_checkpointed, objective = cell
    is_gpu = torch.cuda.is_available()
    folder = Path(tempfile.mkdtemp(prefix="memory-"))
    rng = random.Random(7)
    per_row = (2 if objective == "dpo" else 1) * (length + 30)
    batch = max(1, tokens // per_row)
    for name, count in (("train", batch * _STEPS), ("heldout", 2)):
        rows = (json.dumps(_row(rng, number, length, objective)) + "\n" for number in range(count))
        (folder / f"{name}.jsonl").write_text("".join(rows))
    spec = RunInput(
        base_model="measured",
        method=method_for(method, rank=16, asked={}),
        objective=DpoObjective() if objective == "dpo" else SftObjective(),
        batch_size=batch,
        max_length_tokens=2048,
        base_model_dir=model_dir,
        num_threads=2,
        checkpoint_every_s=1e6,
        execution=ExecutionPlan(micro_batch_tokens=tokens, gradient_checkpointing=is_checkpointed),
    )
    (folder / "spec.json").write_text(spec.model_dump_json())
    keep_freed_memory()
    with closing(EventWriter(folder / "events.jsonl")) as events:
        trainer.execute(folder, events=events, stop_requested=lambda: False)
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    results = next(line["data"] for line in lines if line["type"] == "result")
    speeds = [line["data"].get("tokens_per_second", 0) for line in lines if line["type"] == "metrics"]
    step_tokens = results["seen_tokens"] / results["steps"]
    predicted = memory.predict(
        spec, architecture_of(model_dir), spec.execution, is_gpu=is_gpu, tokens=int(step_tokens), mean_tokens=per_row
    )
    return {
        "cell": "/".join(str(part) for part in cell),
        "method": spec.method.model_dump(mode="json"),
        "objective": spec.objective.model_dump(mode="json"),
        "execution": spec.execution.model_dump(mode="json"),
        "mean_tokens": per_row,
        "step_tokens": step_tokens,
        "measured_bytes": results["peak_memory_bytes"],
        "predicted_bytes": predicted.peak_bytes,
        "error": predicted.peak_bytes / results["peak_memory_bytes"] - 1,
        "tokens_per_second": max(speeds),
        "parts": predicted.model_dump(),
    }


def main(model_dir: Path, wanted: list[int]) -> None:
    """Measures the cells, and writes each as soon as it is known; those measured before are kept."""
    kept = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    is_same = (kept.get("model"), kept.get("device")) == (model_dir.name, device)
    rows = {row["cell"]: row for row in kept["rows"]} if is_same else {}
    for index in wanted:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, __file__, str(model_dir), "--cell", str(index)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            print(f"{_CELLS[index]} failed: {done.stderr[-300:]}", flush=True)
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        rows[row["cell"]] = row
        print(
            f"{row['cell']:40} {row['step_tokens']:6.0f} tokens {row['measured_bytes'] / 1e6:8.0f} MB measured "
            f"{row['predicted_bytes'] / 1e6:8.0f} predicted {row['error']:+6.1%} {row['tokens_per_second']:8.1f} tok/s",
            flush=True,
        )
        found = {"model": model_dir.name, "device": device, "rows": list(rows.values())}
        _RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    if "--cell" in sys.argv:
        print(json.dumps(measure(Path(sys.argv[1]), _CELLS[int(sys.argv[3])])))
    else:
        main(Path(sys.argv[1]), [int(index) for index in sys.argv[2:]] or list(range(len(_CELLS))))
