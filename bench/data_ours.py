"""`python bench/data_ours.py PART [PATH]`: one part of `make bench-data` in a process of its own; prints JSON."""

import json
import random
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import data_files  # noqa: E402

from core.datasets.health.detector import Look  # noqa: E402
from core.datasets.health.near import NearDuplicates  # noqa: E402
from core.datasets.health.repetition import Repetition  # noqa: E402
from core.datasets.inspection import FIRST_LOOK, VALIDATED, Portion  # noqa: E402
from core.datasets.reading.service import inspect_apart  # noqa: E402
from core.datasets.rows import question_and_answer  # noqa: E402
from core.datasets.types import RowKind  # noqa: E402

_NUM_SENTENCES, _NEAR_SHARE, _ROWS_AT_ONCE = 20_000, 0.02, 10_000
_CHUNK_ROWS = 1000


def validate(path: Path, portion: Portion = VALIDATED) -> dict[str, Any]:
    """As the api does with a file that was sent to it, the start of the process that reads included."""
    began = time.monotonic()
    with path.open("rb") as stream:
        found = inspect_apart(stream, path.name, portion=portion)
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "num_rows": found.num_rows,
        "num_unsound": found.num_problems,
        "is_complete": found.is_complete,
        "seconds": seconds,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1000,
    }


def near_duplicates(num_rows: int) -> dict[str, Any]:
    """The two detectors that a version's rows go through for it, on one core; making the rows does not count.

    Of rows of some 300 characters, one in fifty is an earlier one with a word more.
    """
    chance = random.Random(7)
    sentences = [data_files.sentence(chance, chance.randint(6, 14)) for _ in range(_NUM_SENTENCES)]
    repetition = Repetition()
    near = NearDuplicates(repetition)
    seconds, num_made, num_chars, kept = 0.0, 0, 0, ["Is it open?"]
    for start in range(0, num_rows, _ROWS_AT_ONCE):
        rows = []
        for number in range(start, min(start + _ROWS_AT_ONCE, num_rows)):
            if chance.random() < _NEAR_SHARE and number:
                said, num_made = f"{chance.choice(kept)} Thanks.", num_made + 1
            else:
                said = " ".join(chance.choices(sentences, k=4))
                if len(kept) < num_rows * _NEAR_SHARE:
                    kept.append(said)
            num_chars += len(said)
            half = len(said) // 4
            rows.append(Look(number, question_and_answer(said[:half], said[half:])))
        began = time.monotonic()
        for row in rows:
            repetition.observe(row)
            near.observe(row)
        seconds += time.monotonic() - began
    began = time.monotonic()
    num_found = len(near.groups)
    seconds += time.monotonic() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    shared = {"num_rows": num_rows, "mean_chars": num_chars // num_rows, "num_made": num_made}
    return shared | {"num_in_groups": num_found, "seconds": seconds, "peak_mb": peak_mb}


def tokenise(rows: Path, model_dir: Path) -> dict[str, Any]:
    """As a run does before it trains: rows to an index of tokens and weights on disk, by two processes."""
    from worker.training.data import token_index  # noqa: PLC0415 - only this part needs it

    folder = rows.with_suffix(".index")
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    index = token_index.build(rows, folder, kind=RowKind.CHAT, model_dir=model_dir, max_length=8192, num_workers=2)
    seconds = time.monotonic() - began
    return {"num_tokens": len(index.token_ids), "num_rows": index.num_rows, "seconds": seconds}


def tokenise_bare(rows: Path, model_dir: Path) -> dict[str, Any]:
    """The library alone, on texts that the template wrote before, with its own two threads."""
    import numpy as np  # noqa: PLC0415 - only this part needs them
    from tokenizers import Tokenizer  # noqa: PLC0415

    from worker.training.data.chat_template import ChatTemplate  # noqa: PLC0415

    template = ChatTemplate.load(model_dir)
    with rows.open() as lines:
        texts = [template.render(json.loads(line)["messages"], add_generation_prompt=False) for line in lines]
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    began = time.monotonic()
    num_tokens = 0
    for start in range(0, len(texts), _CHUNK_ROWS):
        encoded = tokenizer.encode_batch(texts[start : start + _CHUNK_ROWS], add_special_tokens=False)
        num_tokens += sum(len(np.asarray(one.ids, dtype=np.uint32)) for one in encoded)
    return {"num_tokens": num_tokens, "num_rows": len(texts), "seconds": time.monotonic() - began}


def main(part: str, *given: str) -> None:
    paths = [Path(one) for one in given]
    if part == "validate":
        found = validate(*paths)
    elif part == "first_look":
        found = validate(paths[0], FIRST_LOOK)
    elif part == "near_duplicates":
        found = near_duplicates(int(given[0]))
    elif part == "tokenise":
        found = tokenise(*paths)
    else:
        found = tokenise_bare(*paths)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
