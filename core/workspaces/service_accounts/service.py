"""Members that are programs. Their keys outlast whoever made them, and end with the account."""

from sqlalchemy.orm import Session

from core.errors import Forbidden, Invalid, NotFound
from core.kit.pagination import Page, PageRequest
from core.workspaces.models import ServiceAccount
from core.workspaces.principal import Principal
from core.workspaces.repository import ApiKeyRepository
from core.workspaces.roles import Role, lesser
from core.workspaces.service_accounts.repository import ServiceAccountRepository

_MAX_NAME_CHARS = 100


def list_accounts(session: Session, *, workspace_id: str, page: PageRequest) -> Page[ServiceAccount]:
    """Newest first."""
    return ServiceAccountRepository(session, workspace_id).page(page)


def create(session: Session, *, principal: Principal, name: str, role: Role) -> ServiceAccount:
    """Raises `Forbidden` (`role_too_high`) for a role above the principal's own, `Invalid` for a bad name."""
    _require_no_more(principal, role)
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARS:
        raise Invalid(
            f"Give the account a name of 1 to {_MAX_NAME_CHARS} characters.", code="invalid_name", param="name"
        )
    return ServiceAccountRepository(session, principal.workspace_id).add(
        name=name, role=role, created_by=principal.user_id
    )


def get(session: Session, *, workspace_id: str, account_id: str) -> ServiceAccount:
    account = ServiceAccountRepository(session, workspace_id).get(account_id)
    if account is None:
        raise NotFound(f"There is no service account {account_id} in this workspace.", code="service_account_not_found")
    return account


def change_role(session: Session, *, principal: Principal, account_id: str, role: Role) -> ServiceAccount:
    """Its keys can do no more than the new role from their next request on."""
    _require_no_more(principal, role)
    account = get(session, workspace_id=principal.workspace_id, account_id=account_id)
    account.role = role.value
    session.flush()
    return account


def delete(session: Session, *, workspace_id: str, account_id: str) -> ServiceAccount:
    """Take the account and its keys away. What it made stays."""
    account = get(session, workspace_id=workspace_id, account_id=account_id)
    ApiKeyRepository(session, workspace_id).revoke_of_owner(account_id)
    ServiceAccountRepository(session, workspace_id).remove(account_id)
    return account


def _require_no_more(principal: Principal, role: Role) -> None:
    if lesser(role, principal.role) is not role:
        raise Forbidden(
            f"A service account cannot have more rights than you, whose role here is {principal.role}.",
            code="role_too_high",
            param="role",
        )
