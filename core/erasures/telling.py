"""An erasure with the names of what it concerns, as they are now: names may tell a person, so none is kept with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.datasets import row_views
from core.datasets import service as datasets
from core.datasets.models import Dataset
from core.datasets.types import RowContent
from core.erasures.coverage import NAMED
from core.erasures.repository import ErasureRepository
from core.erasures.service import ErasureDetails
from core.erasures.texts.repository import TextsRepository
from core.erasures.types import ByHand, ByHandKind, ErasureStatus
from core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Example:
    """A row that would go, as the newest version that holds it has it."""

    version_id: str
    number: int
    content: RowContent


@dataclass(frozen=True, slots=True)
class Told:
    details: ErasureDetails
    people: Mapping[str | None, str]
    datasets: Mapping[str, Dataset]
    filenames: Mapping[str, str]
    by_hand: Mapping[ByHand, str]
    examples: list[Example]


def told(session: Session, details: ErasureDetails, *, with_examples: bool = False) -> Told:
    erasure, found = details.erasure, details.found
    repository = ErasureRepository(session, erasure.workspace_id)
    return Told(
        details=details,
        people=repository.names_of_people([erasure.created_by, erasure.confirmed_by]),
        datasets={
            one.dataset_id: datasets.get_even_deleted(
                session, workspace_id=erasure.workspace_id, dataset_id=one.dataset_id
            )
            for one in found.datasets
        },
        filenames=repository.filenames([file.file_id for file in found.files]),
        by_hand=_names_by_hand(session, details),
        examples=_examples(session, details) if with_examples else [],
    )


def _names_by_hand(session: Session, details: ErasureDetails) -> dict[ByHand, str]:
    """What is gone since has its id for a name."""
    workspace_id = details.erasure.workspace_id
    wanted: dict[ByHandKind, list[str]] = {}
    for one in details.found.by_hand:
        wanted.setdefault(one.kind, []).append(one.id)
    texts = TextsRepository(session, workspace_id, [])
    names = {named.kind: texts.names(named, wanted.get(named.kind, [])) for named in NAMED}
    profiles = wanted.get(ByHandKind.PROMPT_PROFILE, [])
    names[ByHandKind.PROMPT_PROFILE] = ErasureRepository(session, workspace_id).names_of_profiles(profiles)
    if ByHandKind.IMPORTED_MODEL in wanted:
        imported = adapters.imported(session, workspace_id=workspace_id)
        names[ByHandKind.IMPORTED_MODEL] = {one.model_id: one.name or one.model_id for one in imported}
    return {one: names[one.kind].get(one.id, one.id) for one in details.found.by_hand}


def _examples(session: Session, details: ErasureDetails) -> list[Example]:
    """Only as long as somebody is to look at them before they confirm; a row that is gone meanwhile is left out."""
    if details.status is not ErasureStatus.FOUND:
        return []
    found = []
    for place in details.found.examples:
        try:
            row = row_views.get_row(
                session,
                workspace_id=details.erasure.workspace_id,
                version_id=place.version_id,
                number=place.number,
            )
        except NotFound:
            continue
        content = RowContent(
            messages=row.messages, tools=row.tools, chosen=row.chosen, rejected=row.rejected, text=row.text
        )
        found.append(Example(place.version_id, place.number, content))
    return found
