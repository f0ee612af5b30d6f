from typing import Annotated

from fastapi import APIRouter, Depends

from api.dependencies import SessionDep, require
from api.members.schemas import DeletedMemberBody, MemberBody, RoleChangeBody, member_body
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.audit import service as audit
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["members"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.MEMBERS_READ))]
ManagerDep = Annotated[Principal, Depends(require(Permission.MEMBERS_MANAGE))]


@router.get("/v1/members")
def list_members(principal: ReaderDep, session: SessionDep, page: PageDep) -> ListBody[MemberBody]:
    return list_body(workspaces.list_members(session, workspace_id=principal.workspace_id, page=page), member_body)


@router.patch("/v1/members/{user_id}")
def change_role(user_id: str, body: RoleChangeBody, principal: ManagerDep, session: SessionDep) -> MemberBody:
    workspaces.change_role(session, workspace_id=principal.workspace_id, user_id=user_id, role=body.role)
    audit.record(
        session, principal=principal, action="member.role_changed", target_id=user_id, details={"role": body.role}
    )
    return member_body(workspaces.get_member(session, workspace_id=principal.workspace_id, user_id=user_id))


@router.delete("/v1/members/{user_id}")
def remove_member(user_id: str, principal: ManagerDep, session: SessionDep) -> DeletedMemberBody:
    """Take a person out of the workspace and revoke their keys and open invitations. What they made stays."""
    workspaces.remove_member(session, workspace_id=principal.workspace_id, user_id=user_id)
    audit.record(session, principal=principal, action="member.removed", target_id=user_id)
    return DeletedMemberBody(id=user_id)
