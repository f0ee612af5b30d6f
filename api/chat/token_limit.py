"""How many tokens the models read and write for a workspace in a minute.

Nobody knows how many before the answer is there. So a question is let in if there is room for about what it says, and
what it came to is settled at its end: it may then be more than there was, and the next ones wait until that is made up
for. Counted by workspace, like new jobs: whoever makes another key gets no more.
"""

from dataclasses import dataclass

import anyio
from fastapi import Request

from api.chat.requests import ChatBody
from api.rate_limits import duration
from core.backends.limits import RateLimiter
from core.errors import RateLimited, TooLarge

# of most languages, and of most tokenizers
_BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class TokenAllowance:
    """What was taken for one question before it was asked. Without a limit, and while nobody can count, nothing."""

    limiter: RateLimiter
    bucket: str
    per_minute: int
    num_taken: int = 0

    async def settle(self, num_used: int) -> None:
        """Once, also of a question that failed, and by a task that is being cancelled."""
        owed, self.num_taken = num_used - self.num_taken, num_used
        if self.per_minute and owed:
            with anyio.CancelScope(shield=True):
                await self.limiter.settle(self.bucket, per_minute=self.per_minute, amount=owed)


async def take_tokens(
    request: Request, body: ChatBody, *, limiter: RateLimiter, workspace_id: str, per_minute: int
) -> TokenAllowance:
    """Raises `RateLimited` where the workspace has no room for the question now, `TooLarge` where it never will."""
    allowance = TokenAllowance(limiter, f"chat_tokens:{workspace_id}", per_minute)
    if not per_minute:
        return allowance
    about = 1 + body.num_bytes_to_read() // _BYTES_PER_TOKEN
    if about > per_minute:
        raise TooLarge(
            f"This question has about {about:,} tokens, and a workspace may have {per_minute:,} a minute here. Send "
            "less of it, or ask whoever runs the installation for more.",
            code="question_too_large",
            param="messages",
        )
    taken = await limiter.take(allowance.bucket, per_minute=per_minute, amount=about)
    if taken is None:
        return allowance
    request.state.tokens_taken = taken
    if not taken.is_allowed:
        raise RateLimited(
            f"In one workspace {per_minute:,} tokens a minute are allowed, and this question needs about {about:,}. "
            f"Try again in {duration(taken.retry_after_s)}.",
            details={"retry_after_s": taken.retry_after_s},
        )
    allowance.num_taken = about
    return allowance
