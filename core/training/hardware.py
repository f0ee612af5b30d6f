"""Where a run would be done: the hardware that live workers offer, its price, and the queue that leads to it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.errors import NotFound
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.types import QueueOutlook
from core.training.placement import Machine
from core.usage import service as usage
from core.usage.models import Price
from core.workers import service as workers
from core.workers.hardware import CPU
from core.workers.types import Offered


@dataclass(frozen=True, slots=True)
class Offer:
    """Hardware that a worker has or, with nobody there, would most likely have."""

    machine: Machine
    queue: QueueName
    price: Price

    @property
    def hardware(self) -> str:
        return self.machine.hardware


@dataclass(frozen=True, slots=True)
class Place:
    """A queue, and where a run would stand in it if it were submitted now."""

    queue: QueueName
    outlook: QueueOutlook


def list_offers(session: Session) -> list[Offer]:
    """A GPU before a processor; of several kinds the cheapest by the hour. Hardware without a price is not offered.

    There is always one: with nobody there, a processor whose memory is not known.
    """
    offers = [offer for found in workers.available_hardware(session) if (offer := _offer(session, found)) is not None]
    if not offers:
        return [Offer(machine=Machine(CPU), queue=QueueName.CPU, price=usage.price_at(session, hardware=CPU))]
    return sorted(offers, key=lambda offer: (offer.queue is not QueueName.GPU, offer.price.micros_per_hour))


def place_in(session: Session, *, workspace_id: str, queue_name: QueueName) -> Place:
    return Place(queue=queue_name, outlook=jobs.outlook(session, workspace_id=workspace_id, queue_name=queue_name))


def _offer(session: Session, found: Offered) -> Offer | None:
    try:
        price = usage.price_at(session, hardware=found.hardware)
    except NotFound:
        return None
    machine = Machine(hardware=found.hardware, memory_bytes=found.memory_bytes, num_devices=found.num_devices)
    return Offer(machine=machine, queue=workers.queue_for(found.hardware), price=price)
