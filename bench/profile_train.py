"""`python bench/profile_train.py [--tokens 512]`: where a training step's time goes, and how far it is from the limit.

For SmolLM2-135M and the 32M random Llama of `bench/train_rows.py`: the peak of this machine's matrix products, the
arithmetic that a step must do (4 operations per frozen weight and token, forward and backward; 6 per learned one; the
head for trained targets only; attention's products), the share of the peak that is reached, and the costliest
operators. On the same rows, by turns: our engine, the same without its kernels (PEFT's layers, recomputed chunks of
logits), and PEFT with all logits of the padded rows. Real text, since zeros multiply faster. A turn during which other
processes took more than 5 % of the processors is not counted.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import psutil  # noqa: E402
import torch  # noqa: E402
import train_rows as rows  # noqa: E402
from competitors.environments import HOME  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.nn.utils.rnn import pad_sequence  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from core.base_models import service as base_models  # noqa: E402
from core.config import Settings  # noqa: E402
from core.training.methods import LoraMethod  # noqa: E402
from worker.base_models import prepare  # noqa: E402
from worker.training.allocator import keep_freed_memory  # noqa: E402
from worker.training.batches import MicroBatch, assemble  # noqa: E402
from worker.training.data import token_index  # noqa: E402
from worker.training.kernels import fused  # noqa: E402
from worker.training.methods import registry  # noqa: E402
from worker.training.methods.model import Machine  # noqa: E402
from worker.training.objectives.objective import Totals  # noqa: E402
from worker.training.objectives.sft import Sft  # noqa: E402

RANK = 16
OTHERS_SHARE = 0.05
PATIENCE_S = 900
_PRODUCTS, _NUM_PRODUCTS, _SIDE = "products", 10, 2048
MACHINE = Machine(device="cpu", compute_dtype=torch.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=512, help="of a micro-batch")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    smollm2 = prepare(Settings(home=HOME / "home"), base_models.default_base_model().id).resolve()
    for model_dir in (smollm2, rows.random_llama(HOME / "llama-32m", smollm2)):
        report(model_dir, arguments.tokens, arguments.turns)


def report(model_dir: Path, num_tokens: int, turns: int) -> None:
    batch, totals = rows_of(model_dir, num_tokens)
    contestants: dict[str, Callable[[], Tensor]] = {
        "ours": ours(model_dir, batch, totals),
        "without kernels": without_kernels(model_dir, batch, totals),
        "PEFT, padded": padded(model_dir, batch, totals),
        _PRODUCTS: large_products(),
    }
    tuned = registry.prepare(LoraMethod(rank=RANK), model_dir, machine=MACHINE)
    operations = operations_of(tuned, batch, totals)
    lengths = batch.sequence_lengths
    print(f"\n{model_dir.name}: {sum(lengths)} tokens in rows of {lengths}, {totals.num_targets} of them trained")
    results = measured(contestants, turns)
    peak = _NUM_PRODUCTS * 2 * _SIDE**3 / results.pop(_PRODUCTS)[0]
    print(f"peak of large products, {torch.get_num_threads()} threads: {peak / 1e9:.0f} GFLOP/s")
    print(f"arithmetic: {operations / 1e9:.1f} GFLOP a micro-batch, {operations / peak:.3f} s at the peak")
    for name, (seconds, loss, num_quiet) in results.items():
        useful = totals.num_targets / seconds
        print(
            f"{name:16} {seconds:7.3f} s  {sum(lengths) / seconds:7.0f} tokens/s  {useful:7.0f} trained tokens/s  "
            f"{operations / seconds / peak:5.1%} of the peak  loss {loss:.5f}  ({num_quiet} quiet turns)"
        )
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        contestants["ours"]()
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=14, max_name_column_width=44))


def large_products() -> Callable[[], Tensor]:
    """What the processor can do at best; measured in turns like the others, since a shared machine's clock changes."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, _SIDE, _SIDE, generator=generator)
    out = torch.empty(_SIDE, _SIDE)

    def multiply() -> Tensor:
        for _ in range(_NUM_PRODUCTS):
            torch.mm(a, b, out=out)
        return out[0, 0]

    return multiply


def rows_of(model_dir: Path, num_tokens: int) -> tuple[MicroBatch, Totals]:
    """Chat rows of real text that fill a micro-batch, and what their loss is divided by."""
    lengths, left = [], num_tokens
    for length in rows.lengths("chat", 1000, seed=1):
        if length <= left:
            lengths.append(length)
            left -= length
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "train.jsonl")
        rows.write_rows(path, rows.RowMaker(model_dir, seed=1).rows(lengths))
        index = token_index.build(
            path, Path(name, "index"), kind="chat", model_dir=model_dir, max_length=rows.MAX_LENGTH
        )
        examples = range(index.num_examples)
        return assemble(index, examples, device="cpu"), Totals.of(index, examples)


