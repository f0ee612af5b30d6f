from dataclasses import dataclass

from core.workspaces.models import ApiKey, Workspace
from core.workspaces.roles import Permission, Role


@dataclass(frozen=True, slots=True)
class Seat:
    """A workspace, and what somebody is in it."""

    workspace: Workspace
    role: Role


@dataclass(frozen=True, slots=True)
class WorkspaceSize:
    workspace: Workspace
    num_members: int


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new API key and its secret, which is shown once and never stored."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What one look at the database tells of a secret: the key, and whom it acts for."""

    key_id: str
    workspace_id: str
    key_name: str
    key_role: Role
    scopes: frozenset[Permission] | None
    is_expired: bool
    is_use_stale: bool
    owner_id: str
    owner_name: str
    owner_role: Role
    is_service_account: bool
    is_installation_admin: bool
