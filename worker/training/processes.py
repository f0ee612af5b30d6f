"""The processes that share each optimizer step. One process is the usual case, and does nothing here.

What learns is held whole by every process and is small (an adapter); each works on its share of a step's micro-batches,
and gradients are added. The loss of a micro-batch is divided by the totals of the whole step, so sums are all that is
needed, and the number of processes does not change what is learned, but for rounding and for the dropout drawn.

Whatever decides what is done next (to stop, to end early, to refuse a loss) is a value that all have agreed on. Only
the first process writes. Why this is not torch's DistributedDataParallel: docs/adr/0012.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from worker.training.data.packing import pack, pack_evenly
from worker.training.several import Place

# Nobody waits for ever: a process that ends takes the others with it (`several.py`), and one that hangs is ended by the
# supervisor's watchdog. A limit here would have to be longer than tokenizing takes, which the first does alone.
_LIMIT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Share:
    """Examples of one micro-batch. One that does not count only keeps this process in step with the others."""

    places: Sequence[int]
    counts: bool = True


class Processes(Protocol):
    @property
    def rank(self) -> int: ...

    @property
    def num(self) -> int: ...

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""

    def shares(self, lengths: Sequence[int], *, capacity: int) -> list[Share]:
        """The micro-batches of examples of these lengths that this process works on: equally many in each process."""

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every process has the sum of all gradients afterwards, to the bit the same in each."""

    def sum_values(self, values: dict[str, float]) -> dict[str, float]: ...

    def highest(self, value: int) -> int: ...

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - as the built-in
        """Whether the flag is set in at least one process: all act on the same answer."""

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """All have the first's values afterwards."""

    def in_turn(self) -> AbstractContextManager[None]:
        """The first is through with the block before the others begin with it."""


class OneProcess:
    rank, num, is_first = 0, 1, True

    def shares(self, lengths: Sequence[int], *, capacity: int) -> list[Share]:
        return [Share(places) for places in pack(lengths, capacity=capacity)]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        pass

    def sum_values(self, values: dict[str, float]) -> dict[str, float]:
        return values

    def highest(self, value: int) -> int:
        return value

    def any(self, flag: bool) -> bool:  # noqa: FBT001
        return flag

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        pass

    def in_turn(self) -> AbstractContextManager[None]:
        return nullcontext()


class SeveralProcesses:
    """Processes of one machine: gloo adds what lies on the processor, nccl what lies on cards.

    A collective in which a process is missing raises RuntimeError in the others, or waits until they are ended.
    """

    def __init__(self, rank: int, num: int) -> None:
        self.rank, self.num = rank, num

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def shares(self, lengths: Sequence[int], *, capacity: int) -> list[Share]:
        """Fullest first and dealt there and back, so that shares are alike in each round and over all of them."""
        bins = [Share(places) for places in pack_evenly(lengths, capacity=capacity, num_shares=self.num)]
        if bins:
            # the smallest is done once more where there is none left
            bins += [Share(bins[-1].places, counts=False)] * (-len(bins) % self.num)
        rounds = [bins[begin : begin + self.num] for begin in range(0, len(bins), self.num)]
        return [row[self.rank] if number % 2 == 0 else row[-1 - self.rank] for number, row in enumerate(rounds)]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """One sum over all of them end to end, in float32: a hundred small ones would be a hundred times the latency.

        The same parameters have a gradient in each process, because each had a micro-batch.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [one.numel() for one in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def sum_values(self, values: dict[str, float]) -> dict[str, float]:
        names = sorted(values)
        sums = torch.tensor([values[name] for name in names], dtype=torch.float64)
        dist.all_reduce(sums)
        return dict(zip(names, sums.tolist(), strict=True))

    def highest(self, value: int) -> int:
        found = torch.tensor(value, dtype=torch.int64)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    def any(self, flag: bool) -> bool:  # noqa: FBT001
        return self.highest(int(flag)) == 1

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        if not self.is_first:
            self.highest(0)
        yield
        if self.is_first:
            self.highest(0)


@contextmanager
def joined(place: Place, *, device: str) -> Iterator[Processes]:
    """The processes of the run, once all of them are there. `device` is this one's own, as torch names it."""
    if place.meeting is None:
        yield OneProcess()
        return
    is_card = device.startswith("cuda")
    if is_card:
        torch.cuda.set_device(device)
    # a file, for it needs no port that others could take, or call
    store = dist.FileStore(str(place.meeting / "store"), place.num)  # type: ignore[attr-defined]
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if is_card else "gloo",
        store=store,
        rank=place.rank,
        world_size=place.num,
        timeout=_LIMIT,
        device_id=torch.device(device) if is_card else None,
    )
    yield SeveralProcesses(place.rank, place.num)
    # not after a failure: it would wait for processes that are gone
    dist.destroy_process_group()
