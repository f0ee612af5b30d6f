from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.audit.schemas import AuditChainBody, AuditEventBody, chain_body, event_body
from api.dependencies import DatabaseDep, SessionDep, require
from api.monitoring.routes import AdminDep, SystemSessionDep
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.audit import service as audit
from core.audit.export import ExportFormat, export
from core.audit.types import INSTALLATION, AuditFilter
from core.db.session import SYSTEM, Database, Scope, workspace_scope
from core.kit.clock import utc_now
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["audit"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.AUDIT_READ))]

# what one request may check; `tailorbird audit verify` checks all of it
_MAX_CHECKED = 20_000
_MAX_UNIX_S = 253_402_300_799
_TYPES = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.JSONL: "application/x-ndjson"}


def _wanted(
    action: Annotated[
        str | None, Query(max_length=100, description="Only this action, such as `api_key.created`, or `api_key.*`.")
    ] = None,
    actor: Annotated[str | None, Query(max_length=100, description="The id of a person or of an API key.")] = None,
    target: Annotated[str | None, Query(max_length=200, description="The id of what it was done to.")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Looked for in names, actions, targets and details.")
    ] = None,
    since: Annotated[int | None, Query(ge=0, le=_MAX_UNIX_S, description="Unix seconds, included.")] = None,
    until: Annotated[int | None, Query(ge=0, le=_MAX_UNIX_S, description="Unix seconds, not included.")] = None,
) -> AuditFilter:
    return AuditFilter(action=action, actor=actor, target=target, text=q, since=_moment(since), until=_moment(until))


FilterDep = Annotated[AuditFilter, Depends(_wanted)]
FormatDep = Annotated[ExportFormat, Query(alias="format")]


@router.get("/v1/audit_events")
def list_audit_events(
    principal: ReaderDep, session: SessionDep, page: PageDep, wanted: FilterDep
) -> ListBody[AuditEventBody]:
    """Who did what, newest first."""
    found = audit.list_events(session, workspace_id=principal.workspace_id, page=page, wanted=wanted)
    return list_body(found, event_body)


@router.get("/v1/audit_events/chain")
def verify_audit_chain(principal: ReaderDep, session: SessionDep) -> AuditChainBody:
    """Check the newest 20,000 events: whether any was changed, removed, added or moved since it was written."""
    return chain_body(audit.verify(session, chain_id=principal.workspace_id, max_events=_MAX_CHECKED))


@router.get("/v1/audit_events/export", response_class=StreamingResponse)
def export_audit_events(
    principal: ReaderDep,
    session: SessionDep,
    database: DatabaseDep,
    wanted: FilterDep,
    file_format: FormatDep = ExportFormat.CSV,
) -> StreamingResponse:
    """All events that are wanted, as a file: CSV or JSON lines. That somebody took it is an event too."""
    details = _told(wanted) | {"format": file_format.value}
    audit.record(
        session, principal=principal, action="audit.exported", target_id=principal.workspace_id, details=details
    )
    scope = workspace_scope(principal.workspace_id)
    return _file(database, scope, chain_id=principal.workspace_id, wanted=wanted, file_format=file_format)


@router.get("/v1/admin/audit_events")
def list_every_audit_event(
    principal: AdminDep,
    session: SystemSessionDep,
    page: PageDep,
    wanted: FilterDep,
    workspace_id: Annotated[
        str | None, Query(max_length=100, description="Of this workspace; `installation` for what concerns none.")
    ] = None,
) -> ListBody[AuditEventBody]:
    """Who did what in every workspace and to the installation, newest first. That somebody looked is an event too."""
    if page.after is None:
        _note_look(session, principal, action="audit.viewed", workspace_id=workspace_id, details=_told(wanted))
    found = audit.list_all(session, page=page, wanted=wanted, workspace_id=workspace_id)
    return list_body(found, event_body)


@router.get("/v1/admin/audit_events/chain")
def verify_any_audit_chain(
    principal: AdminDep,
    session: SystemSessionDep,
    workspace_id: Annotated[str, Query(max_length=100)] = INSTALLATION,
) -> AuditChainBody:
    """Check the chain of one workspace, or that of the installation."""
    del principal
    return chain_body(audit.verify(session, chain_id=workspace_id, max_events=_MAX_CHECKED))


@router.get("/v1/admin/audit_events/export", response_class=StreamingResponse)
def export_any_audit_events(
    principal: AdminDep,
    session: SystemSessionDep,
    database: DatabaseDep,
    wanted: FilterDep,
    file_format: FormatDep = ExportFormat.CSV,
    workspace_id: Annotated[str, Query(max_length=100)] = INSTALLATION,
) -> StreamingResponse:
    """The log of one workspace, or that of the installation, as a file."""
    details = _told(wanted) | {"format": file_format.value}
    _note_look(session, principal, action="audit.exported", workspace_id=workspace_id, details=details)
    return _file(database, SYSTEM, chain_id=workspace_id, wanted=wanted, file_format=file_format)


def _note_look(
    session: Session, principal: Principal, *, action: str, workspace_id: str | None, details: dict[str, str]
) -> None:
    audit.record_above(
        session, principal=principal, action=action, target_id=workspace_id or "every_workspace", details=details
    )


def _file(
    database: Database, scope: Scope, *, chain_id: str, wanted: AuditFilter, file_format: ExportFormat
) -> StreamingResponse:
    name = f"audit-{utc_now():%Y-%m-%d}.{file_format}"
    return StreamingResponse(
        export(database, scope, chain_id=chain_id, wanted=wanted, file_format=file_format),
        media_type=_TYPES[file_format],
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _told(wanted: AuditFilter) -> dict[str, str]:
    """What somebody looked for, as the log keeps it."""
    found = {name: getattr(wanted, name) for name in ("action", "actor", "target", "text", "since", "until")}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
        if value is not None
    }


def _moment(unix: int | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, tz=UTC)
