"""The first admin of an installation that a program starts (the demo, a test), and a key to act as whoever runs it.

A person makes the first admin in the browser, by the link that the start prints.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.db.session import SYSTEM, Database
from core.errors import Conflict
from core.identity import service as identity
from core.stack.home import Home
from core.workspaces import access, setup
from core.workspaces import service as workspaces
from core.workspaces.types import MadeKey

EMAIL = "admin@tailorbird.local"
_FILE = "admin.json"
_WORKSPACE_NAME = "My workspace"
_NUM_PASSWORD_BYTES = 12


@dataclass(frozen=True, slots=True)
class Admin:
    email: str
    password: str


def ensure(home: Home, database_url: str) -> Admin | None:
    """The admin that this made, now or at an earlier start; None if somebody else made one."""
    with _database(database_url) as database, database.session(SYSTEM) as session:
        if setup.is_done(session):
            return remembered(home)
        admin = Admin(EMAIL, secrets.token_urlsafe(_NUM_PASSWORD_BYTES))
        setup.set_up(session, workspace_name=_WORKSPACE_NAME, email=admin.email, name="Admin", password=admin.password)
        # before the commit: an admin whose password nobody knows would be worse than a file without an admin
        home.write(_FILE, {"email": admin.email, "password": admin.password})
    return admin


def remembered(home: Home) -> Admin | None:
    """The admin as `ensure` made it; the password may have been changed since."""
    found = home.read(_FILE)
    return Admin(found["email"], found["password"]) if found else None


def make_key(database_url: str, *, name: str) -> MadeKey:
    """An API key of the first who runs the installation, for a program that may read its database anyway."""
    with _database(database_url) as database, database.session(SYSTEM) as session:
        user = identity.first_installation_admin(session)
        acting = access.principals_of_user(session, user_id=user.id) if user else []
        if not acting:
            raise Conflict(
                "Nobody runs this installation. Make an admin with `tailorbird create-admin`.", code="admin_unknown"
            )
        return workspaces.create_api_key(session, principal=acting[0], name=name)


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url, pool_size=1)
    try:
        yield database
    finally:
        database.dispose()
