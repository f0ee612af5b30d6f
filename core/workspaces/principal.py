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
    # above all workspaces; an API key has it only with the role of an admin
    is_installation_admin: bool = False

    @property
    def permissions(self) -> frozenset[Permission]:
        own = frozenset({Permission.INSTALLATION_ADMIN}) if self.is_installation_admin else frozenset()
        return PERMISSIONS[self.role] | own

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions
