"""One contestant on one piece of work: started as its users start it, watched from outside, and measured.

Ours is `python -m worker.training RUN_DIR`, in float32 where others compute in it; each peer is a script of
`bench/competitors` in its own environment.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from competitors.environments import ROOT, python_of
from train_rows import MAX_LENGTH, Row, float32_copy, write_rows

from core.training.methods import LoraMethod
from core.training.spec import RunInput
from worker.training.data.packing import epoch_order

BATCH_SIZE, RANK, ALPHA = 16, 16, 32
ROWS_PER_BATCH = 8  # what SFTTrainer and Trainer have by default; two of them are one step
NUM_THREADS = 2
PEERS = {
    "hf": ("hf", "run_hf.py"),
    "trl": ("trl", "run_trl.py"),
    "trl_packing": ("trl", "run_trl.py"),
    "llamafactory": ("llamafactory", "run_llamafactory.py"),
    "axolotl": ("axolotl", "run_axolotl.py"),
}
# These compute in the type that the weights are kept in, and have no setting for float32
_AS_THE_WEIGHTS_ARE = ("llamafactory", "axolotl")
_IN_FLOAT32 = str(ROOT / "bench" / "train_float32.py")
_LOOK_EVERY_S, _MEASURE_EVERY_S = 0.05, 0.5
_PATIENCE_S = 3600


@dataclass(frozen=True, slots=True)
class Work:
    """Rows in the order in which they are trained: the first `batch_size` are short ones to warm up with."""

    model_dir: Path
    rows: list[Row]
    heldout: list[Row]
    seed: int
    learning_rate: float
    is_to_the_end: bool = False
    """Train all rows and keep the adapter; else stop at `max_timed_s`."""
    max_timed_s: float = 600

    @property
    def num_steps(self) -> int:
        return -(-len(self.rows) // BATCH_SIZE)


@dataclass(slots=True)
class Watched:
    """What was seen of a process tree. Times are seconds since it was started."""

    started_at: float
    peak_rss_bytes: int = 0
    others_cpu_share: float = 0.0
    """Of all processors, what processes that are not the contestant's used meanwhile."""
    exit_code: int | None = None
    """None if it was ended because it had done enough."""
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)


def run_ours(work: Work, folder: Path, *, spec: RunInput | None = None) -> dict[str, Any]:
    """Through the trainer's own command; start-up, checkpoints and all that the product does are in the times.

    `spec` None is what all contestants share.
    """
    order = epoch_order(len(work.rows), seed=work.seed, epoch=0)
    in_file: list[Row] = [work.rows[0]] * len(work.rows)
    for turn, place in enumerate(order):
        in_file[place] = work.rows[turn]
    write_rows(folder / "train.jsonl", in_file)
    # the product never trains without held-out rows, peers do: one short row where nothing but speed is measured
    write_rows(folder / "heldout.jsonl", work.heldout if work.is_to_the_end else work.rows[:1])
    (folder / "spec.json").write_text((spec or _shared_spec(work)).model_dump_json())
    steps: list[float] = []

    def is_enough(at: float, event: dict[str, Any]) -> bool:
        if event["type"] == "metrics" and "train_loss" in event["data"]:
            steps.append(at)
        if work.is_to_the_end:
            return False
        return len(steps) == work.num_steps or (len(steps) > 1 and steps[-1] - steps[0] >= work.max_timed_s)

    # whoever shares a spec shares a precision; a recipe of ours is the product as it is
    argv = [sys.executable, *(("-m", "worker.training") if spec else (_IN_FLOAT32,)), str(folder)]
    seen = _watch(argv, folder, events=folder / "events.jsonl", is_enough=is_enough)
    losses = [e["data"]["train_loss"] for _, e in seen.events if e["type"] == "metrics" and "train_loss" in e["data"]]
    timed = work.rows[BATCH_SIZE : len(steps) * BATCH_SIZE]
    failed = seen.exit_code not in (0, None) or not steps
    return _found(
        seen,
        error=_last_words(folder, seen) if failed else None,
        ready_s=_first(seen, lambda e: e.get("stage") == "training"),
        first_step_s=steps[0] if steps else None,
        timed_s=steps[-1] - steps[0] if len(steps) > 1 else 0.0,
        num_trained=sum(row.num_trained for row in timed),
        num_computed=sum(row.num_tokens for row in timed),
        losses=losses,
    )


def _shared_spec(work: Work) -> RunInput:
    return RunInput(
        base_model=work.model_dir.name,
        base_model_dir=work.model_dir,
        method=LoraMethod(rank=RANK, alpha=ALPHA),
        num_epochs=1,
        learning_rate=work.learning_rate,
        batch_size=BATCH_SIZE,
        max_length_tokens=MAX_LENGTH,
        warmup_ratio=0,
        schedule="constant",
        seed=work.seed,
        num_threads=NUM_THREADS,
    )


