"""Live news. A message on a channel says "look again"; what there is to see is in the database."""

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Protocol

import redis
import redis.asyncio

from core.config import Settings


class EventBus(Protocol):
    def publish(self, channel: str) -> None:
        """Wake whoever listens to `channel`. Never raises: news is a hint, and readers also look by themselves."""

    def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        """Yields when there may be news: on each message, and every `interval_s` seconds in any case."""


class RedisEventBus:
    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._client = redis.Redis.from_url(self._url, socket_timeout=2, socket_connect_timeout=2)

    def publish(self, channel: str) -> None:
        with suppress(redis.RedisError):
            self._client.publish(channel, b"")

    async def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        client = redis.asyncio.Redis.from_url(self._url, socket_connect_timeout=2)
        async with aclosing(client), client.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            while True:
                await pubsub.get_message(ignore_subscribe_messages=True, timeout=interval_s)
                yield


class RecordingEventBus:
    """Keeps what was published; a listener is woken once and then ends. For tests."""

    def __init__(self) -> None:
        self.published: list[str] = []

    def publish(self, channel: str) -> None:
        self.published.append(channel)

    async def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        del channel, interval_s
        yield
