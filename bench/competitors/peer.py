"""What every runner of a competitor shares: the job it is given, and what it tells of its progress.

Runs in the competitors' environments, so it imports nothing of this project. A runner is started as
`python run_NAME.py JOB.json`; `Job` lists the file's fields. It appends one JSON object a line to `events`:
ready (the first batch is about to be computed), batch (one forward and backward pass), step (an optimizer step), end.
"""

import json
import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

IGNORED = -100


@dataclass
class Job:
    """`rows` and what is said of them are the same for all contestants; `defaults` keeps a peer's own where it has."""

    model_dir: str
    train: str
    out: str
    events: str
    seed: int
    num_threads: int
    max_length: int
    rank: int = 16
    alpha: int = 32
    learning_rate: float = 1e-3
    num_epochs: int = 1
    rows_per_batch: int = 8
    accumulation: int = 2
    packing: bool = False
    defaults: bool = False
    save: bool = False
    num_warmup_batches: int = 2
    max_timed_s: float | None = None
    shuffle: bool = False
    end_of_turn_id: int = 2
    newline_id: int = 198
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str) -> "Job":
        return cls(**json.loads(Path(path).read_text()))

    def rows(self) -> list[dict[str, Any]]:
        """Conversations that end with the one answer that is trained."""
        with Path(self.train).open() as stream:
            return [json.loads(line) for line in stream]


def prepare(job: Job) -> None:
    torch.set_num_threads(job.num_threads)
    torch.manual_seed(job.seed)


def exact_template(template: str) -> str:
    """The chat template without the line break after the last answer, so that all contestants train the same tokens."""
    end = "'<|im_end|>' + '\n'}}{% endfor %}"
    if end not in template:
        raise ValueError("This chat template is another one than SmolLM2's.")
    shorter = "'<|im_end|>' + ('' if loop.last and message['role'] == 'assistant' else '\n')}}{% endfor %}"
    return template.replace(end, shorter)


class Watch(TrainerCallback):
    """Writes the events, and ends the process at a batch's end once `max_timed_s` is used up."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._stream = Path(job.events).open("a", buffering=1)  # noqa: SIM115 - open as long as the process
        self._counts: deque[dict[str, int]] = deque()
        self._num_batches = 0
        self._timed_from = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        loader = kwargs["train_dataloader"]
        loader = getattr(loader, "base_dataloader", loader)
        collate = loader.collate_fn

        def counted(examples: Any) -> Any:
            batch = collate(examples)
            self._counts.append(_counts(batch, self._job))
            return batch

        loader.collate_fn = counted
        self._write("ready")

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self._batch_ended()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self._write("step", step=state.global_step)
        self._batch_ended()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        if logs and "loss" in logs:
            self._write("loss", step=state.global_step, loss=float(logs["loss"]))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self._write("end", num_steps=state.global_step)

    def _batch_ended(self) -> None:
        self._num_batches += 1
        self._write("batch", **self._counts.popleft())
        if self._num_batches == self._job.num_warmup_batches:
            self._timed_from = time.monotonic()
        limit = self._job.max_timed_s
        is_timed = self._num_batches > self._job.num_warmup_batches
        if limit is not None and is_timed and time.monotonic() - self._timed_from >= limit:
            self._write("end", is_cut=True)
            os._exit(0)  # the rest is not wanted, and nothing of it is left half done

    def _write(self, event: str, **data: Any) -> None:
        self._stream.write(json.dumps({"event": event, "at": time.time(), **data}) + "\n")


def _counts(batch: Any, job: Job) -> dict[str, int]:
    """`num_computed` counts padding. A row's first token is predicted by nothing, whether padded or packed.

    `num_trained` leaves out the line break that some templates write, and some peers train, after an answer.
    """
    ids, targets = batch["input_ids"], batch["labels"][:, 1:]
    is_break = (targets == job.newline_id) & (ids[:, :-1] == job.end_of_turn_id)
    return {"num_computed": ids.numel(), "num_trained": int(((targets != IGNORED) & ~is_break).sum())}
