"""Rows that say nearly the same, and whether they stand on both sides of the split.

Each distinct row has 64 MinHash values of all its runs of six bytes, case and blanks aside. Rows that share one of 16
bands of four values are compared; those of which at least four fifths of the values agree, and which hold the same
digits, are near duplicates. 128 bytes a row, so that a million rows take a few hundred megabytes.
"""

import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.health.repetition import Repetition
from core.datasets.types import Fix, Problem, Severity

NEAR_DUPLICATE = Rule(
    code="near_duplicate",
    severity=Severity.WARNING,
    one="1 example says nearly the same as an earlier one.",
    many="{count} examples say nearly the same as an earlier one.",
    cause="The row says nearly the same as an earlier one.",
    advice="Keep the better of them, unless the small difference is what the model is to learn.",
    fixes=(Fix.LEAVE_OUT,),
)
LEAKAGE = Rule(
    code="leakage",
    severity=Severity.WARNING,
    one="1 example that is held back says nearly what another teaches: the result will look too good.",
    many="{count} examples that are held back say nearly what others teach: the result will look too good.",
    cause="It is held back to measure with, and nearly the same is learned.",
    advice="Leave it out, or bring examples that differ more.",
    fixes=(Fix.LEAVE_OUT,),
)
_NUM_VALUES, _VALUES_PER_BAND, _SEED = 64, 4, 42
_ALIKE = 0.8
_RUN_BYTES = 6
_RUN_MASK = np.uint64(2 ** (8 * _RUN_BYTES) - 1)
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
_PAD = b"\0" * 8
# less is too little to tell, more is not needed to
_MIN_CHARS, _MAX_CHARS = 20, 4000
_ROWS_PER_BATCH = 2000
_MIN_ROWS_FOR_A_TEMPLATE = 10
_PAIRS_PER_CHUNK = 100_000
# a larger group is one template with other contents, not one thing said again
_MAX_GROUP, _MAX_GROUP_SHARE = 50, 0.01
_NOT_DIGITS: Final = bytes(byte for byte in range(256) if byte not in b"0123456789")


class NearDuplicates(Detector):
    rules = (NEAR_DUPLICATE, LEAKAGE)

    def __init__(self, repetition: Repetition) -> None:
        """`repetition` must have observed a row before this does: of equal rows only the first is looked at."""
        self._repetition = repetition
        self._batch: list[str] = []
        self._template: tuple[str, str] | None = None
        self._digests: list[bytes] = []
        self._numbers = array("Q")
        self._digits = array("L")
        self._values: list[NDArray[np.uint16]] = []
        self._groups: dict[bytes, bytes] | None = None
        self._first_rows: dict[bytes, int] = {}
        self._leaking: AbstractSet[bytes] = frozenset()

    def observe(self, row: Look) -> None:
        if self._repetition.counts[row.digest] > 1:
            return
        text = " ".join(_said(row).casefold().split())
        if len(text) < _MIN_CHARS:
            return
        self._batch.append(text)
        self._digests.append(row.digest)
        self._numbers.append(row.number)
        if len(self._batch) >= _ROWS_PER_BATCH:
            self._hash_batch()

    @property
    def groups(self) -> Mapping[bytes, bytes]:
        """Of each row that is nearly said elsewhere, by its digest, the smallest digest of its group."""
        if self._groups is None:
            self._hash_batch()
            self._groups = self._found_groups()
        return self._groups

    def note_split(self, heldout: AbstractSet[bytes]) -> None:
        """`heldout` are the digests that are held out."""
        learned = {group for digest, group in self.groups.items() if digest not in heldout}
        self._leaking = {digest for digest, group in self.groups.items() if digest in heldout and group in learned}

    def problems(self, row: Look) -> Iterable[Problem]:
        group = self.groups.get(row.digest)
        if group is None:
            return
        if row.digest in self._leaking:
            yield LEAKAGE.problem(row.number)
        first_row = self._first_rows[group]
        if first_row < row.number and self._repetition.first_rows[row.digest] == row.number:
            yield NEAR_DUPLICATE.problem(row.number, f"The row says nearly the same as row {first_row:,}.")

    def _hash_batch(self) -> None:
        if not self._batch:
            return
        if self._template is None:
            self._template = _template_of(self._batch)
        data = [_without(text, self._template).encode(errors="replace")[:_MAX_CHARS] for text in self._batch]
        self._digits.extend(zlib.crc32(text.translate(None, _NOT_DIGITS)) for text in data)
        self._values.append(_min_hashes(data))
        self._batch = []

    def _found_groups(self) -> dict[bytes, bytes]:
        if not self._values:
            return {}
        # in the order of their digests, so that the order of the file decides nothing
        order = np.array(sorted(range(len(self._digests)), key=self._digests.__getitem__), dtype=np.int64)
        values = np.concatenate(self._values)[order]
        self._values = []
        digits = np.array(self._digits)[order]
        members: dict[int, list[int]] = {}
        for one, other in _alike_groups(values, digits):
            members.setdefault(other, [other]).append(one)
        largest = max(_MAX_GROUP, int(len(order) * _MAX_GROUP_SHARE))
        groups: dict[bytes, bytes] = {}
        for root, places in members.items():
            if len(places) > largest:
                continue
            found = [int(order[place]) for place in places]
            group = self._digests[int(order[root])]
            groups |= dict.fromkeys((self._digests[index] for index in found), group)
            self._first_rows[group] = min(self._numbers[index] for index in found)
        return groups


