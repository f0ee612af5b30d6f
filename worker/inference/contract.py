"""What a runtime is: whatever computes the answers of base models, and of adapters on them.

Two are behind it: our own (`service`), in this process, and vLLM (`vllm`), in a process and an environment of its own.
`tests/contracts/test_inference_runtime.py` holds both to the same cases.
"""

from collections.abc import Callable
from typing import Protocol

from core.errors import Invalid
from core.inference.types import ChatRequest, Proof, ProofRequest, RuntimeHealth, RuntimeName, StreamLine
from worker.training.data.chat_format import ChatFormat

Sink = Callable[[StreamLine], None]


class Answering(Protocol):
    """An answer under way."""

    @property
    def fingerprint(self) -> str:
        """Another one wherever an equal seed may give another answer."""

    @property
    def num_prompt_tokens(self) -> int: ...

    def cancel(self) -> None:
        """Nobody reads it any more. Called by any thread, any number of times, also when it is over."""


class Runtime(Protocol):
    """Safe for threads.

    - `generate` raises `Invalid`, `NotFound`, `RateLimited` or `Unavailable` before anything is sent to its sink, and
      `CannotServe` for what this runtime never will. It may block while an adapter is loaded.
    - The sink gets pieces of text, then exactly one last line (done, or an error), unless the answer was cancelled. It
      is called by a thread of the runtime, and must not block.
    - A piece holds whole characters, nothing of a stop string and nothing after it.
    - Log probabilities are those of the model's own scores, before temperature, penalties and bias.
    - The same request with the same seed gives the same answer under one fingerprint, as far as rounding allows.
    - Usage counts the prompt, and each token of the answer, the one that ended it too. Its seconds are this answer's
      share of the time in which the runtime worked on several.
    - So many answers are under way, so many wait, and so many of them are one workspace's; more are refused. Of those
      that wait the next is of the workspace that is being answered least.
    - A runtime that ends tells whoever is being answered, and those who wait, that it does.
    """

    @property
    def name(self) -> RuntimeName: ...

    def start(self) -> None:
        """Begin to serve, and return at once: what takes time is told by `health`."""

    def stop(self) -> None: ...

    def generate(self, request: ChatRequest, sink: Sink) -> Answering: ...

    def prove(self, request: ProofRequest) -> Proof:
        """Compare an adapter with what its trainer wrote down; blocks. Raises as `generate` does."""

    def health(self) -> RuntimeHealth: ...


class CannotServe(Invalid):
    """What is asked for is right, and not for this runtime. Its message is the reason, as a sentence."""

    code = "runtime_cannot_serve"


class Reader(Protocol):
    """A base model as far as it reads: from messages to tokens."""

    @property
    def chat_format(self) -> ChatFormat: ...

    @property
    def context_tokens(self) -> int: ...

    @property
    def num_scores(self) -> int:
        """Token ids that can be drawn are below this."""


class Writer(Reader, Protocol):
    """And as far as it writes."""

    @property
    def end_ids(self) -> frozenset[int]: ...

    @property
    def hardware(self) -> str:
        """The key of the price of what computes."""
