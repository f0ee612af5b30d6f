"""One run folder from `spec.json` to `adapter/`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from core.errors import Invalid
from core.kit.hashing import sha256_bytes
from core.training.methods import FullMethod
from core.training.recipes import micro_batch_tokens
from core.training.spec import RunInput
from worker.training import adapter_output, loading, parity, row_losses, sharding
from worker.training.adapter_output import Made
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
from worker.training.tokenizing import tokenize

# as many as OpenAI keeps; a whole model is too large to be kept several times
_NUM_KEPT_EPOCHS = 3


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
        identity = parity.identity_of(run.base_model_dir, ChatFormat.load(run.base_model_dir))
        with processes.in_turn():
            train, heldout = tokenize(folder, run, events)
        leave_if_asked()

        events.stage("loading_model")
        torch.manual_seed(run.seed)
        with loading.heard(events.alive):
            model, dtype = _prepare(run, processes, device=device)
        _refuse_unknown_tokens(model, train, heldout)
        leave_if_asked()

        task = Task(
            run=run,
            train=train,
            heldout=heldout,
            objective=objectives.build(run.objective),
            belongs_to=_belongs_to(run, train, dtype, kind),
            num_kept_epochs=0 if isinstance(run.method, FullMethod) else _NUM_KEPT_EPOCHS,
            parity_rows=() if isinstance(run.method, FullMethod) else parity.pick_rows(heldout),
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
            made = Made(model=model, run=run, identity=identity, compute_dtype=dtype, results=results)
            if run.keep_heldout_losses:
                row_losses.write(folder, loop.heldout_shares, heldout)
            # before the adapter: who finds that one takes the run for done
            adapter_output.write_epochs(folder / "epochs", made, loop.epochs)
            adapter_output.write(folder / "adapter", made, tensors)
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


def _refuse_unknown_tokens(model: TunableModel, *indexes: TokenIndex) -> None:
    """Raises Invalid for a base whose tokenizer has tokens that the model has not, where the data has such a token."""
    num_known = cast("nn.Embedding", model.decoder.embeddings).num_embeddings
    if any(int(index.token_ids.max()) >= num_known for index in indexes):
        raise Invalid(
            "This base model does not fit its tokenizer: it knows fewer tokens than your examples are made of. "
            "Choose another base model.",
            code="tokenizer_does_not_fit",
        )


def _belongs_to(run: RunInput, train: TokenIndex, dtype: torch.dtype, kind: str) -> str:
    """A checkpoint of another spec, other data or another precision must never be continued.

    In how many processes it was made is nobody's business: what learns is whole in each.
    """
    spec = run.training_spec().model_dump_json()
    return sha256_bytes(f"{spec}\n{token_index.fingerprint(train)}\n{dtype}\n{kind}".encode())
