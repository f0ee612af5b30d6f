"""Live news. A message on a channel says "look again"; what there is to see is in the database."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Protocol

import redis
import redis.asyncio

from core.backends.hints import HintSender
from core.config import Settings

_TIMEOUT_S = 2


class EventBus(Protocol):
    def publish(self, channel: str) -> None:
        """Wake whoever listens to `channel`. Never waits and never raises: readers also look by themselves."""

    def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        """Yields when there may be news: on each message, and every `interval_s` seconds in any case."""


class RedisEventBus:
    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._client = redis.Redis.from_url(self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        self._news = HintSender("live news", self._send, (redis.RedisError, OSError))

    def publish(self, channel: str) -> None:
        self._news.give(channel)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all news are sent or given up; False if that takes longer."""
        return self._news.flush(timeout_s)

    async def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        while True:
            with suppress(redis.RedisError, OSError):
                async with aclosing(self._listen_once(channel, interval_s)) as wakes:
                    async for _ in wakes:
                        yield
            # without a server the listener goes on at its own pace
            yield
            await asyncio.sleep(interval_s)

    async def _listen_once(self, channel: str, interval_s: float) -> AsyncGenerator[None, None]:
        """Until the server is lost: one that leaves a ping unanswered for a whole interval is."""
        client = redis.asyncio.Redis.from_url(self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        async with aclosing(client), client.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            is_asked = False
            while True:
                message = await pubsub.get_message(timeout=interval_s)
                if message is None:
                    if is_asked:
                        return
                    await pubsub.ping()
                is_asked = message is None
                if message is None or message["type"] != "pong":
                    yield

    def _send(self, channel: str) -> None:
        self._client.publish(channel, b"")


class RecordingEventBus:
    """Keeps what was published; a listener is woken once and then ends. For tests."""

    def __init__(self) -> None:
        self.published: list[str] = []

    def publish(self, channel: str) -> None:
        self.published.append(channel)

    async def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        del channel, interval_s
        yield
