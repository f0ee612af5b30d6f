"""What the demo shows while it works and at its end, and the figures it keeps."""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from core.stack.figures import write_figures

_SCALE = 1000
_PLAIN_EVERY_S = 5
_PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")
_MAX_SHOWN_CHARS = 220


@dataclass(frozen=True, slots=True)
class Answer:
    """The same held-out question, answered by both models."""

    question: str
    expected: str
    base: str
    tuned: str


@dataclass(frozen=True, slots=True)
class Outcome:
    job: dict[str, Any]
    answers: list[Answer]
    seconds_total: float


class Progress:
    """A live bar in a terminal; elsewhere a plain line whenever the stage changes and every few seconds."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._is_live = sys.stdout.isatty()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        self._bar = RichProgress(*columns, disable=not self._is_live)
        self._task = self._bar.add_task(title, total=_SCALE, note="")
        self._said, self._said_at = "", 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, found: dict[str, Any], loss: float | None) -> None:
        """Take in the newest state of a dataset version or a run."""
        fraction, note = _fraction(found), _note(found, loss)
        if self._is_live:
            self._bar.update(self._task, completed=int(fraction * _SCALE), note=note)
            return
        stage = str(found.get("stage") or found["status"])
        is_due = time.monotonic() - self._said_at > _PLAIN_EVERY_S
        if stage != self._said or is_due:
            self._said, self._said_at = stage, time.monotonic()
            print(f"{self._title}: {fraction:4.0%}  {note}", flush=True)


def show(outcome: Outcome) -> None:
    job = outcome.job
    base, tuned = job["base_heldout_loss"], job["tuned_heldout_loss"]
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(
        f"\nLoss on the held-out rows: base [bold]{base:.3f}[/], tuned [bold]{tuned:.3f}[/] (lower is better)"
    )
    table = Table("a question it never saw", "right answer", "base model", "tuned model", show_lines=True)
    for answer in outcome.answers:
        table.add_row(*(_shown(text) for text in (answer.question, answer.expected, answer.base, answer.tuned)))
    console.print(table)
    console.print(f"Model    {job['fine_tuned_model']}", highlight=False)
    console.print(f"Time     {job['seconds']:.0f} s of training, {outcome.seconds_total:.0f} s in all", highlight=False)
    console.print(f"Cost     ${job['cost_usd']:.4f}", highlight=False)


def write(path: Path, outcome: Outcome) -> None:
    job = outcome.job
    write_figures(
        path,
        packages=_PACKAGES,
        figures={
            "base_heldout_loss": job["base_heldout_loss"],
            "tuned_heldout_loss": job["tuned_heldout_loss"],
            "seconds_total": round(outcome.seconds_total, 1),
            "seconds_training": job["seconds"],
            "cost_usd": job["cost_usd"],
        },
        runs=[
            {
                "id": job["id"],
                "model": job["model"],
                "recipe": job["recipe"],
                "adapter": job["adapter"],
                "hyperparameters": job["hyperparameters"],
                "trained_tokens": job["trained_tokens"],
                "seed": job["seed"],
                "answers": [asdict(answer) for answer in outcome.answers],
            }
        ],
    )


def _fraction(found: dict[str, Any]) -> float:
    if found["status"] in {"ready", "succeeded"}:
        return 1.0
    progress = found.get("progress") or 0.0
    return float(progress["fraction"] if isinstance(progress, dict) else progress)


def _note(found: dict[str, Any], loss: float | None) -> str:
    words = [str(found.get("stage") or found["status"]).replace("_", " ")]
    progress = found.get("progress")
    if isinstance(progress, dict):
        words.append(f"step {progress['step']}/{progress['total_steps']}")
    if loss is not None:
        words.append(f"loss {loss:.3f}")
    if isinstance(progress, dict) and progress.get("seconds_left") and found["status"] == "running":
        words.append(f"{progress['seconds_left']:.0f} s left")
    return ", ".join(words)


def _shown(text: str) -> str:
    """Cut to fit, and with brackets that `rich` takes for text, not for its markup."""
    return escape(text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…")
