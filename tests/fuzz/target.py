"""What is fuzzed: the app on real servers, with a workspace that has one of everything, and a key that always opens."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.main import create_app
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import Conflict, Unauthenticated
from core.identity import service as identity
from core.workspaces import access
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission, Role
from tests.api.seeded import OF_THE_INSTALLATION, PARAMETERS, seed
from tests.conftest import make_principal
from tests.factories.inference import FakeInference


@dataclass(frozen=True, slots=True)
class Target:
    app: FastAPI
    key: Callable[[], str]
    ids: Mapping[str, Sequence[str]]
    """Real ids by path parameter."""


def make_target(settings: Settings, database: Database, backends: Backends) -> Target:
    app = create_app(settings, database, backends, FakeInference())
    with database.session(SYSTEM) as session:
        workspace_id = workspaces.create_workspace(session, name="Acme", slug="acme").id
    admin = make_principal(database, workspace_id, Role.ADMIN)
    with database.session(SYSTEM) as session:
        identity.make_installation_admin(session, user_id=admin.user_id)
    key = _Key(database, replace(admin, is_installation_admin=True))
    with TestClient(app, base_url="http://127.0.0.1:8700") as client:
        headers = {"authorization": f"Bearer {key()}"}
        things = seed(
            client, database, settings, headers=headers, workspace_id=workspace_id, worker="fuzzed-1-aaaaaaaa"
        )
    ids = {name: [getattr(things, thing)] for name, thing in PARAMETERS.items()}
    return Target(app, key, ids | {name: [value] for name, value in OF_THE_INSTALLATION.items()})


class _Key:
    """An admin's API key. What is tried may revoke it, send its maker away, archive all: then there is another."""

    def __init__(self, database: Database, principal: Principal) -> None:
        self._database, self._principal = database, principal
        self._secret = ""

    def __call__(self) -> str:
        with suppress(Unauthenticated):
            found = access.caller_of_key(self._database, secret=self._secret)
            if found is not None and found.principal.may(Permission.INSTALLATION_ADMIN):
                return self._secret
        workspace_id, user_id = self._principal.workspace_id, self._principal.user_id
        with suppress(Conflict), self._database.session(SYSTEM) as session:
            workspaces.add_member(session, workspace_id=workspace_id, user_id=user_id, role=Role.ADMIN)
        with self._database.session(SYSTEM) as session:
            session.execute(text("update workspaces set archived_at = null where id = :id"), {"id": workspace_id})
            workspaces.change_role(session, workspace_id=workspace_id, user_id=user_id, role=Role.ADMIN)
            identity.make_installation_admin(session, user_id=user_id)
            self._secret = workspaces.create_api_key(session, principal=self._principal, name="fuzz").secret
        return self._secret
