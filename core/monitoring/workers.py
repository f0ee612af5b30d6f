"""Workers and the tokens that let them in, for whoever runs the installation. Needs a system session."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.errors import NotFound
from core.monitoring.repository import WorkersRepository
from core.monitoring.types import TokenView, WorkerView


def list_workers(session: Session) -> Sequence[WorkerView]:
    """By queue, those that fell silent lately among them."""
    return WorkersRepository(session).views()


def get_worker(session: Session, *, worker_id: str) -> WorkerView:
    found = WorkersRepository(session).views(worker_id)
    if not found:
        raise NotFound(f"There is no worker {worker_id}; it has left.", code="worker_not_found", param="worker_id")
    return found[0]


def list_tokens(session: Session) -> Sequence[TokenView]:
    """Newest first, the revoked ones too."""
    return WorkersRepository(session).tokens()


def get_token(session: Session, *, token_id: str) -> TokenView:
    found = WorkersRepository(session).tokens(token_id)
    if not found:
        raise NotFound(f"There is no worker token {token_id}.", code="worker_token_not_found", param="token_id")
    return found[0]
