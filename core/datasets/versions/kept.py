"""Personal data and secrets that stay in a version because somebody says why they may."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.datasets import closing
from core.datasets import service as datasets
from core.datasets.health import KEEPABLE
from core.datasets.models import DatasetVersion
from core.datasets.repository import KeptFindingRepository
from core.datasets.table.repository import RowRepository, Snapshot
from core.datasets.types import Finding, Health, Kept
from core.errors import Conflict, Invalid, NotFound
from core.workspaces.principal import Principal, service_itself

MAX_GROUND_CHARS = 1000


def keep(session: Session, *, principal: Principal, version_id: str, code: str, ground: str) -> Kept:
    """Enter that what was found may stay in the version, and on what ground. Said again, it changes nothing.

    Raises `Invalid` for what cannot be kept or was not found, `Conflict` for what is kept on another ground.
    """
    workspace_id = principal.workspace_id
    version = _living(session, workspace_id, version_id)
    finding = _found(version, code)
    told = _checked(ground)
    # a ground may name a person, so none is entered while one is being forgotten
    closing.refuse_while_closed(session, workspace_id=workspace_id)
    repository = KeptFindingRepository(session, workspace_id)
    is_new = repository.add(version_id, code, ground=told, kept_by=principal.user_id)
    kept = repository.of_versions([version_id])[version_id][code]
    if is_new:
        # the log cannot be changed, and a ground may have to be
        details = {"code": code, "num_rows": finding.count}
        audit.record(
            session, principal=principal, action="dataset_version.finding_kept", target_id=version_id, details=details
        )
    elif kept.ground != told:
        raise Conflict(
            f"{kept.kept_by_name or 'A service'} decided already that this may stay, on another ground. Take that back "
            "first, then say why it may.",
            code="finding_kept_already",
            param="ground",
            details={"kept_by_name": kept.kept_by_name},
        )
    return kept


def unkeep(session: Session, *, principal: Principal, version_id: str, code: str) -> None:
    """It is warned of again, and its ground is forgotten. Raises `NotFound` for what is not kept."""
    _living(session, principal.workspace_id, version_id)
    if not KeptFindingRepository(session, principal.workspace_id).remove(version_id, code):
        raise NotFound(
            f"Nobody decided that {code!r} may stay in {version_id}. It may have been taken back already.",
            code="kept_finding_not_found",
            param="code",
        )
    audit.record(
        session,
        principal=principal,
        action="dataset_version.finding_no_longer_kept",
        target_id=version_id,
        details={"code": code},
    )


def carry_over(session: Session, version: DatasetVersion, source: DatasetVersion, *, edited: Sequence[int]) -> None:
    """Keep on what was kept in the version that this one is made of, where it is found in the same rows or fewer.

    In the transaction that makes it ready. Of rows that somebody wrote anew (`edited`) nobody decided what may stay.
    """
    repository = KeptFindingRepository(session, version.workspace_id)
    rows, now, before = RowRepository(session, version.workspace_id), Snapshot.of(version), Snapshot.of(source)
    kept = repository.of_versions([source.id]).get(source.id, {})
    codes = [code for code in kept if rows.keeps_finding(now, before, code, edited=edited)]
    carried = repository.copy(source.id, version, codes) if codes else []
    if carried:
        audit.record(
            session,
            principal=service_itself(version.workspace_id),
            action="dataset_version.findings_kept_on",
            target_id=version.id,
            details={"codes": carried, "from_version_id": source.id},
        )


def _living(session: Session, workspace_id: str, version_id: str) -> DatasetVersion:
    version = datasets.ready_version(session, workspace_id, version_id)
    datasets.get(session, workspace_id=workspace_id, dataset_id=version.dataset_id)
    return version


def _found(version: DatasetVersion, code: str) -> Finding:
    if code not in KEEPABLE:
        raise Invalid(
            f"{code!r} cannot be kept by a decision: only personal data and secrets can, which are "
            f"{', '.join(sorted(KEEPABLE))}. Whatever else is found is only a hint, and needs none.",
            code="finding_not_keepable",
            param="code",
        )
    for finding in Health.model_validate(version.health or {}).findings:
        if finding.code == code:
            return finding
    raise Invalid(
        f"The report of {version.id} has no finding {code!r}, so there is nothing to keep. Look at its "
        "health.findings.",
        code="finding_not_in_report",
        param="code",
    )


def _checked(ground: str) -> str:
    told = " ".join(ground.split())
    if not 1 <= len(told) <= MAX_GROUND_CHARS or not told.isprintable():
        raise Invalid(
            f"Say in 1 to {MAX_GROUND_CHARS:,} characters why it may stay, such as: the customers agreed to it in the "
            "contract.",
            code="invalid_ground",
            param="ground",
        )
    return told
