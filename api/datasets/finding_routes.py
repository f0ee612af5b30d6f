"""Findings of a version that may stay, by somebody's decision."""

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from api.datasets.routes import WriterDep
from api.dependencies import SessionDep
from api.idempotency import OnceDep
from api.retries import RetriedRoute
from api.schemas import RequestBody, ResponseBody
from core.datasets.types import Kept
from core.datasets.versions import kept as kept_findings
from core.datasets.versions.kept import MAX_GROUND_CHARS
from core.kit.clock import unix_s

router = APIRouter(tags=["datasets"], route_class=RetriedRoute)


class NewKeptFinding(RequestBody):
    ground: str = Field(
        max_length=MAX_GROUND_CHARS, description="Why it may stay: a law, a contract, a consent. No names of people."
    )


class KeptFindingBody(ResponseBody):
    version_id: str
    code: str
    object: Literal["kept_finding"] = "kept_finding"
    ground: str
    kept_by_name: str | None = Field(description="Null for a service.")
    kept_at: int


class DeletedKeptFindingBody(ResponseBody):
    version_id: str
    code: str
    object: Literal["kept_finding"] = "kept_finding"
    deleted: Literal[True] = True


@router.post("/v1/dataset_versions/{version_id}/findings/{code}/keep")
def keep_finding(
    version_id: str, code: str, body: NewKeptFinding, once: OnceDep, principal: WriterDep, session: SessionDep
) -> KeptFindingBody:
    """Enter that personal data or secrets may stay in this version, and on what ground.

    A version that is made of it keeps them on while it has them in no other rows.
    The same ground again changes nothing; another one is refused until the first is taken back.
    """

    def create() -> KeptFindingBody:
        kept = kept_findings.keep(session, principal=principal, version_id=version_id, code=code, ground=body.ground)
        return _body(version_id, code, kept)

    return once.answer(KeptFindingBody, create)


@router.delete("/v1/dataset_versions/{version_id}/findings/{code}/keep")
def stop_keeping_finding(
    version_id: str, code: str, principal: WriterDep, session: SessionDep
) -> DeletedKeptFindingBody:
    """Take it back: the finding is warned of again, and its ground is forgotten."""
    kept_findings.unkeep(session, principal=principal, version_id=version_id, code=code)
    return DeletedKeptFindingBody(version_id=version_id, code=code)


def _body(version_id: str, code: str, kept: Kept) -> KeptFindingBody:
    return KeptFindingBody(
        version_id=version_id,
        code=code,
        ground=kept.ground,
        kept_by_name=kept.kept_by_name,
        kept_at=unix_s(kept.kept_at),
    )
