"""A workspace's request log: every answer is kept as if it had been asked for with `store`, for days, and masked.

There is one store of answers. The log is the rule that fills it where a request does not say.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.blobs import BlobStore
from core.backends.queue import TaskQueue
from core.config import Settings
from core.datasets import made
from core.datasets.service import DatasetDetails
from core.errors import Conflict, Invalid, NotFound
from core.kit.clock import utc_now
from core.serving.completions.models import Completion, RequestLog
from core.serving.completions.repository import CompletionRepository
from core.serving.completions.types import MAX_LOGGED_DAYS, MIN_LOGGED_DAYS, LogChange, LogRule
from core.workspaces.principal import Principal

MAX_PICKED = 1000


def rule(session: Session, *, workspace_id: str) -> LogRule:
    """What the log does now; off where nobody ever turned it on."""
    return _rule(CompletionRepository(session, workspace_id).log())


def change(session: Session, *, principal: Principal, wanted: LogChange) -> LogRule:
    """Turn it on or off, and say for how long. Fewer days hold for what was logged before, too.

    Of two changes at once the second is one of what the first left.
    """
    log = CompletionRepository(session, principal.workspace_id).held_log(LogRule())
    before = _rule(log)
    after = wanted.of(before)
    if not MIN_LOGGED_DAYS <= after.retention_days <= MAX_LOGGED_DAYS:
        raise Invalid(
            f"Requests are kept for {MIN_LOGGED_DAYS} to {MAX_LOGGED_DAYS} days.",
            code="out_of_range",
            param="retention_days",
        )
    log.is_on, log.retention_days, log.is_masked = after.is_on, after.retention_days, after.is_masked
    session.flush()
    if after != before:
        audit.record(
            session,
            principal=principal,
            action="request_log.changed",
            target_id=principal.workspace_id,
            details={
                "is_on": after.is_on,
                "was_on": before.is_on,
                "retention_days": after.retention_days,
                "is_masked": after.is_masked,
            },
        )
    return after


def make_dataset(
    session: Session,
    *,
    principal: Principal,
    completion_ids: Sequence[str],
    name: str | None,
    settings: Settings,
    blobs: BlobStore,
    queue: TaskQueue | None,
) -> DatasetDetails:
    """Examples of these answers, in this order: what was asked, with the first answer to it.

    Raises `NotFound` for one that is not there and `Conflict` for one that has no answer.
    """
    if not 1 <= len(completion_ids) <= MAX_PICKED:
        raise Invalid(f"Pick 1 to {MAX_PICKED} answers.", code="out_of_range", param="completion_ids")
    ids = list(dict.fromkeys(completion_ids))
    found = CompletionRepository(session, principal.workspace_id).by_ids(ids)
    for completion_id in ids:
        if completion_id not in found:
            raise NotFound(
                f"There is no kept answer {completion_id} here. It may have been deleted, or its time was over.",
                code="completion_not_found",
                param="completion_ids",
            )
    result = made.make(
        session,
        principal=principal,
        filename=f"requests-{utc_now():%Y-%m-%d}.jsonl",
        name=name or f"Requests of {utc_now():%Y-%m-%d}",
        lines=_lines([found[completion_id] for completion_id in ids]),
        settings=settings,
        blobs=blobs,
        queue=queue,
        too_few=_too_few,
    )
    audit.record(
        session,
        principal=principal,
        action="request_log.dataset_made",
        target_id=result.details.dataset.id,
        details={"num_rows": result.num_rows},
    )
    return result.details


def _rule(log: RequestLog | None) -> LogRule:
    if log is None:
        return LogRule()
    return LogRule(is_on=log.is_on, retention_days=log.retention_days, is_masked=log.is_masked)


def _lines(completions: Sequence[Completion]) -> Iterator[bytes]:
    for completion in completions:
        choices = completion.answer.get("choices") or []
        if not choices:
            raise Conflict(
                f"The request {completion.id} has no answer, so nothing can be learned from it. Leave it out.",
                code="completion_without_answer",
                param="completion_ids",
            )
        line: dict[str, Any] = {"messages": [*map(_said, completion.messages), _said(choices[0]["message"])]}
        if tools := completion.parameters.get("tools"):
            line["tools"] = tools
        yield orjson.dumps(line) + b"\n"


def _said(message: dict[str, Any]) -> dict[str, Any]:
    """As examples have it: texts whole, and only what is said."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    kept = {name: message[name] for name in ("name", "tool_calls", "tool_call_id") if message.get(name)}
    role = "system" if message["role"] == "developer" else message["role"]
    return {"role": role, "content": content, **kept}


def _too_few(num: int, needed: int) -> Conflict:
    return Conflict(
        f"{num} picked {'answer makes' if num == 1 else 'answers make'} too few examples: a model needs at least "
        f"{needed}. Pick more.",
        code="too_few_picked",
        param="completion_ids",
        details={"num_examples": num, "num_needed": needed},
    )
