"""Workspaces concern more than the one that is asked from, so that these routes open system sessions."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.auth.bodies import session_body
from api.auth.schemas import SessionBody
from api.dependencies import DatabaseDep, SettingsDep, require
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from api.workspaces.schemas import (
    AdminWorkspaceBody,
    NewWorkspaceBody,
    WorkspaceChangeBody,
    WorkspaceChoiceBody,
    WorkspaceDetailBody,
    admin_workspace_body,
    seat_body,
    workspace_body,
)
from core.audit import service as audit
from core.datasets import files
from core.db.session import SYSTEM
from core.kit.pagination import Page
from core.workspaces import access, lifecycle
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission, Role

router = APIRouter(tags=["workspaces"], route_class=RetriedRoute)

SignedInDep = Annotated[Principal, Depends(require())]
AdminDep = Annotated[Principal, Depends(require(Permission.WORKSPACE_ADMIN))]
OperatorDep = Annotated[Principal, Depends(require(Permission.INSTALLATION_ADMIN))]


@router.get("/v1/workspaces")
def list_workspaces(principal: SignedInDep, database: DatabaseDep) -> ListBody[WorkspaceDetailBody]:
    """Where you are a member, the oldest membership first; archived ones if you may restore them."""
    with database.session(SYSTEM) as session:
        return list_body(Page(items=access.reachable(session, principal=principal), has_more=False), seat_body)


@router.post("/v1/workspaces")
def create_workspace(
    body: NewWorkspaceBody, principal: SignedInDep, database: DatabaseDep, settings: SettingsDep
) -> WorkspaceDetailBody:
    """Make a workspace and be its admin."""
    with database.session(SYSTEM) as session:
        made = lifecycle.create(
            session,
            principal=principal,
            name=body.name,
            slug=body.slug,
            is_open_to_all=settings.allow_workspace_creation,
        )
        audit.record(
            session,
            principal=principal.admin_of(made.id),
            action="workspace.created",
            target_id=made.id,
            details={"name": made.name, "slug": made.slug},
        )
        return workspace_body(made, Role.ADMIN)


@router.get("/v1/workspaces/{workspace_id}")
def get_workspace(workspace_id: str, principal: SignedInDep, database: DatabaseDep) -> WorkspaceDetailBody:
    with database.session(SYSTEM) as session:
        return seat_body(access.get_reachable(session, principal=principal, workspace_id=workspace_id))


@router.patch("/v1/workspaces/{workspace_id}")
def rename_workspace(
    workspace_id: str, body: WorkspaceChangeBody, principal: AdminDep, database: DatabaseDep
) -> WorkspaceDetailBody:
    """Give the workspace that you are in another name. Its slug is a part of its models' names and stays."""
    with database.session(SYSTEM) as session:
        found = lifecycle.rename(session, principal=principal, workspace_id=workspace_id, name=body.name)
        audit.record(
            session,
            principal=principal,
            action="workspace.renamed",
            target_id=workspace_id,
            details={"name": found.name},
        )
        return workspace_body(found, principal.role)


@router.post("/v1/workspaces/{workspace_id}/archive")
def archive_workspace(workspace_id: str, principal: AdminDep, database: DatabaseDep) -> WorkspaceDetailBody:
    """Let nobody in any more, keys included. Nothing is deleted, and an admin can restore it."""
    with database.session(SYSTEM) as session:
        found = lifecycle.archive(session, principal=principal, workspace_id=workspace_id)
        audit.record(session, principal=principal, action="workspace.archived", target_id=workspace_id)
        return workspace_body(found, principal.role)


@router.post("/v1/workspaces/{workspace_id}/restore")
def restore_workspace(workspace_id: str, principal: SignedInDep, database: DatabaseDep) -> WorkspaceDetailBody:
    """Open an archived workspace again, as its admin or one of the installation."""
    with database.session(SYSTEM) as session:
        found = lifecycle.restore(session, principal=principal, workspace_id=workspace_id)
        audit.record(
            session, principal=principal.admin_of(workspace_id), action="workspace.restored", target_id=workspace_id
        )
        return workspace_body(found, Role.ADMIN)


@router.post("/v1/auth/session/workspace")
def choose_workspace(
    body: WorkspaceChoiceBody, principal: SignedInDep, database: DatabaseDep, settings: SettingsDep
) -> SessionBody:
    """Let this browser look at another workspace. An admin of the installation may enter any: its log says so."""
    with database.session(SYSTEM) as session:
        entered = access.enter(session, principal=principal, workspace_id=body.workspace_id)
        if entered.is_visiting:
            audit.record(
                session, principal=entered, action="workspace.entered_by_operator", target_id=body.workspace_id
            )
        return session_body(session, entered, settings)


@router.get("/v1/admin/workspaces")
def list_all_workspaces(
    principal: OperatorDep, database: DatabaseDep, settings: SettingsDep, page: PageDep
) -> ListBody[AdminWorkspaceBody]:
    """Every workspace of the installation, newest first."""
    del principal
    with database.session(SYSTEM) as session:
        found = lifecycle.list_all(session, page=page)
        of = [size.workspace for size in found.items]
        storages = files.storages(session, of=of, max_stored_bytes=settings.max_workspace_bytes)
    return list_body(found, lambda size: admin_workspace_body(size, storages[size.workspace.id]))
