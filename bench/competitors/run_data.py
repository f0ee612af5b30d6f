"""`python run_data.py TOOL jsonl|csv PATH`: every row parsed and checked by one of the tools that people use for it.

A conversation is sound if its roles are known, the system speaks first if at all, somebody asks, the assistant answers
last, and nobody says nothing; a row of a table, if its question and its answer say something. Prints JSON: how many
rows there are, how many are not sound, and what it took.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROLES = frozenset({"system", "user", "assistant"})
_ROWS_AT_ONCE = 20_000
Counts = tuple[int, int]


def is_sound(messages: list[dict[str, Any]]) -> bool:
    roles = [message["role"] for message in messages]
    return (
        bool(roles)
        and roles[-1] == "assistant"
        and "user" in roles
        and "system" not in roles[1:]
        and _ROLES.issuperset(roles)
        and all(message["content"] and message["content"].strip() for message in messages)
    )


def pandas(file_format: str, path: Path) -> Counts:
    import pandas as pd

    rows = unsound = 0
    if file_format == "jsonl":
        for chunk in pd.read_json(path, lines=True, chunksize=_ROWS_AT_ONCE):
            rows += len(chunk)
            unsound += int((~chunk["messages"].map(is_sound)).sum())
        return rows, unsound
    for chunk in pd.read_csv(path, chunksize=_ROWS_AT_ONCE, dtype=str, keep_default_na=False):
        rows += len(chunk)
        is_empty = (chunk["question"].str.strip() == "") | (chunk["answer"].str.strip() == "")
        unsound += int(is_empty.sum())
    return rows, unsound


def polars(file_format: str, path: Path) -> Counts:
    import polars as pl

    def said(name: str) -> Any:
        return pl.col(name).fill_null("").str.strip_chars().str.len_bytes() > 0

    if file_format == "jsonl":
        role, content = (pl.element().struct.field(name) for name in ("role", "content"))
        messages = pl.col("messages")
        roles = messages.list.eval(role)
        sound = (
            (roles.list.last() == "assistant")
            & roles.list.contains("user")
            & ~roles.list.slice(1).list.contains("system")
            & messages.list.eval(role.is_in(sorted(_ROLES))).list.all()
            & messages.list.eval(content.str.strip_chars().str.len_bytes() > 0).list.all()
        )
        frame = pl.scan_ndjson(path)
    else:
        sound = said("question") & said("answer")
        frame = pl.scan_csv(path, infer_schema=False)
    counts = frame.select(pl.len(), unsound=(~sound).sum()).collect(engine="streaming").row(0)
    return int(counts[0]), int(counts[1])


def datasets(file_format: str, path: Path) -> Counts:
    from datasets import load_dataset

    def unsound(rows: dict[str, list[Any]]) -> list[bool]:
        if file_format == "jsonl":
            return [not is_sound(messages) for messages in rows["messages"]]
        pairs = zip(rows["question"], rows["answer"], strict=True)
        return [not ((question or "").strip() and (answer or "").strip()) for question, answer in pairs]

    with tempfile.TemporaryDirectory(dir=path.parent) as cache:
        kind = "json" if file_format == "jsonl" else "csv"
        found = load_dataset(kind, data_files=str(path), split="train", cache_dir=cache)
        return len(found), len(found.filter(unsound, batched=True))


TOOLS: dict[str, Callable[[str, Path], Counts]] = {"pandas": pandas, "polars": polars, "datasets": datasets}

if __name__ == "__main__":
    tool, file_format, path = sys.argv[1:]
    began = time.monotonic()
    num_rows, num_unsound = TOOLS[tool](file_format, Path(path))
    found = {
        "num_rows": num_rows,
        "num_unsound": num_unsound,
        "seconds": time.monotonic() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    print(json.dumps(found))
