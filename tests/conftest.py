"""Real servers for tests marked `stack`: started once a process, emptied before each test.

database, settings, backends     the app role's database; settings of the servers; real S3, recorded queue and events
client                           the API in this process
workspace_id, principal          a workspace and its admin; other_workspace_id is somebody else's
as_admin, as_member, as_viewer   request headers of the workspace's people; as_stranger is admin of the other one
as_operator                      request headers of who runs the installation, who is admin of a third workspace
submit, look                     a new job in the database; a job as it is now
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, text
from xdist.scheduler import LoadFileScheduling

import worker  # noqa: F401 - before any test loads torch: it bounds how long torch's threads spin
from api.main import create_app
from core.backends.blobs import S3BlobStore
from core.backends.registry import Backends
from core.base_models.service import default_base_model
from core.config import Settings
from core.db import migrate
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.identity.repository import UserRepository
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.models import Job
from core.kit.ids import new_id
from core.stack.home import held_home
from core.stack.programs import prepare_base_model
from core.stack.servers import ServerUrls, embedded_servers
from core.tables import metadata
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.factories.backends import memory_backends
from tests.faults.recording import begin, pytest_runtest_makereport, record_figure  # noqa: F401 - for pytest

Headers = dict[str, str]

# folders whose tests share what is slow to start: the whole product, the servers of the drills
_TOGETHER = ("tests/e2e/", "tests/faults/")
# tables whose rows cannot be deleted, only all at once by the owner
# these refuse to have rows deleted; adapters and runs refer to each other
_TRUNCATED = {"audit_events", "ledger_entries", "adapters"}


class FoldersTogether(LoadFileScheduling):
    """Of the processes that run the tests, one has all of such a folder, and others have one file at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in _TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FoldersTogether | None:  # noqa: ANN401 - untyped
    return FoldersTogether(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    begin(item)
    if "servers" in getattr(item, "fixturenames", ()) and item.get_closest_marker("stack") is None:
        pytest.fail("this test starts servers: mark it with pytest.mark.stack", pytrace=False)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerUrls]:
    with embedded_servers(tmp_path_factory.mktemp("servers"), is_durable=False) as urls:
        yield urls


@pytest.fixture(scope="session")
def bundled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model that comes with the product, made as `tailorbird up` makes it; nothing writes into it.

    Converted once for all processes of the tests: it takes most of a minute.
    """
    is_one_of_several = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if is_one_of_several else base) / "models"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with held_home(shared / "home") as home:
            prepare_base_model(home, os.environ | {"TAILORBIRD_HOME": str(home.path)})
    return Settings(home=shared / "home").base_models_dir / default_base_model().id


@pytest.fixture(scope="session")
def put_bundled_model(bundled_model: Path) -> Callable[[Path], None]:
    """Into a home: links, so that it costs neither time nor room."""

    def put(home: Path) -> None:
        shutil.copytree(bundled_model, home / "base_models" / bundled_model.name, copy_function=os.link)

    return put


@pytest.fixture(scope="session")
def owner_engine(servers: ServerUrls) -> Iterator[Engine]:
    """The migrated database as its owner, to whom row-level security applies too."""
    migrate.upgrade(servers.database_owner_url, servers.database_url)
    engine = create_engine(servers.database_owner_url, connect_args={"options": "-c lock_timeout=10s"})
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def seeded_ids(owner_engine: Engine) -> dict[str, list[str]]:
    """For every table, the ids of the rows that migrations put there."""
    every_table = "select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version'"
    with owner_engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        found: dict[str, list[str]] = {}
        for table in connection.scalars(text(every_table)).all():
            is_seeded = connection.scalar(text(f"select exists (select from {table})"))
            found[table] = list(connection.scalars(text(f"select id from {table}"))) if is_seeded else []
        return found


@pytest.fixture(scope="session")
def pooled_database(servers: ServerUrls, owner_engine: Engine) -> Iterator[Database]:
    database = Database(servers.database_url)
    yield database
    database.dispose()


@pytest.fixture
def database(pooled_database: Database, owner_engine: Engine, seeded_ids: dict[str, list[str]]) -> Database:
    """As the application's role, with nothing in it but what migrations seed."""
    _empty(owner_engine, seeded_ids)
    return pooled_database


@pytest.fixture
def settings(servers: ServerUrls, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home",
        secret_key="a secret for tests, long enough for any check",
        inference_token="a token for tests",
        database_url=servers.database_url,
        database_owner_url=servers.database_owner_url,
        redis_url=servers.redis_url,
        s3_endpoint_url=servers.s3_endpoint_url,
        s3_bucket=servers.s3_bucket,
        s3_access_key_id=servers.s3_access_key_id,
        s3_secret_access_key=servers.s3_secret_access_key,
        frontend_dist=tmp_path / "frontend",
    )