def ours(model_dir: Path, batch: MicroBatch, totals: Totals) -> Callable[[], Tensor]:
    model = registry.prepare(LoraMethod(rank=RANK), model_dir, machine=MACHINE)
    return step_of(model.trainable(), lambda: Sft().micro_loss(model, batch, totals).loss)


def without_kernels(model_dir: Path, batch: MicroBatch, totals: Totals) -> Callable[[], Tensor]:
    """The same packed rows by PEFT's and transformers' own layers; logits of 256 targets at a time, made twice."""
    with patch.object(fused, "install"):
        model = registry.prepare(LoraMethod(rank=RANK), model_dir, machine=MACHINE)

    def loss() -> Tensor:
        is_target = batch.weights_T > 0
        hidden = model.hidden(batch.token_ids_T, sequence_lengths=batch.sequence_lengths)[is_target]
        parts = zip(hidden.split(256), batch.targets_T[is_target].split(256), strict=True)
        sums = [checkpoint(_summed_loss, model.head, *part, use_reentrant=False) for part in parts]
        return torch.stack(sums).sum() / totals.weight

    return step_of(model.trainable(), loss)


def _summed_loss(head: torch.nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(head(hidden), targets, reduction="sum")


def padded(model_dir: Path, batch: MicroBatch, totals: Totals) -> Callable[[], Tensor]:
    """What a plain loop does: the rows side by side, padded to the longest, and all logits."""
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="sdpa")
    config = LoraConfig(r=RANK, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, config).train()
    lengths = list(batch.sequence_lengths)
    masked = batch.targets_T.where(batch.weights_T > 0, -100)
    ids, targets = (
        pad_sequence(list(one.split(lengths)), batch_first=True, padding_value=padding)
        for one, padding in ((batch.token_ids_T, 0), (masked, -100))
    )
    mask = pad_sequence([torch.ones(length, dtype=torch.long) for length in lengths], batch_first=True)

    def loss() -> Tensor:
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / totals.weight

    return step_of({name: weight for name, weight in model.named_parameters() if weight.requires_grad}, loss)


def step_of(trainable: dict[str, Any], loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
    torch.manual_seed(0)
    for weight in trainable.values():  # the same for all; a B of zeros, as at the start, would hide half of the adapter
        torch.nn.init.normal_(weight, std=0.01)

    def step() -> Tensor:
        for weight in trainable.values():
            weight.grad = None
        value = loss()
        value.backward()
        return value.detach()

    return step


def operations_of(model: Any, batch: MicroBatch, totals: Totals) -> float:  # noqa: ANN401
    """Of a micro-batch, forward and backward, without anything that is done twice or for nothing."""
    layers = model.decoder.model.get_decoder().layers
    config = model.decoder.model.config
    learned = sum(weight.numel() for weight in model.trainable().values())
    frozen = sum(weight.numel() for weight in layers.parameters() if weight.dim() > 1) - learned
    num_tokens = len(batch.token_ids_T)
    pairs = sum(length * (length + 1) / 2 for length in batch.sequence_lengths)
    attention = 7 * 2 * pairs * config.num_attention_heads * config.head_dim * len(layers)  # 2 products there, 5 back
    head = 4 * model.head.weight.numel() * totals.num_targets
    return (4 * frozen + 6 * learned) * num_tokens + head + attention


def measured(steps: dict[str, Callable[[], Tensor]], turns: int) -> dict[str, tuple[float, float, int]]:
    """Median seconds of each one's quiet turns (of all turns if none was), its loss, and how many were quiet."""
    losses = {name: float(step()) for name, step in steps.items()}
    quiet: dict[str, list[float]] = {name: [] for name in steps}
    noisy: dict[str, list[float]] = {name: [] for name in steps}
    until = time.monotonic() + PATIENCE_S
    while min(len(times) for times in quiet.values()) < turns and time.monotonic() < until:
        for name, step in steps.items():
            while psutil.cpu_percent(interval=0.3) > 100 * OTHERS_SHARE and time.monotonic() < until:
                pass
            with others_share() as share:
                took = seconds(step)
            (quiet if share[0] <= OTHERS_SHARE else noisy)[name].append(took)
    return {name: (statistics.median(quiet[name] or noisy[name]), losses[name], len(quiet[name])) for name in steps}


@contextmanager
def others_share() -> Iterator[list[float]]:
    """After the block, the share of all processors that other processes took within it."""
    share: list[float] = []
    busy, own, start = _busy_s(), time.process_time(), time.monotonic()
    yield share
    others = _busy_s() - busy - (time.process_time() - own)
    share.append(others / (time.monotonic() - start) / (psutil.cpu_count() or 1))


def _busy_s() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def seconds(step: Callable[[], Any]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
