"""Workspaces, who belongs to them, their API keys, and the principal behind a request."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.identity import service as identity
from core.identity.models import User, UserSession
from core.kit.hashing import sha256_bytes
from core.kit.pagination import Page, PageRequest
from core.workspaces import api_keys
from core.workspaces.models import ApiKey, Membership, Workspace
from core.workspaces.principal import Principal
from core.workspaces.repository import ApiKeyRepository, MembershipRepository, WorkspaceRepository
from core.workspaces.roles import Permission, Role, lesser

_MAX_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new API key and its secret, which is shown once and never stored."""

    key: ApiKey
    secret: str


def ensure_default_workspace(session: Session) -> Workspace:
    """The first workspace, made if there is none. Needs a system session."""
    workspaces = WorkspaceRepository(session)
    workspaces.lock_creation()
    return workspaces.first() or workspaces.add(name="My workspace", slug="home")


def create_workspace(session: Session, *, name: str, slug: str) -> Workspace:
    """Needs a system session."""
    workspaces = WorkspaceRepository(session)
    if workspaces.by_slug(slug):
        raise Conflict(f"There is a workspace called {slug} already.", code="slug_taken", param="slug")
    return workspaces.add(name=name, slug=slug)


def get_workspace(session: Session, *, workspace_id: str) -> Workspace:
    workspace = WorkspaceRepository(session).get(workspace_id)
    if workspace is None:
        raise NotFound(f"There is no workspace {workspace_id}.", code="workspace_not_found")
    return workspace


def principal_of_session(session: Session, *, user_session: UserSession) -> Principal | None:
    """Who a browser acts for; None once the person belongs to no workspace. Needs a system session."""
    membership = WorkspaceRepository(session).first_membership_of(user_session.user_id)
    if membership is None:
        return None
    user = identity.get_user(session, user_id=user_session.user_id)
    return Principal(
        workspace_id=membership.workspace_id,
        user_id=user.id,
        role=Role(membership.role),
        display_name=user.name,
        session_id=user_session.id,
        is_installation_admin=user.is_installation_admin,
    )


def principal_of_key(session: Session, *, secret: str) -> Principal | None:
    """Who an API key acts for, with the lesser of its role and its maker's today. Needs a system session."""
    if not api_keys.is_well_formed(secret):
        return None
    workspaces = WorkspaceRepository(session)
    found = workspaces.key_and_owner(sha256_bytes(secret.encode()))
    if found is None:
        return None
    key, membership, user = found
    workspaces.note_key_use(key.id)
    role = lesser(Role(key.role), Role(membership.role))
    return Principal(
        workspace_id=key.workspace_id,
        user_id=user.id,
        role=role,
        display_name=f"{user.name} ({key.name})",
        api_key_id=key.id,
        is_installation_admin=user.is_installation_admin and role is Role.ADMIN,
    )


def list_members(session: Session, *, workspace_id: str, page: PageRequest) -> Page[tuple[Membership, User]]:
    return MembershipRepository(session, workspace_id).page(page)


def list_admins(session: Session, *, workspace_id: str) -> Sequence[User]:
    """Whom to tell when something about the workspace needs a decision."""
    return MembershipRepository(session, workspace_id).admins()


def add_member(session: Session, *, workspace_id: str, user_id: str, role: Role) -> Membership:
    members = MembershipRepository(session, workspace_id)
    if members.get(user_id):
        raise Conflict("This person is a member already.", code="already_member", param="email")
    return members.add(user_id=user_id, role=role)


def create_member(
    session: Session, *, workspace_id: str, email: str, name: str, role: Role, password: str
) -> tuple[Membership, User]:
    """A new person, or one who belongs to no workspace any more, with this password. Needs a system session.

    Raises `Conflict` (`email_taken`) for somebody who belongs to a workspace: their password is not ours to set.
    """
    user = identity.find_user(session, email=email)
    if user is None:
        user = identity.create_user(session, email=email, name=name, password=password)
    elif WorkspaceRepository(session).first_membership_of(user.id):
        raise Conflict(f"There is a user with the address {user.email} already.", code="email_taken", param="email")
    else:
        identity.renew_user(session, user_id=user.id, name=name, password=password)
    return add_member(session, workspace_id=workspace_id, user_id=user.id, role=role), user


def get_member(session: Session, *, workspace_id: str, user_id: str) -> tuple[Membership, User]:
    membership = MembershipRepository(session, workspace_id).get(user_id)
    if membership is None:
        raise NotFound(f"There is no member {user_id} in this workspace.", code="member_not_found")
    return membership, identity.get_user(session, user_id=user_id)


def change_role(session: Session, *, workspace_id: str, user_id: str, role: Role) -> Membership:
    """Raises `Conflict` if the workspace would be left without an admin."""
    membership, _ = get_member(session, workspace_id=workspace_id, user_id=user_id)
    if role is not Role.ADMIN:
        _keep_an_admin(session, workspace_id=workspace_id, without=user_id)
    membership.role = role.value
    session.flush()
    return membership


def remove_member(session: Session, *, workspace_id: str, user_id: str) -> None:
    """Take a person out of the workspace and revoke their keys. Raises `Conflict` for the last admin."""
    membership, _ = get_member(session, workspace_id=workspace_id, user_id=user_id)
    _keep_an_admin(session, workspace_id=workspace_id, without=user_id)
    ApiKeyRepository(session, workspace_id).revoke_of_user(user_id)
    MembershipRepository(session, workspace_id).remove(membership)


def list_api_keys(session: Session, *, workspace_id: str, page: PageRequest) -> Page[ApiKey]:
    return ApiKeyRepository(session, workspace_id).page(page)


def create_api_key(session: Session, *, principal: Principal, name: str, role: Role | None = None) -> MadeKey:
    """A key for the principal's workspace. Raises `Forbidden` for a role above the principal's own."""
    wanted = role or principal.role
    if lesser(wanted, principal.role) is not wanted:
        raise Forbidden(
            f"A key cannot have more rights than its maker: you are a {principal.role}. Ask an admin to make this key.",
            code="role_too_high",
            param="role",
        )
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARS:
        raise Invalid(f"Give the key a name of 1 to {_MAX_NAME_CHARS} characters.", code="invalid_name", param="name")
    secret = api_keys.new_key()
    key = ApiKeyRepository(session, principal.workspace_id).add(
        name=name,
        prefix=api_keys.PREFIX,
        last4=secret[-4:],
        token_sha256=sha256_bytes(secret.encode()),
        role=wanted,
        created_by=principal.user_id,
    )
    return MadeKey(key=key, secret=secret)


def revoke_api_key(session: Session, *, principal: Principal, key_id: str) -> ApiKey:
    """Revoke one's own key, or any as an admin. Raises `Forbidden` for somebody else's."""
    keys = ApiKeyRepository(session, principal.workspace_id)
    key = keys.get(key_id)
    if key is None:
        raise NotFound(f"There is no API key {key_id} in this workspace.", code="api_key_not_found")
    if key.created_by != principal.user_id and not principal.may(Permission.WORKSPACE_ADMIN):
        raise Forbidden("This key is somebody else's. Its maker or an admin can revoke it.", code="not_your_key")
    keys.revoke(key_id)
    return key


def _keep_an_admin(session: Session, *, workspace_id: str, without: str) -> None:
    admins = MembershipRepository(session, workspace_id).lock_admins()
    if without in admins and len(admins) == 1:
        raise Conflict(
            "This is the workspace's last admin. Make somebody else an admin first.", code="last_admin", param="role"
        )
