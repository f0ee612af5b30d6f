"""Run folders of every kind of row, trained in float32 whatever this processor would choose.

`--renew-goldens` writes the losses of `test_goldens.py` anew instead of comparing with them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.training.objectives import Objective, row_kind_of
from tests.worker.training.conftest import WORDS, events_of, row, write_rows
from worker.training import run as runner

MakeRun = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-goldens", action="store_true", help="write the golden losses anew, on purpose")


def preference(number: int) -> dict[str, Any]:
    """The answer that follows from the question, over one of another length that does not."""
    question, answer = row(number)["messages"]
    other = {
        "role": "assistant",
        "content": " ".join(WORDS[(number + at) % len(WORDS)] for at in range(number % 3 + 1)),
    }
    return {"number": number, "messages": [question], "chosen": [answer], "rejected": [other]}


def text(number: int) -> dict[str, Any]:
    return {"number": number, "text": " ".join(WORDS[(number + 3 * at) % len(WORDS)] for at in range(4 + number % 7))}


ROWS: dict[str, Callable[[int], dict[str, Any]]] = {"chat": row, "preference": preference, "text": text}


@pytest.fixture
def make_run_of(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """As `make_run`, with rows of the kind that the objective learns from."""
    monkeypatch.setattr(runner, "compute_dtype", lambda _: torch.float32)

    def make(objective: Objective, name: str = "run", **changes: object) -> Path:
        folder = make_run(name, objective=objective, **changes)
        of = ROWS[row_kind_of(objective)]
        write_rows(folder / "train.jsonl", [of(number) for number in range(24)])
        write_rows(folder / "heldout.jsonl", [of(number) for number in range(24, 30)])
        return folder

    return make


def metrics_of(folder: Path, name: str) -> list[float]:
    """A figure's values, in the order in which they were reported."""
    return [event["data"][name] for event in events_of(folder, "metrics") if name in event["data"]]
