from dataclasses import dataclass

from core.workspaces.roles import PERMISSIONS, Permission, Role


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, in which workspace, and what they may do there."""

    workspace_id: str
    user_id: str
    role: Role
    display_name: str
    api_key_id: str | None = None
    # only a browser has one
    session_id: str | None = None

    @property
    def permissions(self) -> frozenset[Permission]:
        return PERMISSIONS[self.role]

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions
