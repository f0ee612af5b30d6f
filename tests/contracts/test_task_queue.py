"""Each task queue through the same cases."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from core.backends.queue import TASK_NAME, CeleryTaskQueue, RecordingTaskQueue, TaskQueue
from core.config import Settings
from tests.factories.proxied import proxied
from tests.factories.waiting import eventually


@pytest.fixture(params=["recording", pytest.param("celery", marks=pytest.mark.stack)])
def queue(request: pytest.FixtureRequest) -> TaskQueue:
    if request.param == "recording":
        return RecordingTaskQueue()
    return CeleryTaskQueue(request.getfixturevalue("settings"))


class TestTaskQueue:
    def test_ringing_twice_is_no_error(self, queue: TaskQueue) -> None:
        queue.ring("tests", "job_1")
        queue.ring("tests", "job_1")


@pytest.mark.stack
def test_the_message_names_the_job_and_nothing_of_anybodys_data(settings: Settings) -> None:
    server = redis.Redis.from_url(settings.redis_url)
    server.delete("one-queue")
    queue = CeleryTaskQueue(settings)
    queue.ring("one-queue", "job_1")
    assert queue.flush(5)
    message = json.loads(server.lindex("one-queue", 0))  # type: ignore[arg-type]
    server.delete("one-queue")
    server.close()
    assert message["headers"]["task"] == TASK_NAME
    assert message["headers"]["argsrepr"] == "['job_1']"


class TestOutage:
    def test_a_broker_that_is_away_costs_the_ringer_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        queue = CeleryTaskQueue(Settings(redis_url="redis://127.0.0.1:1/0"))
        with quick(0.5):
            for n in range(100):
                queue.ring("io", f"job_{n}")
        assert queue.flush(10)
        assert [record.levelname for record in caplog.records] == ["WARNING"], "once an outage, not once a message"

    @pytest.mark.stack
    def test_one_that_hangs_costs_nothing_either_and_rings_again_when_it_is_back(
        self, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        server = redis.Redis.from_url(settings.redis_url)
        server.delete("hung-queue")
        with proxied(settings) as (proxy, through):
            queue = CeleryTaskQueue(through)
            queue.ring("hung-queue", "job_1")
            assert queue.flush(5)
            proxy.faults.black_hole = True
            with quick(0.5):
                for n in range(3):
                    queue.ring("hung-queue", f"job_{n}")
            assert not queue.flush(0.2)
            eventually(lambda: any("lost for now" in record.message for record in caplog.records))
            proxy.heal()
            eventually(lambda: (queue.ring("hung-queue", "job_9"), queue.flush(5))[1] and num_rung(server) > 1)
        assert any("sent again" in record.message for record in caplog.records)
        server.delete("hung-queue")
        server.close()

    @pytest.mark.stack
    def test_one_that_is_full_costs_nothing(self, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
        server = redis.Redis.from_url(settings.redis_url)
        before = server.config_get("maxmemory")["maxmemory"]  # type: ignore[index]
        server.config_set("maxmemory", 1)
        try:
            queue = CeleryTaskQueue(settings)
            with quick(0.5):
                queue.ring("io", "job_1")
            assert queue.flush(10)
        finally:
            server.config_set("maxmemory", before)
            server.close()
        assert [record.levelname for record in caplog.records] == ["WARNING"]


def num_rung(server: "redis.Redis") -> int:
    return int(server.llen("hung-queue"))  # type: ignore[arg-type]


@contextmanager
def quick(seconds: float) -> Iterator[None]:
    started_at = time.monotonic()
    yield
    assert time.monotonic() - started_at < seconds