def run_peer(name: str, work: Work, folder: Path, **extra: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of its job
    """`extra` are fields of `competitors.peer.Job` that differ from what all contestants share."""
    environment, script = PEERS[name]
    write_rows(folder / "train.jsonl", work.rows)
    is_packing = name == "trl_packing"
    model_dir = float32_copy(work.model_dir) if name in _AS_THE_WEIGHTS_ARE else work.model_dir
    num_packs = -(-sum(row.num_tokens for row in work.rows) // MAX_LENGTH)
    job = {
        "model_dir": str(model_dir),
        "train": str(folder / "train.jsonl"),
        "out": str(folder / "out"),
        "events": str(folder / "events.jsonl"),
        "seed": work.seed,
        "num_threads": NUM_THREADS,
        "max_length": MAX_LENGTH,
        "rank": RANK,
        "alpha": ALPHA,
        "learning_rate": work.learning_rate,
        "packing": is_packing,
        # packs hold several rows: as many of them as make as many steps as the others take
        "rows_per_batch": 1 if is_packing else ROWS_PER_BATCH,
        "accumulation": max(1, round(num_packs / work.num_steps)) if is_packing else BATCH_SIZE // ROWS_PER_BATCH,
        "num_warmup_batches": 1 if is_packing else BATCH_SIZE // ROWS_PER_BATCH,
        "max_timed_s": None if work.is_to_the_end else work.max_timed_s,
        "save": work.is_to_the_end,
    } | extra
    (folder / "out").mkdir()
    (folder / "job.json").write_text(json.dumps(job))
    argv = [str(python_of(environment)), str(ROOT / "bench" / "competitors" / script), str(folder / "job.json")]
    seen = _watch(argv, folder, events=folder / "events.jsonl", is_enough=lambda *_: False)
    batches = [(at, event) for at, event in seen.events if event["event"] == "batch"]
    num_warmup = int(job["num_warmup_batches"])
    timed = batches[num_warmup:]
    return _found(
        seen,
        error=_last_words(folder, seen) if seen.exit_code or not batches else None,
        ready_s=_first(seen, lambda e: e["event"] == "ready"),
        first_step_s=_first(seen, lambda e: e["event"] == "step"),
        timed_s=timed[-1][0] - batches[num_warmup - 1][0] if timed else 0.0,
        num_trained=sum(event["num_trained"] for _, event in timed),
        num_computed=sum(event["num_computed"] for _, event in timed),
        losses=[event["loss"] for _, event in seen.events if event["event"] == "loss"],
    )


def _found(
    seen: Watched,
    *,
    error: str | None,
    ready_s: float | None,
    first_step_s: float | None,
    timed_s: float,
    num_trained: int,
    num_computed: int,
    losses: list[float],
) -> dict[str, Any]:
    """A cell's figures; `computed_per_trained` counts padding and prompts as well as what is learned."""
    return {
        "useful_tokens_per_s": num_trained / timed_s if timed_s else None,
        "computed_tokens_per_s": num_computed / timed_s if timed_s else None,
        "computed_per_trained": num_computed / num_trained if num_trained else None,
        "num_trained": num_trained,
        "timed_s": timed_s,
        "ready_s": ready_s,
        "first_step_s": first_step_s,
        "peak_rss_bytes": seen.peak_rss_bytes,
        "others_cpu_share": round(seen.others_cpu_share, 3),
        "losses": losses,
        "error": error,
    }


def _first(seen: Watched, is_it: Callable[[dict[str, Any]], bool]) -> float | None:
    return next((at for at, event in seen.events if is_it(event)), None)


def _watch(
    argv: list[str], folder: Path, *, events: Path, is_enough: Callable[[float, dict[str, Any]], bool]
) -> Watched:
    """Runs `argv` and reads its events as they come; ends it when `is_enough` of them say so."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": str(NUM_THREADS), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "1"}
    busy_before, own_before = _busy_s(), _own_s()
    seen, is_ended = Watched(started_at=time.time()), False
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
        with _measured(process, seen) as used_s:
            for event in _follow(events, process):
                at = (event.get("at") or time.time()) - seen.started_at
                seen.events.append((at, event))
                is_ended = is_enough(at, event)
                if is_ended:
                    _end(process)
                    break
            seen.exit_code = process.wait(_PATIENCE_S)
    took = time.time() - seen.started_at
    others_s = _busy_s() - busy_before - used_s[0] - (_own_s() - own_before)
    seen.others_cpu_share = max(0.0, others_s / (took * (os.cpu_count() or 1)))
    if is_ended:
        seen.exit_code = None
    return seen


def _follow(path: Path, process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Whole lines of a file that is being written, until its writer has ended."""
    place, rest = 0, b""
    while True:
        is_over = process.poll() is not None
        if path.exists():
            with path.open("rb") as stream:
                stream.seek(place)
                found = stream.read()
            place += len(found)
            *lines, rest = (rest + found).split(b"\n")
            yield from (json.loads(line) for line in lines if line)
        if is_over:
            return
        time.sleep(_LOOK_EVERY_S)


@contextmanager
def _measured(process: subprocess.Popen[bytes], seen: Watched) -> Iterator[list[float]]:
    """Peak of the tree's resident memory; in the list's only place, the processor seconds that it used."""
    over, used_s = threading.Event(), [0.0]

    def measure() -> None:
        root = psutil.Process(process.pid)
        while not over.wait(_MEASURE_EVERY_S):
            with contextlib.suppress(psutil.Error):
                tree = [root, *root.children(recursive=True)]
                now = sum(part.memory_info().rss for part in tree)
                seen.peak_rss_bytes = max(seen.peak_rss_bytes, now, _peak_rss_bytes(process.pid))
                times = root.cpu_times()
                alive_s = sum(sum(part.cpu_times()[:2]) for part in tree[1:])
                used_s[0] = times.user + times.system + times.children_user + times.children_system + alive_s

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    try:
        yield used_s
    finally:
        over.set()
        thread.join()


def _peak_rss_bytes(pid: int) -> int:
    """What the kernel remembers of one process, so that no peak falls between two looks; 0 where it does not."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice)


def _own_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()


def _last_words(folder: Path, seen: Watched) -> str:
    lines = [line for line in (folder / "log").read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join([*lines[-6:], f"exit code {seen.exit_code}"])


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
