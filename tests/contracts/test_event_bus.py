"""Each event bus through the same cases."""

import asyncio
import time

import pytest

from core.backends.events import EventBus, RecordingEventBus, RedisEventBus
from core.config import Settings
from tests.factories.proxied import proxied
from tests.faults.proxy import FaultProxy


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


def test_a_bus_that_is_away_loses_the_news_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    bus = RedisEventBus(Settings(redis_url="redis://127.0.0.1:1/0"))
    started_at = time.monotonic()
    for n in range(100):
        bus.publish(f"job:{n}")
    assert time.monotonic() - started_at < 0.5
    assert bus.flush(10)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_listener_without_a_server_goes_on_at_its_own_pace() -> None:
    async def three_wakes() -> None:
        listening = RedisEventBus(Settings(redis_url="redis://127.0.0.1:1/0")).listen("job:1", interval_s=0.05)
        for _ in range(3):
            await anext(listening)
        await listening.aclose()  # type: ignore[attr-defined]

    asyncio.run(asyncio.wait_for(three_wakes(), timeout=20))


@pytest.mark.stack
def test_a_listener_hears_again_after_its_server_hung(settings: Settings) -> None:
    direct = RedisEventBus(settings)

    async def listen_through_an_outage(proxy: FaultProxy, bus: RedisEventBus) -> None:
        listening = bus.listen("job:1", interval_s=0.2)
        await anext(listening)
        proxy.faults.black_hole = True
        for _ in range(4):
            await anext(listening)
        # nobody resets what was swallowed: the listener has to notice by itself
        proxy.faults.black_hole = False
        heard_after: list[float] = []
        while not heard_after or min(heard_after) > 0.1:
            started_at = time.monotonic()
            direct.publish("job:1")
            await anext(listening)
            heard_after.append(time.monotonic() - started_at)
        await listening.aclose()  # type: ignore[attr-defined]

    with proxied(settings) as (proxy, through):
        asyncio.run(asyncio.wait_for(listen_through_an_outage(proxy, RedisEventBus(through)), timeout=30))
