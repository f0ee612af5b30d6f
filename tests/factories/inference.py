"""An inference runtime that says what it is told to, for tests of what stands before it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from core.inference.types import (
    ChatDelta,
    ChatRequest,
    ChatResult,
    FinishReason,
    Proof,
    ProofRequest,
    RuntimeHealth,
    Start,
    Usage,
)

if TYPE_CHECKING:
    from core.errors import AppError

WORDS = ("Hello", " there", "!")
FINGERPRINT = "fp_0123456789"


def proof(*, is_passed: bool = True, code: str | None = None, reason: str | None = None) -> Proof:
    return Proof(
        is_passed=is_passed,
        code=code,
        reason=reason,
        num_rows=4,
        num_places=32,
        max_difference=0.0001,
        tolerance=0.01,
        effect=1.5,
        min_effect=0.0001,
        training_dtype="float32",
        serving_dtype="float32",
        hardware="cpu",
        fingerprint=FINGERPRINT,
        template_sha256="a" * 64,
        tokenizer_sha256="b" * 64,
        base_sha256="c" * 64,
        seconds=0.5,
    )


class FakeInference:
    """Answers `pieces`. With `error` it fails after `error_after` of them; with `stalls_after` it says no more."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.proof = proof()
        self.proofs_asked: list[ProofRequest] = []
        self.pieces: Sequence[ChatDelta] = tuple(ChatDelta(text=word) for word in WORDS)
        self.finish_reason: FinishReason = "stop"
        self.error: AppError | None = None
        self.error_after = 0
        self.stalls_after: int | None = None
        self.num_closed = 0
        self.is_endless = False

    def health(self) -> RuntimeHealth:
        return RuntimeHealth(status="ready")

    def prove(self, request: ProofRequest) -> Proof:
        self.proofs_asked.append(request)
        return self.proof

    def chat(self, request: ChatRequest) -> ChatResult:
        """The whole answer, as a shadow gives it."""
        self.requests.append(request)
        text = "".join(piece.text for piece in self.pieces)
        return ChatResult(
            text=text, finish_reason="stop", prompt_tokens=7, completion_tokens=len(self.pieces), seconds=2.0
        )

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        self.requests.append(request)
        try:
            if self.error is None or self.error_after:
                yield ChatDelta(start=Start(fingerprint=FINGERPRINT, prompt_tokens=7))
            num_pieces = 0
            while True:
                for piece in self.pieces:
                    if self.error and num_pieces >= self.error_after:
                        raise self.error
                    if num_pieces == self.stalls_after:
                        await asyncio.Event().wait()
                    num_pieces += 1
                    yield piece
                if not self.is_endless:
                    break
            usage = Usage(prompt_tokens=7, cached_tokens=5, completion_tokens=len(self.pieces), seconds=2.0)
            yield ChatDelta(finish_reason=self.finish_reason, usage=usage)
        finally:
            self.num_closed += 1
