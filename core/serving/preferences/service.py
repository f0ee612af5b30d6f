"""What people preferred: voted, listed, deleted, counted, and made into examples to learn from."""

from collections.abc import Iterator, Mapping, Sequence
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
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.serving.preferences.duels import duels
from core.serving.preferences.models import Preference
from core.serving.preferences.repository import PreferenceRepository
from core.serving.preferences.types import (
    MAX_ANSWERS,
    MIN_ANSWERS,
    Duel,
    GivenAnswer,
    NewPreference,
    PreferenceFilter,
    Voice,
    VoteVerdict,
)
from core.serving.storable import storable
from core.workspaces.principal import Principal

MAX_COUNTED = 20_000
MAX_EXPORTED = 20_000


def record(session: Session, *, principal: Principal, new: NewPreference) -> Preference:
    """Keep a vote. Raises `Invalid` for one that chooses nothing that is there."""
    _check(new)
    preference = PreferenceRepository(session, principal.workspace_id).add(
        Preference(
            id=new_id("pref_"),
            workspace_id=principal.workspace_id,
            created_by=principal.user_id,
            messages=storable(new.messages),
            answers=storable([answer.model_dump(mode="json") for answer in new.answers]),
            parameters=storable(new.parameters),
            verdict=new.verdict,
            best=new.best,
            is_blind=new.is_blind,
            erased_at=None,
        )
    )
    audit.record(
        session,
        principal=principal,
        action="preference.recorded",
        target_id=preference.id,
        details={"verdict": new.verdict.value, "models": [answer.voice.model for answer in new.answers]},
    )
    return preference


def get(session: Session, *, workspace_id: str, preference_id: str) -> Preference:
    """Raises `NotFound`."""
    return _found(PreferenceRepository(session, workspace_id).get(preference_id), preference_id)


def list_preferences(
    session: Session, *, workspace_id: str, page: PageRequest, wanted: PreferenceFilter
) -> Page[Preference]:
    """Newest first."""
    return PreferenceRepository(session, workspace_id).page(page, wanted)


def names_of(session: Session, *, workspace_id: str, of: Sequence[Preference]) -> Mapping[str | None, str]:
    """The people who voted."""
    return PreferenceRepository(session, workspace_id).names_of([one.created_by for one in of])


def delete(session: Session, *, principal: Principal, preference_id: str) -> None:
    """For good: it counts no more, and nothing of what was said is left."""
    repository = PreferenceRepository(session, principal.workspace_id)
    preference = _found(repository.get(preference_id, for_update=True), preference_id)
    repository.remove(preference)
    audit.record(session, principal=principal, action="preference.deleted", target_id=preference_id)


def wins(session: Session, *, workspace_id: str) -> list[Duel]:
    """Of blind votes, the newest `MAX_COUNTED`: who knows which is which votes for what they hope."""
    votes = PreferenceRepository(session, workspace_id).blind_votes(limit=MAX_COUNTED)
    return duels((verdict, best, [Voice.model_validate(voice) for voice in voices]) for verdict, best, voices in votes)


def make_dataset(
    session: Session,
    *,
    principal: Principal,
    name: str | None,
    settings: Settings,
    blobs: BlobStore,
    queue: TaskQueue | None,
) -> DatasetDetails:
    """Examples of the kind preference out of all votes that chose an answer: it against each of the others.

    An answer that said the same, or that was given after something else was said, makes none. Raises `Conflict`
    (`too_few_preferences`) where they are fewer than a model needs.
    """
    chosen = PreferenceRepository(session, principal.workspace_id).chosen(limit=MAX_EXPORTED)
    found = made.make(
        session,
        principal=principal,
        filename=f"preferences-{utc_now():%Y-%m-%d}.jsonl",
        name=name or f"Preferences of {utc_now():%Y-%m-%d}",
        lines=(orjson.dumps(line) + b"\n" for preference in chosen for line in _lines(preference)),
        settings=settings,
        blobs=blobs,
        queue=queue,
        too_few=_too_few,
    )
    audit.record(
        session,
        principal=principal,
        action="preference.dataset_made",
        target_id=found.details.dataset.id,
        details={"num_rows": found.num_rows},
    )
    return found.details


def _too_few(num: int, needed: int) -> Conflict:
    return Conflict(
        f"The votes make {num} example{'' if num == 1 else 's'} so far, and a model needs at least {needed}. Each vote "
        "for an answer makes one for every other answer that it was preferred to: compare more in the playground.",
        code="too_few_preferences",
        details={"num_examples": num, "num_needed": needed},
    )


def _lines(preference: Preference) -> Iterator[dict[str, Any]]:
    answers = [GivenAnswer.model_validate(answer) for answer in preference.answers]
    best = answers[preference.best or 0]
    for other in answers:
        if other is best or other.content.strip() == best.content.strip() or other.messages != best.messages:
            continue
        said = preference.messages if best.messages is None else best.messages
        # what only one of them was told first is no part of the question
        if best.system_prompt and best.system_prompt == other.system_prompt:
            said = [{"role": "system", "content": best.system_prompt}, *_unprompted(said)]
        yield {
            "input": {"messages": said},
            "preferred_output": [{"role": "assistant", "content": best.content}],
            "non_preferred_output": [{"role": "assistant", "content": other.content}],
        }


def _unprompted(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["role"] != "system"]


def _check(new: NewPreference) -> None:
    if not MIN_ANSWERS <= len(new.answers) <= MAX_ANSWERS:
        raise Invalid(f"A vote is on {MIN_ANSWERS} to {MAX_ANSWERS} answers.", code="out_of_range", param="answers")
    if (new.verdict is VoteVerdict.BEST) != (new.best is not None):
        raise Invalid(
            "best is the place of the preferred answer, counted from 0; send it with the verdict 'best' and with no "
            "other.",
            code="invalid_value",
            param="best",
        )
    if new.best is not None and new.best >= len(new.answers):
        raise Invalid(
            f"There is no answer {new.best}: the {len(new.answers)} answers are counted from 0.",
            code="out_of_range",
            param="best",
        )
    if new.best is not None and not new.answers[new.best].content.strip():
        raise Invalid(
            "The preferred answer is empty, so there is nothing to prefer.", code="invalid_value", param="best"
        )


def _found(preference: Preference | None, preference_id: str) -> Preference:
    if preference is None:
        raise NotFound(
            f"There is no vote {preference_id} in this workspace. It may have been deleted.",
            code="preference_not_found",
            param="preference_id",
        )
    return preference
