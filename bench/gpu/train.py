"""Training on one GPU: models of 1 to 8 billion weights, LoRA and QLoRA, small and large micro-batches.

    python bench/gpu/train.py [--models 8b 3b 1b] [--methods lora qlora] [--contestants ours hf hf_packed]
                              [--tokens 512 2048 4096 8192 16384] [--checkpointing on off] [--repeats 2]
    python bench/gpu/train.py --device cpu --tiny      every part in seconds on a processor; says nothing of speed

First what must be right (`checks.py`), then each cell: 5 steps to warm up, 20 timed by the device's own clock, median;
the peaks of allocated and reserved memory beside what `core.training.memory` predicts. The rate of useful arithmetic
(MFU) counts 4 N operations a token for frozen weights, whether or not activations are computed twice; HFU counts what
was executed. Cells already in the results are skipped, so a bench that was cut off goes on; --fresh measures anew.
"""

import argparse
import dataclasses
import itertools
import json
import math
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import checks  # noqa: E402
import contestants  # noqa: E402
import synthetic  # noqa: E402
import torch  # noqa: E402
from contestants import Cell  # noqa: E402

from core.base_models import architecture  # noqa: E402
from core.stack.figures import write_figures  # noqa: E402
from core.training import memory  # noqa: E402
from core.training.methods import LoraMethod, QloraMethod  # noqa: E402
from core.training.spec import ExecutionPlan, TrainingSpec  # noqa: E402

_RESULTS = ROOT / "bench" / "results" / "gpu_train.json"
_TINY_RESULTS = ROOT / ".bench" / "gpu_tiny.json"
_NUM_WARMUP, _NUM_TIMED = 5, 20
_GEMM = 8192


