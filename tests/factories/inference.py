"""An inference runtime that says what it is told to, for tests of what stands before it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from core.inference.types import ChatDelta, ChatRequest, Usage

if TYPE_CHECKING:
    from core.errors import AppError

WORDS = ("Hello", " there", "!")


class FakeInference:
    """Answers `WORDS`. With `error` it fails after `error_after` pieces."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.error: AppError | None = None
        self.error_after = 0
        self.num_closed = 0
        self.is_endless = False

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        self.requests.append(request)
        try:
            num_pieces = 0
            while True:
                for word in WORDS:
                    if self.error and num_pieces >= self.error_after:
                        raise self.error
                    num_pieces += 1
                    yield ChatDelta(text=word)
                if not self.is_endless:
                    break
            usage = Usage(prompt_tokens=7, completion_tokens=len(WORDS), seconds=2.0)
            yield ChatDelta(finish_reason="stop", usage=usage)
        finally:
            self.num_closed += 1
