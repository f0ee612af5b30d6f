"""Each task queue through the same cases."""

import json
import time

import pytest
import redis

from core.backends.queue import TASK_NAME, CeleryTaskQueue, RecordingTaskQueue, TaskQueue
from core.config import Settings
from core.errors import Unavailable


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
    CeleryTaskQueue(settings).ring("one-queue", "job_1")
    message = json.loads(server.lindex("one-queue", 0))  # type: ignore[arg-type]
    server.delete("one-queue")
    server.close()
    assert message["headers"]["task"] == TASK_NAME
    assert message["headers"]["argsrepr"] == "['job_1']"


def test_a_broker_that_is_away_is_unavailable_within_seconds() -> None:
    queue = CeleryTaskQueue(Settings(redis_url="redis://127.0.0.1:1/0"))
    started = time.monotonic()
    with pytest.raises(Unavailable):
        queue.ring("io", "job_1")
    assert time.monotonic() - started < 10
