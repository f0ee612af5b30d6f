from typing import Annotated

from fastapi import APIRouter, Depends

from api.dependencies import SessionDep, require
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from api.service_accounts.schemas import (
    DeletedServiceAccountBody,
    NewServiceAccountBody,
    ServiceAccountBody,
    ServiceAccountChangeBody,
    service_account_body,
)
from core.audit import service as audit
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission
from core.workspaces.service_accounts import service as accounts

router = APIRouter(tags=["service accounts"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.MEMBERS_READ))]
ManagerDep = Annotated[Principal, Depends(require(Permission.MEMBERS_MANAGE))]


@router.get("/v1/service_accounts")
def list_service_accounts(principal: ReaderDep, session: SessionDep, page: PageDep) -> ListBody[ServiceAccountBody]:
    """The members that are programs, newest first."""
    found = accounts.list_accounts(session, workspace_id=principal.workspace_id, page=page)
    return list_body(found, service_account_body)


@router.post("/v1/service_accounts")
def create_service_account(
    body: NewServiceAccountBody, principal: ManagerDep, session: SessionDep, once: OnceDep
) -> ServiceAccountBody:
    """A member that is a program: its keys stay when people leave. Make keys for it under `/v1/api_keys`."""

    def work() -> ServiceAccountBody:
        made = accounts.create(session, principal=principal, name=body.name, role=body.role)
        audit.record(
            session,
            principal=principal,
            action="service_account.created",
            target_id=made.id,
            details={"name": made.name, "role": made.role},
        )
        return service_account_body(made)

    return once.answer(ServiceAccountBody, work)


@router.get("/v1/service_accounts/{account_id}")
def get_service_account(account_id: str, principal: ReaderDep, session: SessionDep) -> ServiceAccountBody:
    return service_account_body(accounts.get(session, workspace_id=principal.workspace_id, account_id=account_id))


@router.patch("/v1/service_accounts/{account_id}")
def change_service_account(
    account_id: str, body: ServiceAccountChangeBody, principal: ManagerDep, session: SessionDep
) -> ServiceAccountBody:
    """Give it another role, which its keys feel at once."""
    account = accounts.change_role(session, principal=principal, account_id=account_id, role=body.role)
    audit.record(
        session,
        principal=principal,
        action="service_account.role_changed",
        target_id=account_id,
        details={"name": account.name, "role": body.role},
    )
    return service_account_body(account)


@router.delete("/v1/service_accounts/{account_id}")
def delete_service_account(account_id: str, principal: ManagerDep, session: SessionDep) -> DeletedServiceAccountBody:
    """Take the account and its keys away. What it made stays."""
    account = accounts.delete(session, workspace_id=principal.workspace_id, account_id=account_id)
    audit.record(
        session,
        principal=principal,
        action="service_account.deleted",
        target_id=account_id,
        details={"name": account.name},
    )
    return DeletedServiceAccountBody(id=account_id)
