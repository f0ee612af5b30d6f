"""Whether the queues move. Needs a system session.

A queue is stuck when all of this holds:

- a job has been due for longer than `queue_stuck_s`, and no limit of its workspace holds it back;
- in the last `queue_stuck_s`, nothing of the queue was claimed, and no worker that is alive joined it: workers that are
  only just coming up are not blamed for what waited for them;
- a worker that is alive and not draining has no job, or there is none.

A queue whose workers are all at work is busy, however long others wait.
"""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.config import Settings
from core.jobs.kinds import QueueName
from core.monitoring.repository import QueuesRepository
from core.monitoring.types import Pace, QueueState, QueueView, Share, Staff

_NOBODY = Staff()


def list_queues(session: Session, *, settings: Settings) -> list[QueueView]:
    repository = QueuesRepository(session)
    shares = repository.shares()
    staff, paces = repository.staff(), repository.paces()
    claimed = repository.claimed_within(settings.queue_stuck_s)
    return [
        _view(
            queue,
            shares=[share for share in shares if share.queue is queue],
            staff=staff.get(queue, _NOBODY),
            pace=paces.get(queue, Pace()),
            was_claimed=queue in claimed,
            settings=settings,
        )
        for queue in QueueName
    ]


def get_queue(session: Session, *, queue: QueueName, settings: Settings) -> QueueView:
    return next(view for view in list_queues(session, settings=settings) if view.name is queue)


def stuck_queues(session: Session, *, settings: Settings, up_s: float) -> list[QueueName]:
    """The queues that are stuck, as told by a process that has been up for `up_s`.

    One younger than `queue_stuck_s` blames nobody: where all starts together after a night off, the jobs are old and
    the workers have not joined yet.
    """
    if up_s < settings.queue_stuck_s:
        return []
    repository = QueuesRepository(session)
    staff = repository.staff()
    claimed = repository.claimed_within(settings.queue_stuck_s)
    stuck_s = settings.queue_stuck_s
    # cheap first: only of queues where nobody does anything is it asked what waits in them
    still = [
        queue
        for queue in QueueName
        if is_still(staff.get(queue, _NOBODY), was_claimed=queue in claimed, stuck_s=stuck_s)
    ]
    shares = repository.shares(still)
    waits_s = {
        queue: longest_claimable_wait_s([share for share in shares if share.queue is queue], settings=settings)
        for queue in still
    }
    return [queue for queue, wait_s in waits_s.items() if wait_s is not None and wait_s > stuck_s]


def is_stuck(wait_s: float | None, staff: Staff, *, was_claimed: bool, stuck_s: float) -> bool:
    """`wait_s` is that of the job which waits longest though it may run; `was_claimed`: any, in the last `stuck_s`."""
    return wait_s is not None and wait_s > stuck_s and is_still(staff, was_claimed=was_claimed, stuck_s=stuck_s)


def is_still(staff: Staff, *, was_claimed: bool, stuck_s: float) -> bool:
    """Whether what waits would have to be taken, and is not."""
    has_newcomer = staff.newest_joined_s is not None and staff.newest_joined_s <= stuck_s
    return not was_claimed and not has_newcomer and (staff.num_idle > 0 or staff.num_serving == 0)


def longest_claimable_wait_s(shares: Sequence[Share], *, settings: Settings) -> float | None:
    """Of the jobs that no limit holds back."""
    default = settings.max_running_per_workspace or None
    waits = []
    for share in shares:
        limit = default if share.max_running is None else share.max_running
        if share.oldest_wait_s is not None and (limit is None or share.num_running < limit):
            waits.append(share.oldest_wait_s)
    return max(waits, default=None)


def _view(
    queue: QueueName, *, shares: Sequence[Share], staff: Staff, pace: Pace, was_claimed: bool, settings: Settings
) -> QueueView:
    num_waiting = sum(share.num_waiting for share in shares)
    wait_s = longest_claimable_wait_s(shares, settings=settings)
    if is_stuck(wait_s, staff, was_claimed=was_claimed, stuck_s=settings.queue_stuck_s):
        state = QueueState.STUCK
    elif staff.num_serving == 0:
        state = QueueState.NO_WORKER
    elif num_waiting and staff.num_idle == 0:
        state = QueueState.BUSY
    else:
        state = QueueState.OK
    return QueueView(
        name=queue,
        state=state,
        num_waiting=num_waiting,
        num_scheduled=sum(share.num_scheduled for share in shares),
        num_running=sum(share.num_running for share in shares),
        staff=staff,
        oldest_wait_s=max((share.oldest_wait_s for share in shares if share.oldest_wait_s is not None), default=None),
        pace=pace,
        shares=tuple(sorted(shares, key=lambda share: (-share.num_running - share.num_waiting, share.workspace_id))),
    )
