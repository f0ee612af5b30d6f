"""Where a run would be done: the hardware that live workers offer, its price, and the queue that leads to it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.errors import NotFound
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.types import QueueOutlook
from core.usage import service as usage
from core.usage.models import Price
from core.workers import service as workers
from core.workers.hardware import CPU


@dataclass(frozen=True, slots=True)
class Offer:
    """Hardware that a worker has or, with nobody there, would most likely have."""

    hardware: str
    queue: QueueName
    price: Price


@dataclass(frozen=True, slots=True)
class Place:
    """A queue, and where a run would stand in it if it were submitted now."""

    queue: QueueName
    outlook: QueueOutlook


def best_offer(session: Session) -> Offer:
    """A GPU before a processor; of several kinds the cheapest by the hour. Hardware without a price is not offered."""
    offers = [
        offer for hardware in workers.available_hardware(session) if (offer := _offer(session, hardware)) is not None
    ]
    if not offers:
        return Offer(hardware=CPU, queue=QueueName.CPU, price=usage.price_at(session, hardware=CPU))
    return min(offers, key=lambda offer: (offer.queue is not QueueName.GPU, offer.price.micros_per_hour))


def place_in(session: Session, *, workspace_id: str, queue_name: QueueName) -> Place:
    return Place(queue=queue_name, outlook=jobs.outlook(session, workspace_id=workspace_id, queue_name=queue_name))


def _offer(session: Session, hardware: str) -> Offer | None:
    try:
        price = usage.price_at(session, hardware=hardware)
    except NotFound:
        return None
    return Offer(hardware=hardware, queue=workers.queue_for(hardware), price=price)
