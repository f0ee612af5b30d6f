"""An inference runtime that says what it is told to, for tests of what stands before it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from core.inference.types import ChatDelta, ChatRequest, FinishReason, Start, Usage

if TYPE_CHECKING:
    from core.errors import AppError

WORDS = ("Hello", " there", "!")
FINGERPRINT = "fp_0123456789"


class FakeInference:
    """Answers `pieces`. With `error` it fails after `error_after` of them; with `stalls_after` it says no more."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.pieces: Sequence[ChatDelta] = tuple(ChatDelta(text=word) for word in WORDS)
        self.finish_reason: FinishReason = "stop"
        self.error: AppError | None = None
        self.error_after = 0
        self.stalls_after: int | None = None
        self.num_closed = 0
        self.is_endless = False

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
            usage = Usage(prompt_tokens=7, completion_tokens=len(self.pieces), seconds=2.0)
            yield ChatDelta(finish_reason=self.finish_reason, usage=usage)
        finally:
            self.num_closed += 1