@pytest.fixture(scope="session")
def blobs(servers: ServerUrls) -> S3BlobStore:
    return S3BlobStore(
        Settings(
            s3_endpoint_url=servers.s3_endpoint_url,
            s3_bucket=servers.s3_bucket,
            s3_access_key_id=servers.s3_access_key_id,
            s3_secret_access_key=servers.s3_secret_access_key,
        )
    )


@pytest.fixture
def backends(blobs: S3BlobStore) -> Backends:
    return replace(memory_backends(), blobs=blobs)


@pytest.fixture
def inference() -> object | None:
    """The client of the inference runtime that the app is given; tests of chat give a fake."""
    return None


@pytest.fixture
def app(settings: Settings, database: Database, backends: Backends, inference: object | None) -> FastAPI:
    return create_app(settings, database, backends, inference)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://127.0.0.1:8700") as client:
        yield client


@pytest.fixture
def workspace_id(database: Database) -> str:
    return _make_workspace(database, "acme")


@pytest.fixture
def other_workspace_id(database: Database) -> str:
    return _make_workspace(database, "rival")


@pytest.fixture
def principal(database: Database, workspace_id: str) -> Principal:
    return make_principal(database, workspace_id, Role.ADMIN)


@pytest.fixture
def as_admin(database: Database, principal: Principal) -> Headers:
    return key_headers(database, principal)


@pytest.fixture
def as_member(database: Database, workspace_id: str) -> Headers:
    return key_headers(database, make_principal(database, workspace_id, Role.MEMBER))


@pytest.fixture
def as_viewer(database: Database, workspace_id: str) -> Headers:
    return key_headers(database, make_principal(database, workspace_id, Role.VIEWER))


@pytest.fixture
def as_stranger(database: Database, other_workspace_id: str) -> Headers:
    return key_headers(database, make_principal(database, other_workspace_id, Role.ADMIN))


@pytest.fixture
def operator(database: Database) -> Principal:
    """Who runs the installation; the admin of a workspace of their own."""
    found = make_principal(database, _make_workspace(database, "operations"), Role.ADMIN)
    with database.session(SYSTEM) as session:
        identity.make_installation_admin(session, user_id=found.user_id)
    return replace(found, is_installation_admin=True)


@pytest.fixture
def as_operator(database: Database, operator: Principal) -> Headers:
    return key_headers(database, operator)


@pytest.fixture
def submit(database: Database, workspace_id: str) -> Callable[..., Job]:
    """Submit a job; of the workspace unless another is named."""

    def _submit(**changes: object) -> Job:
        values: dict[str, object] = {
            "workspace_id": workspace_id,
            "kind": JobKind.DATASET_INGEST,
            "payload": {},
            "created_by": None,
            **changes,
        }
        with database.session(SYSTEM) as session:
            return jobs.submit(session, **values)  # type: ignore[arg-type]

    return _submit


@pytest.fixture
def look(database: Database) -> Callable[[str], Job]:
    """The job as it is now."""

    def _look(job_id: str) -> Job:
        with database.session(SYSTEM) as session:
            return session.get_one(Job, job_id)

    return _look


def make_principal(database: Database, workspace_id: str, role: Role) -> Principal:
    """A new person of the workspace, whose password nobody knows."""
    name = f"{role.value} {new_id('')[-6:]}"
    with database.session(SYSTEM) as session:
        user = UserRepository(session).add(
            email=f"{name.replace(' ', '.')}@example.com", name=name, password_hash="none"
        )
        workspaces.add_member(session, workspace_id=workspace_id, user_id=user.id, role=role)
    return Principal(workspace_id=workspace_id, user_id=user.id, role=role, display_name=name)


def key_headers(database: Database, principal: Principal) -> Headers:
    with database.session(SYSTEM) as session:
        made = workspaces.create_api_key(session, principal=principal, name="test")
    return {"authorization": f"Bearer {made.secret}"}


def _make_workspace(database: Database, slug: str) -> str:
    with database.session(SYSTEM) as session:
        return workspaces.create_workspace(session, name=slug.title(), slug=slug).id


def _empty(engine: Engine, seeded_ids: dict[str, list[str]]) -> None:
    """Row by row, what refers to others first: few rows are gone in a tenth of the time that truncating takes."""
    plain = [table for table, ids in seeded_ids.items() if not ids]
    probes = " union all ".join(f"select '{table}' where exists (select from {table})" for table in plain)
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        filled = set(connection.scalars(text(probes)).all())
        for table in reversed(metadata.sorted_tables):
            if table.name in filled & _TRUNCATED:
                connection.execute(text(f"truncate {table.name} cascade"))
            elif table.name in filled:
                connection.execute(table.delete())
        for name, ids in seeded_ids.items():
            if ids:
                connection.execute(text(f"delete from {name} where not id = any(:ids)"), {"ids": ids})
