"""Workspaces, who belongs to them, and their API keys."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.identity import service as identity
from core.identity.models import User
from core.identity.resets import service as resets
from core.kit.clock import utc_now
from core.kit.hashing import sha256_bytes
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.workspaces import api_keys
from core.workspaces.models import ApiKey, Membership, ServiceAccount, Workspace
from core.workspaces.principal import Principal
from core.workspaces.repository import ApiKeyRepository, MembershipRepository, WorkspaceRepository
from core.workspaces.roles import PERMISSIONS, Permission, Role, lesser
from core.workspaces.types import MadeKey

MAX_OVERLAP_S = 24 * 3600
_MAX_NAME_CHARS = 100


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


def set_max_stored_bytes(session: Session, *, workspace_id: str, max_stored_bytes: int | None) -> Workspace:
    """What the workspace's files may take together; None for the installation's limit. Needs a system session."""
    workspace = get_workspace(session, workspace_id=workspace_id)
    workspace.max_stored_bytes = max_stored_bytes
    session.flush()
    return workspace


def list_members(session: Session, *, workspace_id: str, page: PageRequest) -> Page[tuple[Membership, User]]:
    return MembershipRepository(session, workspace_id).page(page)


def list_admins(session: Session, *, workspace_id: str) -> Sequence[User]:
    """Whom to tell when something about the workspace needs a decision."""
    return MembershipRepository(session, workspace_id).admins()


def add_member(session: Session, *, workspace_id: str, user_id: str, role: Role) -> Membership:
    members = MembershipRepository(session, workspace_id)
    if members.get(user_id):
        raise Conflict("This person is a member already.", code="already_member", param="email")
    # whoever made a link may administer all that the person was in, and not this
    resets.void(session, user_id=user_id)
    return members.add(user_id=user_id, role=role)


def check_seats(session: Session, *, workspace_id: str, max_members: int, num_offered: int = 0) -> None:
    """Raises `Conflict` (`too_many_members`) if all seats are taken or offered; 0 is no limit."""
    if max_members and MembershipRepository(session, workspace_id).lock_places() + num_offered >= max_members:
        raise Conflict(
            f"This workspace has {max_members} members, with those who are invited, which is the most. Remove somebody "
            "or take an invitation back first.",
            code="too_many_members",
        )


def get_member(session: Session, *, workspace_id: str, user_id: str) -> tuple[Membership, User]:
    membership = MembershipRepository(session, workspace_id).get(user_id)
    if membership is None:
        raise NotFound(f"There is no member {user_id} in this workspace.", code="member_not_found")
    return membership, identity.get_user(session, user_id=user_id)


def change_role(session: Session, *, workspace_id: str, user_id: str, role: Role) -> Membership:
    """Who may do more from now on signs in anew. Raises `Conflict` if the workspace would be left without an admin."""
    membership, _ = get_member(session, workspace_id=workspace_id, user_id=user_id)
    before = Role(membership.role)
    if lesser(role, before) is role and role is not before:
        # who may not invite any more must not come back as somebody whom they invited
        MembershipRepository(session, workspace_id).end_invitations_of(user_id)
    if role is not Role.ADMIN:
        _keep_an_admin(session, workspace_id=workspace_id, without=user_id)
    membership.role = role.value
    session.flush()
    if role is not before and lesser(role, before) is before:
        # a session that somebody else may have got hold of must not gain rights unseen
        identity.end_sessions_of(session, user_id=user_id)
        resets.void(session, user_id=user_id)
    return membership


def remove_member(session: Session, *, workspace_id: str, user_id: str) -> None:
    """Take a person out of the workspace; their keys and open invitations end. Raises `Conflict` for the last admin."""
    membership, _ = get_member(session, workspace_id=workspace_id, user_id=user_id)
    _keep_an_admin(session, workspace_id=workspace_id, without=user_id)
    ApiKeyRepository(session, workspace_id).revoke_of_owner(user_id)
    memberships = MembershipRepository(session, workspace_id)
    memberships.end_invitations_of(user_id)
    memberships.remove(membership)


def list_api_keys(session: Session, *, workspace_id: str, page: PageRequest) -> Page[ApiKey]:
    return ApiKeyRepository(session, workspace_id).page(page)


def create_api_key(
    session: Session,
    *,
    principal: Principal,
    name: str,
    role: Role | None = None,
    scopes: Collection[Permission] | None = None,
    expires_at: datetime | None = None,
    account: ServiceAccount | None = None,
    max_keys: int = 0,
) -> MadeKey:
    """A key for the principal's workspace that acts for whoever asks, or for a service account.

    It can do no more than its maker: raises `Forbidden` (`role_too_high`, `scope_too_broad`, `outlives_its_maker`), and
    `Invalid` for what makes no sense, and `Conflict` (`too_many_api_keys`) beyond `max_keys` of the workspace; 0 is no
    limit. A key that is limited hands its limits on.
    """
    wanted = role or (Role(account.role) if account else principal.role)
    if account is None:
        _require_seat(session, principal)
    if lesser(wanted, principal.role) is not wanted or (account and lesser(wanted, Role(account.role)) is not wanted):
        raise Forbidden(
            "A key cannot have more rights than whom it acts for, or than its maker, whose role here is "
            f"{principal.role}. Ask an admin to make this key.",
            code="role_too_high",
            param="role",
        )
    keys = ApiKeyRepository(session, principal.workspace_id)
    if max_keys and keys.lock_places() >= max_keys:
        raise Conflict(
            f"This workspace has {max_keys} API keys, which is the most. Revoke one that nobody needs any more first.",
            code="too_many_api_keys",
        )
    secret = api_keys.new_key()
    key = ApiKey(
        id=new_id("key_"),
        workspace_id=principal.workspace_id,
        name=_key_name(name),
        prefix=api_keys.PREFIX,
        last4=secret[-4:],
        token_sha256=sha256_bytes(secret.encode()),
        role=wanted.value,
        scopes=_limits(principal, wanted, scopes),
        created_by=principal.user_id,
        user_id=None if account or principal.is_service_account else principal.user_id,
        service_account_id=account.id if account else principal.user_id if principal.is_service_account else None,
        expires_at=_expiry(session, principal, expires_at),
    )
    return MadeKey(key=keys.add(key), secret=secret)


def rename_api_key(session: Session, *, principal: Principal, key_id: str, name: str) -> ApiKey:
    """One's own key, or any as an admin."""
    key = _own_key(session, principal, key_id)
    key.name = _key_name(name)
    session.flush()
    return key


