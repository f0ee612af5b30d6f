"""Where the real backends are plugged together; tests build `Backends` from the recording and memory ones."""

from dataclasses import dataclass

from core.backends.blobs import BlobStore, S3BlobStore
from core.backends.events import EventBus, RedisEventBus
from core.backends.limits import RateLimiter, RedisRateLimiter
from core.backends.mail import Mailer, SmtpMailer
from core.backends.outbound import OutboundClient
from core.backends.queue import CeleryTaskQueue, TaskQueue
from core.config import Settings


@dataclass(frozen=True, slots=True)
class Backends:
    blobs: BlobStore
    queue: TaskQueue
    events: EventBus
    mail: Mailer
    outbound: OutboundClient
    limits: RateLimiter


def build_backends(settings: Settings) -> Backends:
    return Backends(
        blobs=S3BlobStore(settings),
        queue=CeleryTaskQueue(settings),
        events=RedisEventBus(settings),
        mail=SmtpMailer(settings),
        outbound=OutboundClient.of_settings(settings),
        limits=RedisRateLimiter(settings),
    )
