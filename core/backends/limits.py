"""How often somebody may ask: token buckets, one a name, counted where all processes see them.

A bucket holds a minute's worth of units (requests, or tokens of models) and is refilled evenly. It is kept as one
number, the moment at which it will be full again (the generic cell rate algorithm of ITU-T I.371: a token bucket
without the arithmetic of refilling).
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import redis
import redis.asyncio

from core.config import Settings

logger = logging.getLogger(__name__)

_TIMEOUT_S = 0.25
# after a failure nobody asks for so long: a server that hangs would else cost every request the timeout
_REST_S = 2.0
_MAX_BATCH = 200
_PREFIX = "limit:"
_MICROS = 1_000_000
_MINUTE = 60 * _MICROS
# in the place of a room: taken whether there is any or not
_ANYWAY = -1

# By the server's clock, so that processes whose clocks differ agree; in whole microseconds, which a double holds
# exactly. What is asked for in one moment goes in one call, each bucket with the time in which what is taken comes
# back, and with the room that there is: none where it is taken anyway, what was given back too.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
for i, bucket in ipairs(KEYS) do
    local cost, room = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local full_at = math.max(tonumber(redis.call('GET', bucket) or '0'), now)
    local next_full_at = full_at + cost
    if room >= 0 and next_full_at - now > room then
        answers[i] = {full_at - now, next_full_at - now - room}
    elseif next_full_at <= now then
        redis.call('DEL', bucket)
        answers[i] = {0, 0}
    else
        redis.call('SET', bucket, string.format('%.0f', next_full_at), 'PX', math.ceil((next_full_at - now) / 1000))
        answers[i] = {next_full_at - now, 0}
    end
end
return answers
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of what was asked for."""

    is_allowed: bool
    limit: int
    remaining: int
    """Units that would be allowed at once."""
    full_in_s: float
    retry_after_s: float
    """0 if this one is allowed."""


# bucket, cost, room, and where the answer is awaited
_Asked = tuple[str, int, int, "asyncio.Future[tuple[int, int]]"]


class RateLimiter(Protocol):
    async def take(self, bucket: str, *, per_minute: int, amount: int = 1) -> Taken | None:
        """Take so many units, or none of them.

        None when nobody can tell, within a quarter of a second; who asks decides what that means. More than a minute's
        worth is never allowed.
        """

    async def settle(self, bucket: str, *, per_minute: int, amount: int) -> None:
        """Take what was used beyond what was taken, even if that is more than there is; less than 0 gives back."""

    async def close(self) -> None:
        """For a process that is about to end."""


class RedisRateLimiter:
    """One round trip by one script, which runs whole or not at all."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        # a connection belongs to the loop that opened it; a process has one loop, tests have many
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()
        self._rests_until_s = 0.0
        self._is_away = False

    async def take(self, bucket: str, *, per_minute: int, amount: int = 1) -> Taken | None:
        answer = await self._ask(bucket, _cost(per_minute, amount), _room(per_minute))
        return None if answer is None else _taken(per_minute, full_in=answer[0], wait=answer[1])

    async def settle(self, bucket: str, *, per_minute: int, amount: int) -> None:
        await self._ask(bucket, _cost(per_minute, amount), _ANYWAY)

    async def _ask(self, bucket: str, cost: int, room: int) -> tuple[int, int] | None:
        if time.monotonic() < self._rests_until_s:
            return None
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._url)
        try:
            answer = await line.ask(_PREFIX + bucket, cost, room)
        except (redis.RedisError, OSError) as error:
            self._note_outage(error)
            return None
        if self._is_away:
            logger.info("requests are counted again")
            self._is_away = False
        return answer

    async def close(self) -> None:
        line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None:
            await line.close()

    def _note_outage(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("requests are not counted for now: %s", type(error).__name__)
        self._is_away = True
        self._rests_until_s = time.monotonic() + _REST_S


class _Line:
    """One connection. What is asked while an answer is awaited goes together in the next call."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=None, max_connections=1
        )
        self._script: Any = self._client.register_script(_TAKE)
        self._waiting: list[_Asked] = []
        self._sender: asyncio.Task[None] | None = None

    async def ask(self, bucket: str, cost: int, room: int) -> tuple[int, int]:
        """The microseconds until the bucket is full, and until what was asked for is there if it was not."""
        answer: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((bucket, cost, room, answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return await answer

    async def close(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
        await self._client.aclose()

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
                await self._send_batch(batch)
        finally:
            self._sender = None

    async def _send_batch(self, batch: "list[_Asked]") -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                answers = await self._script([asked[0] for asked in batch], [n for asked in batch for n in asked[1:3]])
        except (redis.RedisError, OSError) as error:
            for *_, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            # what is still under way on it would be taken for the answer to the next call
            with contextlib.suppress(redis.RedisError, OSError):
                await self._client.connection_pool.disconnect()
            return
        for (*_, answer), (full_in, wait) in zip(batch, answers, strict=True):
            # who left meanwhile has cancelled theirs
            if not answer.done():
                answer.set_result((int(full_in), int(wait)))


class MemoryRateLimiter:
    """The same within one process. For tests."""

    def __init__(self) -> None:
        self._full_at: dict[str, int] = {}

    async def take(self, bucket: str, *, per_minute: int, amount: int = 1) -> Taken | None:
        now, cost = time.monotonic_ns() // 1000, _cost(per_minute, amount)
        full_at = max(self._full_at.get(bucket, 0), now)
        wait = full_at + cost - now - _room(per_minute)
        if wait > 0:
            return _taken(per_minute, full_in=full_at - now, wait=wait)
        self._full_at[bucket] = full_at + cost
        return _taken(per_minute, full_in=full_at + cost - now, wait=0)

    async def settle(self, bucket: str, *, per_minute: int, amount: int) -> None:
        now = time.monotonic_ns() // 1000
        self._full_at[bucket] = max(self._full_at.get(bucket, 0), now) + _cost(per_minute, amount)

    async def close(self) -> None:
        pass


class NullRateLimiter:
    """Allows everything. For tests of anything else."""

    async def take(self, bucket: str, *, per_minute: int, amount: int = 1) -> Taken | None:
        del bucket, amount
        return _taken(per_minute, full_in=0, wait=0)

    async def settle(self, bucket: str, *, per_minute: int, amount: int) -> None:
        del bucket, per_minute, amount

    async def close(self) -> None:
        pass


def _cost(per_minute: int, amount: int) -> int:
    """The microseconds in which so much comes back. Of one unit rounded down, so that a minute's worth always fits."""
    return amount * _MINUTE // per_minute


def _room(per_minute: int) -> int:
    """As much as so many single units cost."""
    return _MINUTE - _MINUTE % max(1, _cost(per_minute, 1))


def _taken(per_minute: int, *, full_in: int, wait: int) -> Taken:
    return Taken(
        is_allowed=wait == 0,
        limit=per_minute,
        remaining=max(0, (_MINUTE - full_in) * per_minute // _MINUTE),
        full_in_s=full_in / _MICROS,
        retry_after_s=wait / _MICROS,
    )
