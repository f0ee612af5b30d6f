"""Doorbells. A message says only that there may be work of some kind; the job's row is the truth.

Losing, doubling or flushing every message costs latency and nothing else: a worker claims from the table, and the
reconciler rings again.
"""

from typing import Any, Protocol

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from core.backends.hints import HintSender
from core.config import Settings

TASK_NAME = "jobs.work"

_RING_TIMEOUT_S = 2


class TaskQueue(Protocol):
    def ring(self, queue: str, job_id: str) -> None:
        """Wake a worker of `queue`. Never waits and never raises: who is not woken looks by itself before long."""


class CeleryTaskQueue:
    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        # a publisher that waits as long as a consumer may would hold up all bells behind one
        self._app.conf.broker_transport_options |= {
            "socket_timeout": _RING_TIMEOUT_S,
            "socket_connect_timeout": _RING_TIMEOUT_S,
            "retry_on_timeout": False,
            # tries of a connection, and the seconds between them: Celery's own patience is six seconds
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
        }
        # a full server refuses with a redis error of its own, which Celery passes on as it is
        self._bell = HintSender("doorbells", self._send, (OperationalError, redis.RedisError, OSError))

    def ring(self, queue: str, job_id: str) -> None:
        self._bell.give((queue, job_id))

    def flush(self, timeout_s: float) -> bool:
        """Wait until every bell has been rung or given up; False if that takes longer."""
        return self._bell.flush(timeout_s)

    def _send(self, bell: tuple[str, str]) -> None:
        queue, job_id = bell
        self._app.send_task(TASK_NAME, args=[job_id], queue=queue, retry=False, ignore_result=True)


class RecordingTaskQueue:
    """Keeps what was rung, for tests."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, str]] = []

    def ring(self, queue: str, job_id: str) -> None:
        self.rung.append((queue, job_id))


def celery_app(settings: Settings) -> Celery:
    """The one Celery configuration, for those who ring and those who work."""
    app = Celery("tailorbird", broker=settings.redis_url)
    transport: dict[str, Any] = {
        # a consumer whose server hangs, without a word, connects anew after about ten seconds
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "retry_on_timeout": True,
    }
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # early ack: a message is a hint, and a late ack would be redelivered hourly into every long job
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_max_retries=None,
        broker_transport_options=transport,
        task_default_queue="io",
    )
    return app