def rotate_api_key(session: Session, *, principal: Principal, key_id: str, overlap_s: int) -> MadeKey:
    """Give a key a new secret at once; the old one opens for `overlap_s` more. Rights and end stay as they are.

    Raises `Conflict` (`key_has_expired`) for one that is over; and `Forbidden` for a person's key, unless it is one's
    own (`not_your_key`), and for one that the principal could not make: whoever rotates it holds it.
    """
    if not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise Invalid(
            f"The old secret may work for 0 to {MAX_OVERLAP_S} seconds more.", code="invalid_overlap", param="overlap_s"
        )
    key = _own_key(session, principal, key_id)
    keys = ApiKeyRepository(session, principal.workspace_id)
    if keys.is_expired(key):
        raise Conflict(
            "This key has expired, and a new secret would not open anything. Make a new key.", code="key_has_expired"
        )
    _require_may_hold(session, principal, key)
    secret = api_keys.new_key()
    keys.rotate(key, token_sha256=sha256_bytes(secret.encode()), last4=secret[-4:], overlap_s=overlap_s)
    return MadeKey(key=key, secret=secret)


def revoke_api_key(session: Session, *, principal: Principal, key_id: str) -> ApiKey:
    """Revoke one's own key, or any as an admin. Raises `Forbidden` for somebody else's."""
    key = _own_key(session, principal, key_id)
    ApiKeyRepository(session, principal.workspace_id).revoke(key_id)
    return key


