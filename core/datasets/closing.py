"""While a person's rows are removed, nothing in the workspace begins that would read them and keep them."""

from sqlalchemy.orm import Session

from core.datasets.repository import VersionRepository
from core.errors import Conflict
from core.jobs import service as jobs
from core.jobs.kinds import JobKind


def close(session: Session, *, workspace_id: str) -> None:
    """Wait for whoever begins something now to have it entered. Call before looking what is in the way."""
    VersionRepository(session, workspace_id).lock_rows(is_shared=False)


def put_off(session: Session, *, workspace_id: str) -> None:
    """Whoever looks what is being removed, and writes by it, has a `close` wait until that is committed."""
    VersionRepository(session, workspace_id).lock_rows(is_shared=True)


def refuse_while_closed(session: Session, *, workspace_id: str) -> None:
    """Whoever makes a version or a run asks first; an erasure that is confirmed meanwhile waits for the commit."""
    put_off(session, workspace_id=workspace_id)
    if jobs.is_any_open(session, workspace_id=workspace_id, kind=JobKind.PERSON_ERASURE):
        raise Conflict(
            "A person's rows are being removed from this workspace. Try again in a few minutes.",
            code="erasure_in_progress",
        )
