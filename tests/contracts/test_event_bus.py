"""Each event bus through the same cases."""

import asyncio

import pytest

from core.backends.events import EventBus, RecordingEventBus, RedisEventBus
from core.config import Settings


@pytest.fixture(params=["recording", pytest.param("redis", marks=pytest.mark.stack)])
def bus(request: pytest.FixtureRequest) -> EventBus:
    if request.param == "recording":
        return RecordingEventBus()
    return RedisEventBus(request.getfixturevalue("settings"))


async def first_wake(bus: EventBus, channel: str, *, interval_s: float) -> None:
    listening = bus.listen(channel, interval_s=interval_s)
    await anext(listening)
    await listening.aclose()  # type: ignore[attr-defined]


class TestEventBus:
    def test_publishing_to_nobody_is_no_error(self, bus: EventBus) -> None:
        bus.publish("job:none")

    def test_a_listener_wakes_without_news_too(self, bus: EventBus) -> None:
        asyncio.run(asyncio.wait_for(first_wake(bus, "job:quiet", interval_s=0.05), timeout=5))


@pytest.mark.stack
def test_news_wake_a_listener_long_before_its_interval(settings: Settings) -> None:
    bus = RedisEventBus(settings)

    async def publish_until_heard() -> None:
        heard = asyncio.create_task(first_wake(bus, "job:1", interval_s=60))
        while not heard.done():
            # a listener that has not subscribed yet misses the news, as in life
            await asyncio.to_thread(bus.publish, "job:1")
            await asyncio.wait([heard], timeout=0.05)
        await heard

    asyncio.run(asyncio.wait_for(publish_until_heard(), timeout=10))


def test_a_bus_that_is_away_loses_the_news_and_nothing_else() -> None:
    RedisEventBus(Settings(redis_url="redis://127.0.0.1:1/0")).publish("job:1")
