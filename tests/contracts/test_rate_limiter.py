"""Each rate limiter through the same cases."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from core.backends.limits import MemoryRateLimiter, NullRateLimiter, RateLimiter, RedisRateLimiter, Taken
from core.config import Settings
from core.kit.ids import new_id
from tests.factories.proxied import proxied
from tests.faults.proxy import FaultProxy


@pytest.fixture(params=["null", "memory", pytest.param("redis", marks=pytest.mark.stack)])
def limiter(request: pytest.FixtureRequest) -> RateLimiter:
    if request.param == "null":
        return NullRateLimiter()
    if request.param == "memory":
        return MemoryRateLimiter()
    return RedisRateLimiter(request.getfixturevalue("settings"))


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.stack)])
def counting(request: pytest.FixtureRequest) -> RateLimiter:
    if request.param == "memory":
        return MemoryRateLimiter()
    return RedisRateLimiter(request.getfixturevalue("settings"))


def run(limiter: RateLimiter, work: Callable[[RateLimiter], Awaitable[None]], *, within_s: float = 10) -> None:
    async def whole() -> None:
        try:
            await work(limiter)
        finally:
            await limiter.close()

    asyncio.run(asyncio.wait_for(whole(), timeout=within_s))


def bucket() -> str:
    """Servers outlive a test."""
    return new_id("test_")


async def take(limiter: RateLimiter, name: str, per_minute: int) -> Taken:
    taken = await limiter.take(name, per_minute=per_minute)
    assert taken is not None
    return taken


class TestEveryLimiter:
    def test_the_first_request_is_allowed_and_told_its_limit(self, limiter: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            taken = await take(limiter, bucket(), 60)
            assert (taken.is_allowed, taken.limit, taken.retry_after_s) == (True, 60, 0.0)
            assert taken.remaining in {59, 60}

        run(limiter, work)

    def test_more_than_one_in_a_microsecond_is_a_limit_too(self, limiter: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            taken = await take(limiter, bucket(), 10**9)
            assert (taken.is_allowed, taken.limit, taken.remaining) == (True, 10**9, 10**9)

        run(limiter, work)

    def test_closing_one_that_was_never_used_is_no_error(self, limiter: RateLimiter) -> None:
        asyncio.run(limiter.close())


class TestCounting:
    def test_a_minutes_worth_is_allowed_at_once_and_not_one_more(self, counting: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            name = bucket()
            taken = [await take(limiter, name, 5) for _ in range(7)]
            assert [one.is_allowed for one in taken] == [True] * 5 + [False] * 2
            assert [one.remaining for one in taken] == [4, 3, 2, 1, 0, 0, 0]
            # the next token is there after a fifth of a minute, and what is refused costs none
            assert 11 < taken[5].retry_after_s <= 12
            assert taken[6].retry_after_s <= taken[5].retry_after_s
            assert 59 < taken[4].full_in_s <= 60

        run(counting, work)

    def test_tokens_come_back_evenly(self, counting: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            name = bucket()
            # one each 5 ms, so that many are missing however slowly they are asked for
            first = await limiter.take(name, per_minute=12_000, amount=6_000)
            assert first is not None
            await until(
                lambda: take(limiter, name, 12_000),
                lambda taken: taken is not None and taken.remaining > first.remaining,
            )

        run(counting, work)

    def test_several_units_are_taken_together_or_not_at_all(self, counting: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            name = bucket()
            taken = [await limiter.take(name, per_minute=1000, amount=amount) for amount in (600, 500, 400, 1)]
            assert [one is not None and one.is_allowed for one in taken] == [True, False, True, False]
            first, refused = taken[:2]
            assert first is not None
            assert first.remaining == 400
            assert refused is not None
            assert 400 <= refused.remaining < 410
            # what is missing of it is there again after as long as it takes to come back
            assert 5 < refused.retry_after_s <= 6

        run(counting, work)

    def test_what_was_used_beyond_what_was_taken_is_waited_for(self, counting: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            name = bucket()
            await limiter.take(name, per_minute=1000, amount=1000)
            await limiter.settle(name, per_minute=1000, amount=1000)
            refused = await limiter.take(name, per_minute=1000, amount=100)
            assert refused is not None
            assert not refused.is_allowed
            assert 65 < refused.retry_after_s <= 66
            await limiter.settle(name, per_minute=1000, amount=-2000)
            assert (await take(limiter, name, 1000)).remaining == 999
            # who gives back more than was taken has no more than all
            await limiter.settle(name, per_minute=1000, amount=-5000)
            assert (await take(limiter, name, 1000)).remaining == 999

        run(counting, work)

    def test_buckets_do_not_know_of_each_other(self, counting: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            one, other = bucket(), bucket()
            assert (await take(limiter, one, 1)).is_allowed
            assert not (await take(limiter, one, 1)).is_allowed
            assert (await take(limiter, other, 1)).is_allowed

        run(counting, work)

    def test_of_many_at_once_as_many_are_allowed_as_there_are_tokens(self, counting: RateLimiter) -> None:
        async def work(limiter: RateLimiter) -> None:
            name, other = bucket(), bucket()
            names = [name, other] * 300
            taken = await asyncio.gather(*(take(limiter, one, 100) for one in names))
            for one in (name, other):
                allowed = [t for n, t in zip(names, taken, strict=True) if n == one and t.is_allowed]
                assert len(allowed) == 100

        run(counting, work)


async def until(ask: Callable[[], Awaitable[Taken | None]], holds: Callable[[Taken | None], bool]) -> None:
    while not holds(await ask()):  # noqa: ASYNC110 - nothing tells when a token is there
        await asyncio.sleep(0.01)


@pytest.mark.stack
class TestRedis:
    def test_two_processes_count_together(self, settings: Settings) -> None:
        async def work(limiter: RateLimiter) -> None:
            other = RedisRateLimiter(settings)
            name = bucket()
            try:
                taken = [await take(one, name, 4) for one in (limiter, other) * 3]
            finally:
                await other.close()
            assert [one.is_allowed for one in taken] == [True] * 4 + [False] * 2

        run(RedisRateLimiter(settings), work)

    def test_it_counts_on_after_the_server_forgot_its_scripts(self, settings: Settings) -> None:
        import redis

        async def work(limiter: RateLimiter) -> None:
            await take(limiter, bucket(), 5)
            with redis.Redis.from_url(settings.redis_url) as server:
                server.script_flush()
            assert (await take(limiter, bucket(), 5)).is_allowed

        run(RedisRateLimiter(settings), work)

    def test_a_bucket_leaves_nothing_behind_once_it_is_full(self, settings: Settings) -> None:
        import redis

        async def work(limiter: RateLimiter) -> None:
            name = bucket()
            await take(limiter, name, 60)
            with redis.Redis.from_url(settings.redis_url) as server:
                assert 0 < server.pttl(f"limit:{name}") <= 1000  # type: ignore[operator]

        run(RedisRateLimiter(settings), work)

    def test_one_that_hangs_costs_a_quarter_of_a_second_once_and_is_counted_on_later(self, settings: Settings) -> None:
        async def work(limiter: RateLimiter, proxy: FaultProxy) -> None:
            await take(limiter, bucket(), 5)
            proxy.faults.black_hole = True
            started_at = time.monotonic()
            assert await limiter.take(bucket(), per_minute=5) is None
            first_s = time.monotonic() - started_at
            for _ in range(100):
                assert await limiter.take(bucket(), per_minute=5) is None
            assert first_s < 0.6
            assert time.monotonic() - started_at < first_s + 0.2
            proxy.faults.black_hole = False
            await until(lambda: limiter.take(bucket(), per_minute=5), lambda taken: taken is not None)

        with proxied(settings) as (proxy, through):
            limiter = RedisRateLimiter(through)
            run(limiter, lambda limiter: work(limiter, proxy), within_s=20)


def test_one_that_is_away_says_so_once_and_allows_nothing_and_refuses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(limiter: RateLimiter) -> None:
        started_at = time.monotonic()
        assert [await limiter.take("x", per_minute=5) for _ in range(100)] == [None] * 100
        assert time.monotonic() - started_at < 0.6

    run(RedisRateLimiter(Settings(redis_url="redis://127.0.0.1:1/0")), work)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
