"""One run folder from `spec.json` to `adapter/`."""

from collections.abc import Callable
from pathlib import Path

import torch

from core.errors import Invalid
from core.kit.hashing import sha256_bytes
from core.training.recipes import micro_batch_tokens
from core.training.spec import RunInput
from worker.training import adapter_output, loading
from worker.training.data import token_index
from worker.training.data.chat_format import ChatFormat
from worker.training.data.token_index import TokenIndex
from worker.training.events import EventWriter
from worker.training.failures import Interrupted
from worker.training.loop import Loop
from worker.training.methods import registry
from worker.training.precision import compute_dtype


def execute(folder: Path, *, events: EventWriter, stop_requested: Callable[[], bool]) -> None:
    """Does the whole run. Raises Interrupted, Invalid (the user's data), NonFiniteLoss, or whatever broke."""
    run = RunInput.model_validate_json((folder / "spec.json").read_text())
    torch.set_num_threads(run.num_threads)
    events.stage("tokenizing")
    chat_format = ChatFormat.load(run.base_model_dir)
    train, heldout = _tokenize(folder, run, chat_format, events)
    _stop_here_if(stop_requested)

    events.stage("loading_model")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = compute_dtype(device)
    torch.manual_seed(run.seed)
    with loading.heard(events.alive):
        model = registry.prepare(run.method, run.base_model_dir, compute_dtype=dtype, device=device)
    _stop_here_if(stop_requested)

    loop = Loop(
        run,
        model,
        train=train,
        heldout=heldout,
        checkpoints=folder / "checkpoints",
        belongs_to=_belongs_to(run, train, dtype, device),
        micro_batch_tokens=micro_batch_tokens("cuda" if device == "cuda" else "cpu") // run.micro_batch_divisor,
        events=events,
        stop_requested=stop_requested,
    )
    tensors, results = loop.run()
    events.stage("saving")
    adapter_output.write(
        folder / "adapter",
        model=model,
        tensors=tensors,
        run=run,
        template_sha256=chat_format.template_sha256,
        compute_dtype=dtype,
        results=results,
    )
    events.result(results)


def _tokenize(
    folder: Path, run: RunInput, chat_format: ChatFormat, events: EventWriter
) -> tuple[TokenIndex, TokenIndex]:
    train = token_index.build(
        folder / "train.jsonl",
        folder / "index" / "train",
        chat_format=chat_format,
        max_length=run.max_length_tokens,
        on_row=events.alive,
    )
    heldout = token_index.build(
        folder / "heldout.jsonl",
        folder / "index" / "heldout",
        chat_format=chat_format,
        max_length=run.max_length_tokens,
        max_rows=run.max_heldout_rows,
        on_row=events.alive,
    )
    for index, name in ((train, "training"), (heldout, "held-out")):
        if index.num_rows == 0:
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


def _belongs_to(run: RunInput, train: TokenIndex, dtype: torch.dtype, device: str) -> str:
    """A checkpoint of another spec, other data or another precision must never be continued."""
    spec = run.training_spec().model_dump_json()
    return sha256_bytes(f"{spec}\n{token_index.fingerprint(train)}\n{dtype}\n{device}".encode())


def _stop_here_if(stop_requested: Callable[[], bool]) -> None:
    if stop_requested():
        raise Interrupted