def _own_key(session: Session, principal: Principal, key_id: str) -> ApiKey:
    key = ApiKeyRepository(session, principal.workspace_id).get(key_id, is_locked=True)
    if key is None:
        raise NotFound(f"There is no API key {key_id} in this workspace.", code="api_key_not_found")
    if key.owner_id != principal.user_id and not principal.may(Permission.WORKSPACE_ADMIN):
        raise Forbidden("This key is somebody else's. Its owner or an admin can change it.", code="not_your_key")
    return key


def _require_may_hold(session: Session, principal: Principal, key: ApiKey) -> None:
    """Whoever is handed a key's secret acts as its owner, by all of its rights, for as long as it lasts."""
    is_manager = key.service_account_id is not None and principal.may(Permission.MEMBERS_MANAGE)
    if key.owner_id != principal.user_id and not is_manager:
        raise Forbidden(
            "Only whom a key acts for gets its new secret. Revoke this one, and have its owner make another.",
            code="not_your_key",
        )
    if principal.api_key_id in {None, key.id}:
        return
    # one key renews another: it could do no more by making one
    if lesser(Role(key.role), principal.role).value != key.role:
        raise Forbidden(
            f"That key has the role {key.role}, and this one {principal.role}. Use a key with as much, or a browser.",
            code="role_too_high",
        )
    if principal.scopes is not None and (key.scopes is None or not principal.scopes.issuperset(key.scopes)):
        raise Forbidden(
            "That key has rights that this one is not limited to. Use a key with as many, or a browser.",
            code="scope_too_broad",
        )
    _expiry(session, principal, key.expires_at)


def _require_seat(session: Session, principal: Principal) -> None:
    """A key acts for a member: of who only looks in, it would open nothing."""
    if (
        not principal.is_service_account
        and MembershipRepository(session, principal.workspace_id).get(principal.user_id) is None
    ):
        raise Conflict(
            "You are not a member of this workspace, so that a key of yours would open nothing. Make it for a service "
            "account.",
            code="not_a_member",
        )


def _key_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARS:
        raise Invalid(f"Give the key a name of 1 to {_MAX_NAME_CHARS} characters.", code="invalid_name", param="name")
    return name


def _limits(principal: Principal, role: Role, scopes: Collection[Permission] | None) -> list[str] | None:
    """What is kept of the scopes. Without any, those of the key that makes this one."""
    if scopes is None:
        return None if principal.scopes is None else sorted(principal.scopes)
    wanted = frozenset(scopes)
    if too_many := wanted - PERMISSIONS[role] - {Permission.INSTALLATION_ADMIN}:
        raise Invalid(
            f"A {role} has no right to {', '.join(sorted(too_many))}. Leave it out, or make a key with a greater role.",
            code="scope_beyond_role",
            param="scopes",
        )
    if too_many := wanted - principal.permissions:
        raise Forbidden(
            f"You have no right to {', '.join(sorted(too_many))} yourself, so that a key of yours cannot have it.",
            code="scope_too_broad",
            param="scopes",
        )
    return sorted(wanted)


def _expiry(session: Session, principal: Principal, expires_at: datetime | None) -> datetime | None:
    if expires_at is not None and expires_at <= utc_now():
        raise Invalid(
            "The key would have expired already. Choose a later day.", code="expiry_in_the_past", param="expires_at"
        )
    if principal.api_key_id is None:
        return expires_at
    maker = ApiKeyRepository(session, principal.workspace_id).get(principal.api_key_id)
    ends_at = maker.expires_at if maker else None
    if ends_at is not None and (expires_at is None or expires_at > ends_at):
        raise Forbidden(
            f"A key that expires makes none that lasts longer: choose a moment before {ends_at:%Y-%m-%d %H:%M} UTC.",
            code="outlives_its_maker",
            param="expires_at",
        )
    return expires_at


def _keep_an_admin(session: Session, *, workspace_id: str, without: str) -> None:
    admins = MembershipRepository(session, workspace_id).lock_admins()
    if without in admins and len(admins) == 1:
        raise Conflict(
            "This is the workspace's last admin. Make somebody else an admin first.", code="last_admin", param="role"
        )
