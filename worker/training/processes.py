"""The processes that share each optimizer step. One process is the usual case, and does nothing here.

What learns is held whole by every process and is small (an adapter); each works on its share of a step's micro-batches,
and gradients are added. The loss of a micro-batch is divided by the totals of the whole step, so sums are all that is
needed, and the number of processes does not change what is learned, but for rounding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn


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

    def share_of(self, bins: Sequence[Sequence[int]]) -> list[Share]:
        """The bins of examples that this process works on: equally many in each process."""

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every process has the sum of all gradients afterwards, to the bit the same in each."""

    def sum_values(self, values: dict[str, float]) -> dict[str, float]: ...

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - as the built-in
        """Whether the flag is set in at least one process: all act on the same answer."""

    def barrier(self) -> None: ...


class OneProcess:
    rank, num = 0, 1

    def share_of(self, bins: Sequence[Sequence[int]]) -> list[Share]:
        return [Share(places) for places in bins]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        pass

    def sum_values(self, values: dict[str, float]) -> dict[str, float]:
        return values

    def any(self, flag: bool) -> bool:  # noqa: FBT001
        return flag

    def barrier(self) -> None:
        pass
