from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from api.dependencies import SessionDep, require
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from api.schemas import ResponseBody
from core.audit import service as audit
from core.audit.models import AuditEvent
from core.kit.clock import unix_s
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["audit"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.AUDIT_READ))]


class ActorBody(ResponseBody):
    user_id: str
    api_key_id: str | None
    name: str


class AuditEventBody(ResponseBody):
    id: str
    object: Literal["audit_event"] = "audit_event"
    created_at: int
    actor: ActorBody
    action: str
    target_id: str
    details: dict[str, Any]


@router.get("/v1/audit_events")
def list_audit_events(
    principal: ReaderDep,
    session: SessionDep,
    page: PageDep,
    action: Annotated[str | None, Query(description="Only this action, such as `api_key.created`.")] = None,
) -> ListBody[AuditEventBody]:
    """Who did what, newest first."""
    found = audit.list_events(session, workspace_id=principal.workspace_id, page=page, action=action)
    return list_body(found, _body)


def _body(event: AuditEvent) -> AuditEventBody:
    return AuditEventBody(
        id=event.id,
        created_at=unix_s(event.created_at),
        actor=ActorBody(user_id=event.actor_user_id, api_key_id=event.actor_api_key_id, name=event.actor_name),
        action=event.action,
        target_id=event.target_id,
        details=event.details,
    )