def _said(row: Look) -> str:
    """All but the instructions, which every row has alike."""
    if row.content.text is not None:
        return row.content.text[:_MAX_CHARS]
    return "\n".join(
        message["content"][:_MAX_CHARS]
        for message in row.content.all_messages()
        if message["role"] != "system" and message["content"]
    )


def _template_of(texts: list[str]) -> tuple[str, str]:
    """How all the first rows begin and end: an instruction before each question is no likeness."""
    if len(texts) < _MIN_ROWS_FOR_A_TEMPLATE:
        return "", ""
    return _common_beginning(texts), _common_beginning([text[::-1] for text in texts])[::-1]


def _common_beginning(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    num_alike = next((index for index, char in enumerate(first) if last[index : index + 1] != char), len(first))
    return first[:num_alike]


def _without(text: str, template: tuple[str, str]) -> str:
    return text.removeprefix(template[0]).removesuffix(template[1])


def _min_hashes(texts: list[bytes]) -> NDArray[np.uint16]:
    """64 values of each text."""
    data = b"".join(text + _PAD for text in texts)
    runs = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,)) & _RUN_MASK
    for multiplier in _MULTIPLIERS:
        runs *= multiplier
        runs ^= runs >> np.uint64(31)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    counts = np.maximum(lengths - _RUN_BYTES + 1, 1)
    starts = np.concatenate(([0], np.cumsum(lengths + len(_PAD))))[:-1]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    # the runs that lie in one text: those of its start and as many after it as it has
    places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
    found = RMinHash.digest_matrix_from_flat_token_hashes(runs[places], offsets.astype(np.uint64), _NUM_VALUES, _SEED)
    # the lower half tells two values apart well enough, and halves what a million rows take
    return np.array(found.to_rows(), dtype=np.uint32).astype(np.uint16)


def _alike_groups(values: NDArray[np.uint16], digits: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """(place, place of the first of its group) of every row that is in a group and not its first."""
    parents = np.arange(len(values))
    bands = np.ascontiguousarray(values).view(np.uint64)
    for band in range(_NUM_VALUES // _VALUES_PER_BAND):
        keys = bands[:, band]
        order = np.argsort(keys, kind="stable")
        begins = np.concatenate(([True], keys[order][1:] != keys[order][:-1]))
        firsts = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
        for others in (np.concatenate((order[:1], order[:-1])), firsts):
            ones = order[~begins]
            _unite(parents, _alike(values, digits, ones, others[~begins]))
    for place in np.flatnonzero(parents != np.arange(len(parents))):
        yield int(place), _root(parents, int(place))


def _alike(
    values: NDArray[np.uint16], digits: NDArray[np.uint64], ones: NDArray[np.int64], others: NDArray[np.int64]
) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start in range(0, len(ones), _PAIRS_PER_CHUNK):
        one, other = ones[start : start + _PAIRS_PER_CHUNK], others[start : start + _PAIRS_PER_CHUNK]
        is_alike = (values[one] == values[other]).mean(axis=1) >= _ALIKE
        is_alike &= (digits[one] == digits[other]) & (one != other)
        found += zip(one[is_alike].tolist(), other[is_alike].tolist(), strict=True)
    return found


def _unite(parents: NDArray[np.int64], pairs: list[tuple[int, int]]) -> None:
    for one, other in pairs:
        first, second = sorted((_root(parents, one), _root(parents, other)))
        parents[second] = first


def _root(parents: NDArray[np.int64], place: int) -> int:
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = int(parents[place])
    return place
