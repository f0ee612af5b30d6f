"""Worker processes, as they tell of themselves, and what they are told in return. All need a system session."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from core.errors import NotFound
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.workers.models import Worker, WorkerToken
from core.workers.repository import TokenRepository, WorkerRepository
from core.workers.tokens import create_token, find, new_secret, register_token, revoke_token
from core.workers.types import DrainMode, Offered, Orders, Vitals

__all__ = [
    "available_hardware",
    "beat",
    "create_token",
    "drain",
    "due",
    "find",
    "leave",
    "list_workers",
    "new_secret",
    "queue_for",
    "register_token",
    "remove_silent",
    "revoke_token",
    "try_lock_reconciler",
    "undrain",
]

_FORGOTTEN_AFTER_S = 120
_MAX_RUNG = 100
_TRAINS = (QueueName.CPU, QueueName.GPU)


def beat(
    session: Session,
    *,
    worker_id: str,
    hostname: str,
    queue_name: QueueName,
    pid: int,
    version: str,
    vitals: Vitals | None = None,
    token: str = "",
    is_token_required: bool = False,
    drain_mode: DrainMode | None = None,
) -> Orders:
    """Say that a worker is alive; the first time, and after it was given up, it is registered if its token lets it in.

    A token that is shown must be known and not revoked, whether or not one is required. `drain_mode` is what the worker
    was last told: one that was given up for its silence must not come back as if nobody had drained it.
    """
    vitals = vitals or Vitals()
    found = find(session, secret=token) if token else None
    is_valid = _is_valid(found)
    worker = WorkerRepository(session).beat(worker_id, vitals)
    if found is not None and is_valid:
        TokenRepository(session).touch(found.id)
    if worker is not None:
        told = DrainMode.NOW if token and not is_valid else worker.drain_mode
        return Orders(is_let_in=True, drain=None if told is None else DrainMode(told))
    if not is_valid and (token or is_token_required):
        return Orders(is_let_in=False, drain=None)
    WorkerRepository(session).add(
        worker_id=worker_id,
        hostname=hostname,
        queue=queue_name,
        pid=pid,
        version=version,
        vitals=vitals,
        token_id=found.id if found is not None else None,
        drain_mode=drain_mode,
    )
    return Orders(is_let_in=True, drain=drain_mode)


def leave(session: Session, *, worker_id: str) -> None:
    WorkerRepository(session).remove(worker_id)


def drain(session: Session, *, worker_id: str, mode: DrainMode | str) -> Worker:
    """The worker claims no more, and with `now` hands back what it works on; it learns that by its next heartbeat."""
    return _found(WorkerRepository(session).drain(worker_id, DrainMode(mode)), worker_id)


def undrain(session: Session, *, worker_id: str) -> Worker:
    """It may claim again. One whose token was revoked drains again at once."""
    return _found(WorkerRepository(session).undrain(worker_id), worker_id)


def list_workers(session: Session) -> Sequence[Worker]:
    return WorkerRepository(session).all()


def available_hardware(session: Session) -> list[Offered]:
    """What live workers can train on, by the key of its price, GPUs first; empty if nobody is there."""
    kinds: dict[str, list[Offered]] = defaultdict(list)
    for hardware, devices, memory_bytes in WorkerRepository(session).machines(_TRAINS):
        kinds[hardware].append(_offered(hardware, devices, memory_bytes))
    return [
        Offered(
            hardware=hardware,
            memory_bytes=min((one.memory_bytes for one in kinds[hardware] if one.memory_bytes), default=None),
            num_devices=min(one.num_devices for one in kinds[hardware]),
        )
        for hardware in sorted(kinds, key=lambda key: (queue_for(key) is QueueName.CPU, key))
    ]


def queue_for(hardware: str) -> QueueName:
    """The queue whose workers have this hardware."""
    return QueueName.GPU if hardware.startswith("gpu:") else QueueName.CPU


def remove_silent(session: Session) -> None:
    WorkerRepository(session).remove_silent(_FORGOTTEN_AFTER_S)


def try_lock_reconciler(session: Session) -> bool:
    """True for one transaction at a time."""
    return WorkerRepository(session).try_lock_reconciler()


def due(session: Session) -> list[tuple[QueueName, str]]:
    """Jobs that could be claimed now and whose queue some worker serves."""
    served = WorkerRepository(session).queues()
    return [(queue, job_id) for queue, job_id in jobs.due(session, limit=_MAX_RUNG) if queue in served]


def _offered(hardware: str, devices: Sequence[dict[str, Any]], memory_bytes: int | None) -> Offered:
    if queue_for(hardware) is QueueName.CPU:
        return Offered(hardware=hardware, memory_bytes=memory_bytes, num_devices=1)
    # a driver that may not tell says zero
    told = [int(device["memory_bytes"]) for device in devices if device.get("memory_bytes")]
    return Offered(hardware=hardware, memory_bytes=min(told, default=None), num_devices=max(1, len(devices)))


def _is_valid(token: WorkerToken | None) -> bool:
    return token is not None and token.revoked_at is None


def _found(worker: Worker | None, worker_id: str) -> Worker:
    if worker is None:
        raise NotFound(
            f"There is no worker {worker_id}; it may have ended.", code="worker_not_found", param="worker_id"
        )
    return worker
