"""Answers that somebody asked to keep: read, labelled, deleted, and swept when their time is over."""

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.errors import NotFound
from core.kit.pagination import Page, PageRequest
from core.serving.completions.masking import mask, mask_answer, mask_metadata
from core.serving.completions.models import Completion
from core.serving.completions.repository import CompletionRepository, ExpiredRepository
from core.serving.completions.types import CompletionFilter, NewCompletion
from core.serving.storable import storable
from core.workspaces.principal import Principal

# a transaction that deletes more holds its locks for long
_SWEPT_AT_ONCE = 1000


def keep(session: Session, new: NewCompletion) -> None:
    """Store an answer, once however often this is called for the same one.

    A NUL character, which a model may write and Postgres cannot hold, is kept as the replacement character.
    """
    CompletionRepository(session, new.workspace_id).add(
        Completion(
            id=new.id,
            workspace_id=new.workspace_id,
            created_by=new.created_by,
            model=new.model,
            messages=storable(mask(new.messages) if new.is_masked else new.messages),
            parameters=storable(mask(new.parameters) if new.is_masked else new.parameters),
            answer=storable(mask_answer(new.answer) if new.is_masked else new.answer),
            user_metadata=storable(mask_metadata(new.metadata) if new.is_masked else new.metadata),
            origin=new.origin,
            outcome=new.outcome,
            served_model=new.served_model,
            release=new.release,
            api_key_id=new.api_key_id,
            latency_ms=new.latency_ms,
            error_code=new.error_code,
            is_masked=new.is_masked,
        )
    )


def get(session: Session, *, workspace_id: str, completion_id: str) -> Completion:
    """Raises `NotFound` (`completion_not_found`)."""
    return _found(CompletionRepository(session, workspace_id).get(completion_id), completion_id)


def list_completions(
    session: Session, *, workspace_id: str, page: PageRequest, wanted: CompletionFilter
) -> Page[Completion]:
    """Oldest first where the page is ascending."""
    return CompletionRepository(session, workspace_id).page(page, wanted=wanted)


def label(session: Session, *, principal: Principal, completion_id: str, metadata: dict[str, str]) -> Completion:
    """Put these pairs in the place of those it has."""
    repository = CompletionRepository(session, principal.workspace_id)
    completion = _found(repository.get(completion_id, for_update=True), completion_id)
    completion.user_metadata = storable(metadata)
    session.flush()
    audit.record(session, principal=principal, action="completion.labelled", target_id=completion.id)
    return completion


def delete(session: Session, *, principal: Principal, completion_id: str) -> None:
    """For good: nothing of what was said is left. The audit log says who deleted an answer of which model."""
    repository = CompletionRepository(session, principal.workspace_id)
    completion = _found(repository.get(completion_id, for_update=True), completion_id)
    repository.remove(completion)
    audit.record(
        session,
        principal=principal,
        action="completion.deleted",
        target_id=completion_id,
        details={"model": completion.model},
    )


def sweep(session: Session, *, older_than_days: int) -> int:
    """Delete some of what was kept for its time; how many, 0 when all of it is gone. Needs a system session.

    What was stored is kept for `older_than_days` (0 for ever), what was logged for as long as its workspace says.
    """
    expired = ExpiredRepository(session)
    num_removed = expired.remove_logged(limit=_SWEPT_AT_ONCE)
    if older_than_days:
        num_removed += expired.remove_stored(older_than_days=older_than_days, limit=_SWEPT_AT_ONCE)
    return num_removed


def _found(completion: Completion | None, completion_id: str) -> Completion:
    if completion is None:
        raise NotFound(
            f"There is no kept answer {completion_id} here. Only answers that were asked for with `store: true`, "
            "or while the request log was on, are kept, and only for a while.",
            code="completion_not_found",
            param="completion_id",
        )
    return completion
