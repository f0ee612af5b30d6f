"""One run folder from `spec.json` to `adapter/`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from core.errors import Invalid
from core.kit.hashing import sha256_bytes
from core.training.objectives import row_kind_of
from core.training.recipes import micro_batch_tokens
from core.training.spec import RunInput
from worker.training import adapter_output, loading, sharding
from worker.training.data import token_index
from worker.training.data.chat_format import ChatFormat
from worker.training.data.token_index import TokenIndex
from worker.training.events import EventWriter
from worker.training.failures import Interrupted
from worker.training.loop import Loop, Task
from worker.training.methods import registry as methods
from worker.training.methods.model import Machine, TunableModel
from worker.training.objectives import registry as objectives
from worker.training.precision import compute_dtype
from worker.training.processes import Processes, joined
from worker.training.several import ALONE, Place

_ROWS_PER_MESSAGE = 20_000


def execute(folder: Path, *, events: EventWriter, stop_requested: Callable[[], bool], place: Place = ALONE) -> None:
    """Does the whole run, or this process's part in it.

    Raises Interrupted, Invalid (the user's data), NonFiniteLoss, or whatever broke.
    """
    run = RunInput.model_validate_json((folder / "spec.json").read_text())
    torch.set_num_threads(max(1, run.num_threads // place.num))
    kind: Literal["cuda", "cpu"] = "cuda" if torch.cuda.is_available() else "cpu"
    device = kind if place.num == 1 or kind == "cpu" else f"cuda:{place.rank}"
    with joined(place, device=device) as processes:

        def leave_if_asked() -> None:
            if processes.any(stop_requested()):
                raise Interrupted

        events.stage("tokenizing")
        template_sha256 = ChatFormat.load(run.base_model_dir).template_sha256
        with processes.in_turn():
            train, heldout = _tokenize(folder, run, events)
        leave_if_asked()

        events.stage("loading_model")
        torch.manual_seed(run.seed)
        with loading.heard(events.alive):
            model, dtype = _prepare(run, processes, device=device)
        leave_if_asked()

        task = Task(
            run=run,
            train=train,
            heldout=heldout,
            objective=objectives.build(run.objective),
            belongs_to=_belongs_to(run, train, dtype, kind),
        )
        loop = Loop(
            task,
            model,
            checkpoints=folder / "checkpoints",
            micro_batch_tokens=(run.execution.micro_batch_tokens or micro_batch_tokens(kind))
            // run.micro_batch_divisor,
            processes=processes,
            events=events,
            stop_requested=stop_requested,
        )
        tensors, results = loop.run()
        if processes.is_first:
            events.stage("saving")
            adapter_output.write(
                folder / "adapter",
                model=model,
                tensors=tensors,
                run=run,
                template_sha256=template_sha256,
                compute_dtype=dtype,
                results=results,
            )
            events.result(results)


def _prepare(run: RunInput, processes: Processes, *, device: str) -> tuple[TunableModel, torch.dtype]:
    plan = run.execution
    is_spread = plan.sharding == "full" and processes.num > 1
    dtype = compute_dtype(device)
    machine = Machine("cpu" if is_spread else device, dtype, plan.gradient_checkpointing, plan.compile)
    if not is_spread:
        model = methods.prepare(run.method, run.base_model_dir, machine=machine)
    else:
        sharding.refuse_unless_possible(run.method)
        with sharding.quantizing_on(device):
            model = methods.prepare(run.method, run.base_model_dir, machine=machine)
        sharding.spread(model, device=device)
    processes.copy_from_first(model.trainable().values())
    return model, dtype


def _tokenize(folder: Path, run: RunInput, events: EventWriter) -> tuple[TokenIndex, TokenIndex]:
    kind = row_kind_of(run.objective)
    said = 0

    def on_progress(num_rows: int) -> None:
        nonlocal said
        events.alive()
        if num_rows >= said + _ROWS_PER_MESSAGE:
            said = num_rows
            events.message(f"{num_rows:,} examples are read.")

    def build(name: str, max_rows: int | None = None) -> TokenIndex:
        return token_index.build(
            folder / f"{name}.jsonl",
            folder / "index" / name,
            kind=kind,
            model_dir=run.base_model_dir,
            max_length=run.max_length_tokens,
            max_rows=max_rows,
            num_workers=run.num_threads,
            on_progress=on_progress,
        )

    train, heldout = build("train"), build("heldout", run.max_heldout_rows)
    for index, name in ((train, "training"), (heldout, "held-out")):
        if index.num_examples == 0:
            raise Invalid(
                f"No {name} example has an answer within {run.max_length_tokens} tokens. "
                "Shorten the questions, or allow longer examples.",
                code="no_usable_rows",
                details={"num_dropped": index.num_dropped_rows, "max_length_tokens": run.max_length_tokens},
            )
    if train.num_cut_rows:
        events.message(
            f"{train.num_cut_rows} examples are longer than {run.max_length_tokens} tokens and lost their end; "
            f"{train.num_dropped_rows} of them lost their whole answer and are left out.",
            level="warn",
            data={"num_cut": train.num_cut_rows, "num_dropped": train.num_dropped_rows},
        )
    return train, heldout


def _belongs_to(run: RunInput, train: TokenIndex, dtype: torch.dtype, kind: str) -> str:
    """A checkpoint of another spec, other data or another precision must never be continued.

    In how many processes it was made is nobody's business: what learns is whole in each.
    """
    spec = run.training_spec().model_dump_json()
    return sha256_bytes(f"{spec}\n{token_index.fingerprint(train)}\n{dtype}\n{kind}".encode())
