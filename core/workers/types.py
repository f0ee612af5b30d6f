from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

SILENT_AFTER_S: Final = 60
"""A worker tells that it is there every few seconds; one that was not heard for so long is not counted on.

`work_ahead`, in the migrations, counts the same ones.
"""


class DrainMode(StrEnum):
    FINISH = "finish"
    """Claim no more; the job at hand is done to its end."""
    NOW = "now"
    """Hand the job at hand back as well, with its place saved."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, as the driver tells of it."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    used_bytes: int
    utilization: float | None
    """From 0 to 1."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a worker tells of itself with each heartbeat."""

    hardware: str = "cpu"
    devices: tuple[Device, ...] = ()
    memory_bytes: int | None = None
    used_memory_bytes: int | None = None
    job_id: str | None = None
    num_jobs_done: int = 0


@dataclass(frozen=True, slots=True)
class Offered:
    """What live workers of one kind of hardware have; of several the least, for any of them may get the work."""

    hardware: str
    memory_bytes: int | None
    """Of one GPU, or of the machine of a processor; None where nobody has told."""
    num_devices: int


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told in return."""

    is_let_in: bool
    """False if its token is unknown, revoked, or missing where one is needed: it may not claim."""
    drain: DrainMode | None
