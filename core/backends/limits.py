"""How often somebody may ask: token buckets, one a name, counted where all processes see them.

A bucket holds a minute's worth of tokens and is refilled evenly. It is kept as one number, the moment at which it will
be full again (the generic cell rate algorithm of ITU-T I.371: a token bucket without the arithmetic of refilling).
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

# By the server's clock, so that processes whose clocks differ agree; in whole microseconds, which a double holds
# exactly. What is asked for in one moment goes in one call, each bucket with the time between two of its tokens.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
for i, bucket in ipairs(KEYS) do
    local interval = tonumber(ARGV[i])
    local room = 60000000 - 60000000 % interval
    local full_at = math.max(tonumber(redis.call('GET', bucket) or '0'), now)
    local next_full_at = full_at + interval
    if next_full_at - now > room then
        answers[i] = {full_at - now, next_full_at - now - room}
    else
        redis.call('SET', bucket, string.format('%.0f', next_full_at), 'PX', math.ceil((next_full_at - now) / 1000))
        answers[i] = {next_full_at - now, 0}
    end
end
return answers
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one token that was asked for."""

    is_allowed: bool
    limit: int
    remaining: int
    """Requests that would be allowed at once."""
    full_in_s: float
    retry_after_s: float
    """0 if this one is allowed."""


class RateLimiter(Protocol):
    async def take(self, bucket: str, *, per_minute: int) -> Taken | None:
        """Take one token. None when nobody can tell, within a quarter of a second; who asks decides what that means."""

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

    async def take(self, bucket: str, *, per_minute: int) -> Taken | None:
        if time.monotonic() < self._rests_until_s:
            return None
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._url)
        try:
            full_in, wait = await line.ask(_PREFIX + bucket, _interval(per_minute))
        except (redis.RedisError, OSError) as error:
            self._note_outage(error)
            return None
        if self._is_away:
            logger.info("requests are counted again")
            self._is_away = False
        return _taken(per_minute, full_in=full_in, wait=wait)

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
        self._waiting: list[tuple[str, int, asyncio.Future[tuple[int, int]]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def ask(self, bucket: str, interval: int) -> tuple[int, int]:
        """The microseconds until the bucket is full, and until a token is there if none was."""
        answer: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((bucket, interval, answer))
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

    async def _send_batch(self, batch: list[tuple[str, int, "asyncio.Future[tuple[int, int]]"]]) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                answers = await self._script([asked[0] for asked in batch], [asked[1] for asked in batch])
        except (redis.RedisError, OSError) as error:
            for _, _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            # what is still under way on it would be taken for the answer to the next call
            with contextlib.suppress(redis.RedisError, OSError):
                await self._client.connection_pool.disconnect()
            return
        for (_, _, answer), (full_in, wait) in zip(batch, answers, strict=True):
            # who left meanwhile has cancelled theirs
            if not answer.done():
                answer.set_result((int(full_in), int(wait)))


class MemoryRateLimiter:
    """The same within one process. For tests."""

    def __init__(self) -> None:
        self._full_at: dict[str, int] = {}

    async def take(self, bucket: str, *, per_minute: int) -> Taken | None:
        now = time.monotonic_ns() // 1000
        interval = _interval(per_minute)
        full_at = max(self._full_at.get(bucket, 0), now)
        wait = full_at + interval - now - _room(interval)
        if wait > 0:
            return _taken(per_minute, full_in=full_at - now, wait=wait)
        self._full_at[bucket] = full_at + interval
        return _taken(per_minute, full_in=full_at + interval - now, wait=0)

    async def close(self) -> None:
        pass


class NullRateLimiter:
    """Allows everything. For tests of anything else."""

    async def take(self, bucket: str, *, per_minute: int) -> Taken | None:
        del bucket
        return _taken(per_minute, full_in=0, wait=0)

    async def close(self) -> None:
        pass


def _interval(per_minute: int) -> int:
    return _MINUTE // per_minute


def _room(interval: int) -> int:
    return _MINUTE - _MINUTE % interval


def _taken(per_minute: int, *, full_in: int, wait: int) -> Taken:
    interval = _interval(per_minute)
    return Taken(
        is_allowed=wait == 0,
        limit=per_minute,
        remaining=max(0, (_room(interval) - full_in) // interval),
        full_in_s=full_in / _MICROS,
        retry_after_s=wait / _MICROS,
    )
