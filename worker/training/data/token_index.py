"""Examples as tokens in flat, memory-mapped arrays, written once into the run folder and never changed.

Sequence i is `token_ids[offsets[i]:offsets[i + 1]]`. An example is one sequence, or two for a preference: the
answer that was preferred, then the other. A resumed run maps the same files and cannot see other data.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.datasets.types import RowKind
from worker import launch
from worker.training.data.chat_format import ChatFormat
from worker.training.data.encoding import SEQUENCES_PER_EXAMPLE, Encoded, Refusal, encode_lines

# whichever comes first: a second or two of work, and some hundred MB of a process's memory while it lasts
_ROWS_PER_CHUNK, _CHARS_PER_CHUNK = 1000, 2**21
# starting a process and reading the tokenizer in it takes as long as encoding this much
_MIN_CHUNKS_FOR_WORKERS = 4
_DESCRIPTION = "index.json"
_FORMAT = 2  # an index that another version of this program left is made anew


@dataclass(frozen=True, slots=True)
class TokenIndex:
    token_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]
    """Of each token's prediction in the loss; 0 is not trained, as is the first of every sequence."""
    offsets: NDArray[np.int64]
    sequences_per_example: int
    num_rows: int
    """Read, whatever became of them."""
    num_cut_rows: int
    num_dropped_rows: int
    """Left out because nothing in them is trained within the longest allowed length."""
    num_refused_rows: int
    """Left out because the chat format cannot write them."""
    first_refusal: Refusal | None

    @property
    def num_sequences(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_examples(self) -> int:
        return self.num_sequences // self.sequences_per_example

    def sequences(self, example: int) -> range:
        first = example * self.sequences_per_example
        return range(first, first + self.sequences_per_example)

    def length(self, example: int) -> int:
        """Tokens of all the example's sequences."""
        first = example * self.sequences_per_example
        return int(self.offsets[first + self.sequences_per_example] - self.offsets[first])

    def tokens(self, sequence: int) -> NDArray[np.uint32]:
        return self.token_ids[self.offsets[sequence] : self.offsets[sequence + 1]]

    def sequence_weights(self, sequence: int) -> NDArray[np.float32]:
        return self.weights[self.offsets[sequence] : self.offsets[sequence + 1]]

    def example_weights(self, example: int) -> NDArray[np.float32]:
        """Of all the example's sequences, end to end."""
        first = example * self.sequences_per_example
        return self.weights[self.offsets[first] : self.offsets[first + self.sequences_per_example]]


def build(
    rows_path: Path,
    folder: Path,
    *,
    kind: RowKind,
    model_dir: Path,
    max_length: int,
    max_rows: int | None = None,
    num_workers: int = 1,
    on_progress: Callable[[int], None] = lambda _: None,
) -> TokenIndex:
    """The index of a `.jsonl` of rows, made on the first call and mapped on every later one.

    Many rows are encoded by `num_workers` processes side by side, to the very same index. `on_progress` is told the
    number of rows done. A row that has no trained token left after cutting teaches nothing and is dropped; one that the
    chat format refuses is left out and counted likewise. Raises Invalid for a chat format that cannot be read.
    """
    if not _is_whole(folder):
        encode = partial(_encode_chunk, kind=kind, model_dir=model_dir, max_length=max_length)
        with ExitStack() as stack, rows_path.open(encoding="utf-8") as stream:
            chunks = _chunks(islice(stream, max_rows))
            first = list(islice(chunks, _MIN_CHUNKS_FOR_WORKERS))
            encoded: Iterator[Encoded] = map(encode, first)
            is_long = len(first) == _MIN_CHUNKS_FOR_WORKERS
            if is_long and num_workers > 1:
                # a fork would copy this process's threads' locks, and torch's state
                context = multiprocessing.get_context("spawn")
                pool = stack.enter_context(
                    # they would wait for work for ever if this process were killed
                    ProcessPoolExecutor(num_workers, context, initializer=launch.die_with, initargs=(os.getpid(),))
                )
                encoded = _in_order(pool, encode, first, chunks, ahead=2 * num_workers)
            elif is_long:
                encoded = map(encode, chain(first, chunks))
            _write(folder, encoded, SEQUENCES_PER_EXAMPLE[kind], on_progress)
    return _map(folder)


def fingerprint(index: TokenIndex) -> str:
    """Equal for equal tokens, weights and bounds; a checkpoint is bound to it."""
    digest = hashlib.sha256(str(index.sequences_per_example).encode())
    for array in (index.token_ids, index.weights, index.offsets):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _chunks(lines: Iterator[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    num_chars = 0
    for line in lines:
        chunk.append(line)
        num_chars += len(line)
        if len(chunk) == _ROWS_PER_CHUNK or num_chars >= _CHARS_PER_CHUNK:
            yield chunk
            chunk, num_chars = [], 0
    if chunk:
        yield chunk


def _in_order(
    pool: ProcessPoolExecutor,
    encode: Callable[[list[str]], Encoded],
    first: list[list[str]],
    rest: Iterator[list[str]],
    *,
    ahead: int,
) -> Iterator[Encoded]:
    """Results in the order of the file, with only so many chunks in memory."""
    waiting = [pool.submit(encode, chunk) for chunk in first]
    while waiting:
        while len(waiting) < ahead and (chunk := next(rest, None)) is not None:
            waiting.append(pool.submit(encode, chunk))
        yield waiting.pop(0).result()


_formats: dict[Path, ChatFormat] = {}


def _encode_chunk(lines: list[str], *, kind: RowKind, model_dir: Path, max_length: int) -> Encoded:
    """Runs in the pool's processes, where the chat format is read once."""
    chat_format = _formats.get(model_dir)
    if chat_format is None:
        chat_format = _formats.setdefault(model_dir, ChatFormat.load(model_dir))
    return encode_lines(lines, kind=kind, chat_format=chat_format, max_length=max_length)


def _write(
    folder: Path,
    chunks: Iterator[Encoded],
    sequences_per_example: int,
    on_progress: Callable[[int], None],
) -> None:
    """Appends chunk by chunk: memory does not grow with the data."""
    folder.mkdir(parents=True, exist_ok=True)
    num_rows = num_cut_rows = num_dropped_rows = num_refused_rows = end = 0
    first_refusal: Refusal | None = None
    with (
        (folder / "token_ids.u32").open("wb") as token_ids,
        (folder / "weights.f32").open("wb") as weights,
        (folder / "offsets.i64").open("wb") as offsets,
    ):
        offsets.write(np.zeros(1, dtype=np.int64).tobytes())
        for encoded in chunks:
            token_ids.write(encoded.token_ids.tobytes())
            weights.write(encoded.weights.tobytes())
            offsets.write((end + np.cumsum(encoded.lengths)).tobytes())
            end += int(encoded.lengths.sum())
            num_cut_rows += encoded.num_cut_rows
            num_dropped_rows += encoded.num_dropped_rows
            num_refused_rows += len(encoded.refusals)
            first_refusal = first_refusal or next(iter(encoded.refusals), None)
            num_rows += encoded.num_rows
            on_progress(num_rows)
        for stream in (token_ids, weights, offsets):
            stream.flush()
            os.fsync(stream.fileno())
    description = {
        "format": _FORMAT,
        "sequences_per_example": sequences_per_example,
        "num_rows": num_rows,
        "num_cut_rows": num_cut_rows,
        "num_dropped_rows": num_dropped_rows,
        "num_refused_rows": num_refused_rows,
        "first_refusal": None if first_refusal is None else asdict(first_refusal),
    }
    # last, and at once: its presence says that the arrays are whole and on the disk
    partial_path = folder / f"{_DESCRIPTION}.partial"
    partial_path.write_text(json.dumps(description))
    partial_path.rename(folder / _DESCRIPTION)


def _is_whole(folder: Path) -> bool:
    path = folder / _DESCRIPTION
    return path.exists() and json.loads(path.read_text()).get("format") == _FORMAT


def _map(folder: Path) -> TokenIndex:
    description: dict[str, Any] = json.loads((folder / _DESCRIPTION).read_text())
    del description["format"]
    first_refusal = description.pop("first_refusal")
    return TokenIndex(
        token_ids=_array(folder / "token_ids.u32", np.uint32),
        weights=_array(folder / "weights.f32", np.float32),
        offsets=_array(folder / "offsets.i64", np.int64),
        first_refusal=None if first_refusal is None else Refusal(**first_refusal),
        **description,
    )


def _array(path: Path, dtype: Any) -> NDArray[Any]:  # noqa: ANN401 - numpy's own word for a type
    if path.stat().st_size == 0:
        return np.empty(0, dtype=dtype)  # nothing can be mapped
    return np.memmap(path, dtype=dtype, mode="r")
