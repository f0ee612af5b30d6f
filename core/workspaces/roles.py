"""What a role may do. Every route asks for one of these permissions."""

from enum import StrEnum


class Permission(StrEnum):
    DATASETS_READ = "datasets:read"
    DATASETS_WRITE = "datasets:write"
    DATASETS_ERASE = "datasets:erase"
    """Remove a person's rows for good, from versions that otherwise never change."""
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    MODELS_EXPORT = "models:export"
    """Take a model's weights out of the service."""
    CHAT_USE = "chat:use"
    """Talk to models, which costs money."""
    KEYS_MANAGE = "keys:manage"
    MEMBERS_READ = "members:read"
    MEMBERS_MANAGE = "members:manage"
    USAGE_READ = "usage:read"
    AUDIT_READ = "audit:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    WORKSPACE_ADMIN = "workspace:admin"
    INSTALLATION_ADMIN = "installation:admin"
    """Goes with the person (`users.is_installation_admin`), not with a role."""


class Role(StrEnum):
    """From the least to the most: each may do all that those before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    """Looks, tries and judges; changes nothing."""
    MEMBER = "member"
    ADMIN = "admin"


_VIEWER = frozenset(
    {
        Permission.DATASETS_READ,
        Permission.RUNS_READ,
        Permission.MODELS_READ,
        Permission.MEMBERS_READ,
        Permission.USAGE_READ,
    }
)
_REVIEWER = _VIEWER | {Permission.CHAT_USE}
_MEMBER = _REVIEWER | {
    Permission.DATASETS_WRITE,
    Permission.RUNS_WRITE,
    Permission.MODELS_WRITE,
    Permission.MODELS_EXPORT,
    Permission.KEYS_MANAGE,
}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.REVIEWER: _REVIEWER,
    Role.MEMBER: _MEMBER,
    Role.ADMIN: frozenset(Permission) - {Permission.INSTALLATION_ADMIN},
}

_ORDER = list(Role)


def lesser(one: Role, other: Role) -> Role:
    """The role of the two that may do less."""
    return min(one, other, key=_ORDER.index)
