from dataclasses import dataclass, replace

from core.workspaces.roles import PERMISSIONS, Permission, Role


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, in which workspace, and what they may do there."""

    workspace_id: str
    # of the person, or of the service account
    user_id: str
    role: Role
    display_name: str
    api_key_id: str | None = None
    # only a browser has one
    session_id: str | None = None
    # above all workspaces; an API key has it only with the role of an admin
    is_installation_admin: bool = False
    # what an API key is limited to, within its role; None for no limit
    scopes: frozenset[Permission] | None = None
    is_service_account: bool = False
    # an admin of the installation who looks into a workspace without being a member of it
    is_visiting: bool = False

    @property
    def permissions(self) -> frozenset[Permission]:
        own = frozenset({Permission.INSTALLATION_ADMIN}) if self.is_installation_admin else frozenset()
        found = PERMISSIONS[self.role] | own
        return found if self.scopes is None else found & self.scopes

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def admin_of(self, workspace_id: str) -> "Principal":
        """The same who, for the record of another workspace that they may administer."""
        return replace(self, workspace_id=workspace_id, role=Role.ADMIN)


def service_itself(workspace_id: str) -> Principal:
    """Who the audit log names for what nobody asked for: what the service does by itself, by its own rules."""
    return Principal(workspace_id=workspace_id, user_id="system", role=Role.ADMIN, display_name="Tailorbird")
