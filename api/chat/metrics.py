"""Answers by model, as this process gave them: how many, of how many tokens, and how long people waited for words."""

import threading
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

# Models come and go, and a series stays as long as the process: those after as many share one.
MAX_MODELS: Final = 100
OTHER: Final = "other"
_FIRST_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_NEXT_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

Outcome = Literal["stop", "length", "tool_calls", "unfinished"]


@dataclass(frozen=True, slots=True)
class AnsweredChat:
    """One answer. `alias` is empty where the model was asked for by its own name."""

    model: str
    alias: str
    outcome: Outcome
    completion_tokens: int
    waiting_s: float | None
    """For a place among those that are answered, as the runtime says."""
    first_token_s: float | None
    """From the question's way to the runtime to the first words: with the wait for a place, and the prompt."""
    next_token_s: float | None
    """Between two tokens, in the mean of the answer."""


class ChatMetrics:
    """One of these an application. Safe to share between threads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["model", "alias"]
        self._answers = Counter(
            "tailorbird_chat_answers", "Answers of this process, by how they ended.", [*labels, "outcome"],
            registry=registry,
        )  # fmt: skip
        self._tokens = Counter(
            "tailorbird_chat_tokens", "Tokens that were read, recalled instead of read, and written.",
            [*labels, "kind"], registry=registry,
        )  # fmt: skip
        self._waiting = Histogram(
            "tailorbird_chat_waiting_seconds", "That an answer waited for a place, as the runtime says.", labels,
            buckets=_FIRST_S, registry=registry,
        )  # fmt: skip
        self._first = Histogram(
            "tailorbird_chat_first_token_seconds", "From a question to the first words of its answer.", labels,
            buckets=_FIRST_S, registry=registry,
        )  # fmt: skip
        self._next = Histogram(
            "tailorbird_chat_next_token_seconds", "Between two tokens, in the mean of an answer.", labels,
            buckets=_NEXT_S, registry=registry,
        )  # fmt: skip
        self._known: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def note_prompt(self, *, model: str, alias: str, num_tokens: int, num_recalled: int) -> None:
        """What was read for all answers to a question together."""
        labels = self._labels(model, alias)
        self._tokens.labels(*labels, "read").inc(num_tokens - num_recalled)
        self._tokens.labels(*labels, "recalled").inc(num_recalled)

    def note(self, answer: AnsweredChat) -> None:
        labels = self._labels(answer.model, answer.alias)
        self._answers.labels(*labels, answer.outcome).inc()
        self._tokens.labels(*labels, "written").inc(answer.completion_tokens)
        if answer.waiting_s is not None:
            self._waiting.labels(*labels).observe(answer.waiting_s)
        if answer.first_token_s is not None:
            self._first.labels(*labels).observe(answer.first_token_s)
        if answer.next_token_s is not None:
            self._next.labels(*labels).observe(answer.next_token_s)

    def _labels(self, model: str, alias: str) -> tuple[str, str]:
        with self._lock:
            if (model, alias) not in self._known and len(self._known) >= MAX_MODELS:
                return OTHER, OTHER if alias else ""
            self._known.add((model, alias))
        return model, alias
