"""Rows as tokens in three flat, memory-mapped arrays, written once into the run folder and never changed.

Row i is `token_ids[offsets[i]:offsets[i + 1]]`. A resumed run maps the same files and cannot see other data.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import Invalid
from core.kit.hashing import sha256_bytes
from worker.training.data.chat_format import ChatFormat


@dataclass(frozen=True, slots=True)
class TokenIndex:
    token_ids: NDArray[np.uint32]
    is_trained: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    num_cut_rows: int
    num_dropped_rows: int

    @property
    def num_rows(self) -> int:
        return len(self.offsets) - 1

    def length(self, row: int) -> int:
        return int(self.offsets[row + 1] - self.offsets[row])

    def tokens(self, row: int) -> NDArray[np.uint32]:
        return self.token_ids[self.offsets[row] : self.offsets[row + 1]]

    def trained(self, row: int) -> NDArray[np.bool_]:
        return self.is_trained[self.offsets[row] : self.offsets[row + 1]]


def build(
    rows_path: Path,
    folder: Path,
    *,
    chat_format: ChatFormat,
    max_length: int,
    max_rows: int | None = None,
    on_row: Callable[[], None] = lambda: None,
) -> TokenIndex:
    """The index of a `.jsonl` of rows, made on the first call and mapped on every later one.

    `on_row` is called as each row is done.
    A row that has no trained token left after cutting teaches nothing and is dropped. Raises Invalid for a row that
    the chat format refuses.
    """
    if not (folder / "index.json").exists():
        rows = _tokenized(rows_path, chat_format=chat_format, max_length=max_length, max_rows=max_rows)
        _write(folder, rows, on_row)
    counts: dict[str, int] = json.loads((folder / "index.json").read_text())
    return TokenIndex(
        token_ids=np.load(folder / "token_ids.npy", mmap_mode="r"),
        is_trained=np.load(folder / "is_trained.npy", mmap_mode="r"),
        offsets=np.load(folder / "offsets.npy", mmap_mode="r"),
        num_cut_rows=counts["num_cut_rows"],
        num_dropped_rows=counts["num_dropped_rows"],
    )


def fingerprint(index: TokenIndex) -> str:
    """Equal for equal tokens, masks and row bounds; a checkpoint is bound to it."""
    return sha256_bytes(index.token_ids.tobytes() + index.is_trained.tobytes() + index.offsets.tobytes())


def _read(rows_path: Path, max_rows: int | None) -> Iterator[dict[str, Any]]:
    with rows_path.open(encoding="utf-8") as lines:
        for position, line in enumerate(lines):
            if max_rows is not None and position >= max_rows:
                return
            yield json.loads(line)


def _tokenized(
    rows_path: Path, *, chat_format: ChatFormat, max_length: int, max_rows: int | None
) -> Iterable[tuple[list[int], list[bool], int]]:
    for row in _read(rows_path, max_rows):
        try:
            chat = chat_format.tokenize(row["messages"], max_length=max_length)
        except Invalid as problem:
            raise Invalid(
                f"Row {row.get('number')}: {problem.message}",
                code=problem.error_code,
                details={"row": row.get("number")},
            ) from problem
        yield chat.token_ids, chat.is_trained, chat.num_cut


def _write(folder: Path, rows: Iterable[tuple[list[int], list[bool], int]], on_row: Callable[[], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    token_ids: list[int] = []
    is_trained: list[bool] = []
    offsets = [0]
    num_cut_rows = num_dropped_rows = 0
    for ids, trained, num_cut in rows:
        on_row()
        num_cut_rows += num_cut > 0
        # position 0 predicts nothing: its token is never a target
        if not any(trained[1:]):
            num_dropped_rows += 1
            continue
        token_ids.extend(ids)
        is_trained.extend(trained)
        offsets.append(len(token_ids))
    np.save(folder / "token_ids.npy", np.asarray(token_ids, dtype=np.uint32), allow_pickle=False)
    np.save(folder / "is_trained.npy", np.asarray(is_trained, dtype=np.bool_), allow_pickle=False)
    np.save(folder / "offsets.npy", np.asarray(offsets, dtype=np.int64), allow_pickle=False)
    counts = {"num_cut_rows": num_cut_rows, "num_dropped_rows": num_dropped_rows}
    (folder / "index.json").write_text(json.dumps(counts))  # last: its presence says the arrays are whole
