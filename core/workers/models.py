from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created
from core.db.enum_text import EnumText
from core.jobs.kinds import QueueName


class WorkerToken(Created, Base):
    """What lets a worker in. Only its hash is kept."""

    __tablename__ = "worker_tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    created_by: Mapped[str | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Worker(Created, Base):
    """A worker process that is alive, or was until `heartbeat_at`."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    hostname: Mapped[str]
    queue: Mapped[QueueName] = mapped_column(EnumText(QueueName))
    pid: Mapped[int]
    version: Mapped[str]
    hardware: Mapped[str] = mapped_column(server_default="cpu")
    """The key of its price: `cpu`, or `gpu:` and the name of the device."""
    devices: Mapped[list[Any]] = mapped_column(server_default="[]")
    """Its GPUs: `{"name", "memory_bytes", "used_bytes", "utilization"}`."""
    memory_bytes: Mapped[int | None]
    used_memory_bytes: Mapped[int | None]
    drain_requested_at: Mapped[datetime | None]
    drain_mode: Mapped[str | None]
    """`finish` the job at hand, or hand it back `now`."""
    job_id: Mapped[str | None]
    """What it works on."""
    num_jobs_done: Mapped[int] = mapped_column(server_default="0")
    token_id: Mapped[str | None] = mapped_column(ForeignKey("worker_tokens.id"))
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
