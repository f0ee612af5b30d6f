"""Whether rows to measure with are among those that are learned from, where the two are versions of their own."""

from pydantic import BaseModel, ConfigDict, Field

from core.datasets.health.detector import MAX_ROWS_NAMED, Look
from core.datasets.health.near import NearDuplicates
from core.datasets.health.repetition import Repetition
from core.datasets.types import RowContent


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SharedRow(_Value):
    number: int = Field(description="Of the row to measure with.")
    training_number: int = Field(description="Of the first row that is learned from and says it too.")
    is_same: bool = Field(description="Word for word; else nearly.")


class Overlap(_Value):
    """How many of the rows to measure with are learned from too, and the first few of them."""

    num_measured: int = Field(description="All rows to measure with.")
    num_same: int = Field(description="Those that are learned from word for word.")
    num_nearly: int = Field(description="Those of which nearly the same is learned.")
    rows: list[SharedRow]

    @property
    def num_shared(self) -> int:
        return self.num_same + self.num_nearly


class OverlapCheck:
    """Feed every row of both, in whatever order, then ask what was `found`.

    Alike is what `NearDuplicates` calls so within one version. About 250 bytes a row.
    """

    def __init__(self) -> None:
        self._repetition = Repetition()
        self._near = NearDuplicates(self._repetition)
        self._learned: dict[bytes, int] = {}
        self._measured: list[tuple[int, bytes]] = []

    def learn(self, number: int, content: RowContent) -> None:
        _note_smallest(self._learned, self._observe(number, content), number)

    def measure(self, number: int, content: RowContent) -> None:
        self._measured.append((number, self._observe(number, content)))

    def found(self) -> Overlap:
        groups = self._near.groups
        taught: dict[bytes, int] = {}
        for digest, number in self._learned.items():
            if digest in groups:
                _note_smallest(taught, groups[digest], number)
        num_same = num_nearly = 0
        rows: list[SharedRow] = []
        for number, digest in self._measured:
            same = self._learned.get(digest)
            nearly = taught.get(groups[digest]) if digest in groups else None
            training_number = nearly if same is None else same
            if training_number is None:
                continue
            num_same += same is not None
            num_nearly += same is None
            if len(rows) < MAX_ROWS_NAMED:
                rows.append(SharedRow(number=number, training_number=training_number, is_same=same is not None))
        return Overlap(num_measured=len(self._measured), num_same=num_same, num_nearly=num_nearly, rows=rows)

    def _observe(self, number: int, content: RowContent) -> bytes:
        row = Look(number, content)
        # which is all that is asked of it here
        self._repetition.counts[row.digest] += 1
        self._near.observe(row)
        return row.digest


def _note_smallest(numbers: dict[bytes, int], key: bytes, number: int) -> None:
    numbers[key] = min(number, numbers.get(key, number))
