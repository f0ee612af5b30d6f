"""What a run, or a study, pays: the seconds in which its model worked on its data, once.

Start-up, work that was lost and done anew, and runs that end by our fault are free.
"""

import math

from sqlalchemy.orm import Session

from core.kit.money import priced
from core.training.models import Run, ScalingStudy
from core.usage import service as usage
from core.usage.models import LedgerKind

Billed = Run | ScalingStudy


def seconds_of(reported: object) -> float:
    """The seconds that a trainer reported; 0 for what cannot be a duration. The trainer is not trusted."""
    if isinstance(reported, bool) or not isinstance(reported, int | float):
        return 0.0
    return float(reported) if math.isfinite(reported) and reported > 0 else 0.0


def charge(session: Session, run: Billed, *, billable_s: float, num_tokens: int) -> None:
    """Enter the cost of a run that is over. A second charge of the same run changes nothing in the ledger."""
    run.seconds = billable_s
    run.cost_micros = priced(run.price_micros_per_hour or 0, billable_s)
    session.flush()
    usage.record(
        session,
        workspace_id=run.workspace_id,
        kind=LedgerKind.TRAINING,
        source_id=run.id,
        amount_micros=run.cost_micros,
        seconds=billable_s,
        tokens=num_tokens,
        created_by=run.created_by,
    )


def note_used(session: Session, run: Billed, *, billable_s: float) -> None:
    """Keep what was used so far by a run that goes on later, or is cancelled while it waits."""
    if billable_s > 0:
        run.seconds = billable_s
        session.flush()


def charge_cancelled(session: Session, run: Billed) -> None:
    """End the bill of a run that was cancelled while nobody worked on it; one that never began pays nothing."""
    if run.cost_micros is None:
        if run.seconds:
            charge(session, run, billable_s=run.seconds, num_tokens=0)
        else:
            end_free(session, run)


def end_free(session: Session, run: Billed) -> None:
    if run.cost_micros is None:
        run.cost_micros = 0
        session.flush()