def main() -> None:
    wanted = _arguments()
    device = torch.device(wanted.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    before = json.loads(wanted.out.read_text())["runs"] if wanted.out.exists() and not wanted.fresh else []
    runs = [run for run in before if run.get("device") == _device_name(device)]
    methods = tuple(method for method in wanted.methods if method == "lora" or _has_bitsandbytes())
    if methods != tuple(wanted.methods):
        print("bitsandbytes is not installed: QLoRA is left out")
    shape = "tiny" if wanted.tiny else wanted.models[-1]
    checked = checks.run(shape, device=wanted.device, dtype=dtype, methods=methods)
    print("checks:", checked, flush=True)
    peak_flops = _gemm_flops(device, dtype, 512 if wanted.tiny else _GEMM)
    print(f"matrix products: {peak_flops / 1e12:.1f} TFLOP/s", flush=True)
    for repeat, cell in itertools.product(range(wanted.repeats), _cells(wanted, methods)):
        key = dataclasses.asdict(cell) | {"repeat": repeat, "device": _device_name(device)}
        if any(all(run.get(name) == value for name, value in key.items()) for run in runs):
            continue
        runs.append(key | _measure(cell, device=device, dtype=dtype, peak_flops=peak_flops, is_tiny=wanted.tiny))
        print(_line(runs[-1]), flush=True)
        figures = figures_of(runs) | {"peak_gemm_tflops": round(peak_flops / 1e12, 1)}
        figures |= {name: value for name, value in checked.items() if name != "failed"}
        write_figures(wanted.out, packages=("torch", "transformers", "peft"), figures=figures, runs=runs)
    if checked["failed"]:
        raise SystemExit(f"not right: {', '.join(checked['failed'])}")


def figures_of(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The largest error of the memory formula, and the gates of the 8B model where they were measured."""
    ours = [run for run in runs if run["contestant"] == "ours" and run.get("tokens_per_s")]
    errors = [abs(run["predicted_bytes"] / run["peak_bytes"] - 1) for run in ours]
    figures = {"memory_error_max_pct": round(100 * max(errors), 1)} if errors else {}
    for name, method, tokens, is_checkpointed in (
        ("lora_8b_8k", "lora", 8192, False),
        ("qlora_8b_8k", "qlora", 8192, False),
        ("qlora_8b_4k_checkpointed", "qlora", 4096, True),
    ):
        of_cell = [
            run
            for run in ours
            if (run["model"], run["method"], run["tokens"], run["is_checkpointed"])
            == ("8b", method, tokens, is_checkpointed)
        ]
        if of_cell:
            figures[f"{name}_tokens_per_s"] = round(statistics.median(run["tokens_per_s"] for run in of_cell), 1)
            figures[f"{name}_mfu"] = round(statistics.median(run["mfu"] for run in of_cell), 3)
            figures[f"{name}_peak_gb"] = round(max(run["peak_bytes"] for run in of_cell) / 1e9, 2)
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/gpu/train.py")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--models", nargs="+", default=("8b", "3b", "1b"), choices=synthetic.SHAPES)
    parser.add_argument("--methods", nargs="+", default=("lora", "qlora"), choices=("lora", "qlora"))
    parser.add_argument("--contestants", nargs="+", default=contestants.NAMES, choices=contestants.NAMES)
    parser.add_argument("--tokens", nargs="+", type=int, default=(512, 2048, 4096, 8192, 16384))
    parser.add_argument("--checkpointing", nargs="+", default=("off", "on"), choices=("off", "on"))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    wanted.out = wanted.out or (_TINY_RESULTS if wanted.tiny else _RESULTS)
    if wanted.tiny:
        wanted.models, wanted.tokens = ("tiny",), (64, 160)
    return wanted


def _cells(wanted: argparse.Namespace, methods: tuple[str, ...]) -> Iterator[Cell]:
    """Contestants take turns."""
    for model, method, checkpointing, tokens, contestant in itertools.product(
        wanted.models, methods, wanted.checkpointing, wanted.tokens, wanted.contestants
    ):
        longest = 64 if wanted.tiny else 2048
        # a padded batch is of equal rows; what does not divide is for the others
        if contestant != "hf" or tokens % min(longest, tokens) == 0:
            yield Cell(model, method, tokens, checkpointing == "on", contestant, longest)


def _measure(
    cell: Cell, *, device: torch.device, dtype: torch.dtype, peak_flops: float, is_tiny: bool
) -> dict[str, Any]:
    """A cell that runs out of memory is a result too."""
    synthetic.forget()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        step = contestants.prepare(cell, device=str(device), dtype=dtype)
        seconds = _times(step, device, num_warmup=1 if is_tiny else _NUM_WARMUP, num_timed=3 if is_tiny else _NUM_TIMED)
    except torch.OutOfMemoryError:
        return {"error": "out of memory"}
    step_s = statistics.median(seconds)
    useful, executed = flops_per_token(cell)
    tokens_per_s = cell.tokens / step_s
    return {
        "tokens_per_s": tokens_per_s,
        "step_s": step_s,
        "step_s_least": min(seconds),
        "step_s_most": max(seconds),
        "mfu": tokens_per_s * useful / peak_flops,
        "hfu": tokens_per_s * executed / peak_flops,
        "predicted_bytes": predicted_bytes(cell, is_gpu=device.type == "cuda"),
    } | _peaks(device)


def _times(step: contestants.Step, device: torch.device, *, num_warmup: int, num_timed: int) -> list[float]:
    """Seconds of each step. The loss is read once, at the end: reading it each time would make the device wait."""
    seconds, loss = [], torch.zeros(())
    for number in range(num_warmup + num_timed):
        began = _Clock(device)
        loss = step.compute()
        step.update()
        took = began.read()
        if number >= num_warmup:
            seconds.append(took)
    if not math.isfinite(float(loss)):
        raise ArithmeticError(f"the loss is {float(loss)}")
    return seconds


class _Clock:
    """CUDA events on a GPU, else the machine's clock."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        if self._is_cuda:
            self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self._begin.record()
        self._began = time.perf_counter()

    def read(self) -> float:
        if not self._is_cuda:
            return time.perf_counter() - self._began
        self._end.record()
        self._end.synchronize()
        return float(self._begin.elapsed_time(self._end)) / 1e3


def flops_per_token(cell: Cell) -> tuple[float, float]:
    """(useful, executed) operations: 4 N for frozen weights, 6 for each of the adapter's, causal attention besides."""
    base = synthetic.base_model(cell.model)
    method = LoraMethod(rank=contestants.RANK, alpha=contestants.ALPHA)
    linears = architecture.num_linear_weights(base)
    mean_length = sum(length**2 for length in cell.lengths) / cell.tokens
    attention = mean_length * base.num_heads * base.head_size * base.num_layers
    adapter = memory.num_trained_weights(method, base)
    useful = 4 * (linears + architecture.num_head_weights(base)) + 6 * adapter + 6 * attention
    # computed twice are the layers, not the head
    return useful, useful + (2 * linears + 2 * adapter + 2 * attention if cell.is_checkpointed else 0)


def predicted_bytes(cell: Cell, *, is_gpu: bool) -> int:
    method: LoraMethod | QloraMethod = LoraMethod(rank=contestants.RANK, alpha=contestants.ALPHA)
    if cell.method == "qlora":
        method = QloraMethod(rank=contestants.RANK, alpha=contestants.ALPHA)
    predicted = memory.predict(
        TrainingSpec(base_model=cell.model, method=method),
        synthetic.base_model(cell.model),
        ExecutionPlan(micro_batch_tokens=max(64, cell.tokens), gradient_checkpointing=cell.is_checkpointed),
        is_gpu=is_gpu,
        tokens=cell.tokens,
        mean_tokens=cell.tokens / len(cell.lengths),
    )
    return predicted.peak_bytes


def _peaks(device: torch.device) -> dict[str, int]:
    """On a processor the whole process's, since it began."""
    if device.type == "cuda":
        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        return {"peak_bytes": reserved, "peak_allocated_bytes": allocated}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"peak_bytes": peak, "peak_allocated_bytes": peak}


def _gemm_flops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """What a square product of random numbers reaches here: the ceiling of everything else."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(_NUM_WARMUP + _NUM_TIMED):
        clock = _Clock(device)
        left @ right
        seconds.append(clock.read())
    return 2 * size**3 / statistics.median(seconds[_NUM_WARMUP:])


def _has_bitsandbytes() -> bool:
    try:
        import bitsandbytes  # noqa: F401, PLC0415
    except (ImportError, OSError):
        return False
    return True


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _line(run: dict[str, Any]) -> str:
    name = f"{run['model']:5} {run['method']:5} {run['tokens']:6} {'ckpt' if run['is_checkpointed'] else '    '}"
    if "error" in run:
        return f"{name} {run['contestant']:10} {run['error']}"
    return (
        f"{name} {run['contestant']:10} {run['tokens_per_s']:9.0f} tok/s  MFU {run['mfu']:5.1%}  HFU {run['hfu']:5.1%}"
        f"  {run['peak_bytes'] / 1e9:6.2f} GB (predicted {run['predicted_bytes'] / 1e9:.2f})"
    )


if __name__ == "__main__":
    main()
