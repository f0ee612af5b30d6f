"""The first person of a new installation, so that there is somebody to sign in as."""

import secrets
from dataclasses import dataclass

from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.kit.pagination import PageRequest
from core.stack.home import Home
from core.workspaces import service as workspaces
from core.workspaces.roles import Role

EMAIL = "admin@tailorbird.local"
_FILE = "admin.json"
_NUM_PASSWORD_BYTES = 12


@dataclass(frozen=True, slots=True)
class Admin:
    email: str
    password: str


def ensure(home: Home, database_url: str) -> Admin | None:
    """Make the admin if the workspace has no member yet. None if there was somebody already."""
    database = Database(database_url, pool_size=1)
    try:
        with database.session(SYSTEM) as session:
            workspace = workspaces.ensure_default_workspace(session)
            if workspaces.list_members(session, workspace_id=workspace.id, page=PageRequest(limit=1)).items:
                return None
            admin = Admin(EMAIL, secrets.token_urlsafe(_NUM_PASSWORD_BYTES))
            user = identity.create_user(session, email=admin.email, name="Admin", password=admin.password)
            identity.make_installation_admin(session, user_id=user.id)
            workspaces.add_member(session, workspace_id=workspace.id, user_id=user.id, role=Role.ADMIN)
            # before the commit: an admin whose password nobody knows would be worse than a file without an admin
            home.write(_FILE, {"email": admin.email, "password": admin.password})
    finally:
        database.dispose()
    return admin


def remembered(home: Home) -> Admin | None:
    """The admin as made by the first start; the password may have been changed since."""
    found = home.read(_FILE)
    return Admin(found["email"], found["password"]) if found else None
