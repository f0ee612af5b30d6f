"""A frozen base spread over the cards of a machine, where it fits on none of them whole.

Each card keeps one part of every decoder layer's weights; a layer is put together when it is computed, forwards and
backwards, and taken apart again (FSDP2: torch's `fully_shard`; Zhao et al. 2023, Rajbhandari et al. 2020 stage 3). Per
card: layers / N + one or two whole layers + all that is not a layer. The numbers are the same to the bit.

What learns stays whole everywhere, with the optimizer and the checkpoints as they are without it. So do the embeddings
and the head: the loss reads the head's weight by itself, outside any module, and is a part in seventy of a 70B.
4-bit weights are spread as the bytes they are; their scales (0.127 of 4.127 bits) stay with their layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bitsandbytes
import torch
import torch.distributed as dist
from bitsandbytes.nn import Linear4bit
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from core.errors import Invalid
from core.training.methods import FullMethod, Method, PissaMethod
from worker.training.methods.model import TunableModel


def refuse_unless_possible(method: Method) -> None:
    """Raises Invalid for methods that change the base, which here lies in parts."""
    if isinstance(method, FullMethod | PissaMethod):
        raise Invalid(
            f"The base cannot be spread over several GPUs with {method.type}, which changes it. "
            "Choose lora or qlora, or a smaller base model.",
            code="sharding_refused",
        )


@contextmanager
def quantizing_on(device: str) -> Iterator[None]:
    """Within it, weights on the processor that are put into 4 bits visit `device` for that.

    To the bit those of a base that is loaded there whole, and minutes instead of hours: a processor does some ten
    million weights a second.
    """
    real = bitsandbytes.functional.quantize_4bit

    def quantize(weight: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - as there
        packed, state = real(weight.to(device), *args, **options)
        state.to(weight.device)
        return packed.to(weight.device), state

    bitsandbytes.functional.quantize_4bit = quantize
    try:
        yield
    finally:
        bitsandbytes.functional.quantize_4bit = real


def spread(model: TunableModel, *, device: str) -> None:
    """Moves a model that was prepared on the processor to this process's device, of the base this process's part only.

    A layer at a time, so that no card ever holds more than its part and one layer. All processes must call it, and run
    the model equally often from then on.
    """
    base: Any = model.decoder.model
    decoder = base.get_decoder()
    mesh = init_device_mesh(torch.device(device).type, (dist.get_world_size(),))
    learned = set(model.trainable().values())
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=learned)
    parted = {own for layer in decoder.layers for own in layer.parameters()} - learned
    whole = learned | (set(base.parameters()) - parted)
    # it has no weights of its own then, but knows the layers' order: the next is fetched while one is computed
    fully_shard(decoder, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    for parameter in whole:
        parameter.data = parameter.data.to(device)
    for module in decoder.modules():
        if isinstance(module, Linear4bit) and module.quant_state is not None:
            module.quant_state.to(torch.device(device))
