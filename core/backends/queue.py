"""Doorbells. A message says only that there may be work of some kind; the job's row is the truth.

Losing, doubling or flushing every message costs latency and nothing else: a worker claims from the table, and the
reconciler rings again.
"""

from typing import Any, Protocol

from celery import Celery
from kombu.exceptions import OperationalError

from core.config import Settings
from core.errors import Unavailable

TASK_NAME = "jobs.work"


class TaskQueue(Protocol):
    def ring(self, queue: str, job_id: str) -> None:
        """Wake a worker of `queue`. Raises `Unavailable` when the broker does not answer within seconds."""


class CeleryTaskQueue:
    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)

    def ring(self, queue: str, job_id: str) -> None:
        try:
            self._app.send_task(TASK_NAME, args=[job_id], queue=queue, retry=False, ignore_result=True)
        except OperationalError as error:
            raise Unavailable("The job queue does not answer.", code="queue_unavailable") from error


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
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
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
        broker_connection_max_retries=None,
        broker_transport_options=transport,
        task_default_queue="io",
    )
    return app
