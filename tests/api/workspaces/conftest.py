import pytest
from fastapi.testclient import TestClient

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.api.browsers import Browser


@pytest.fixture
def ana(client: TestClient, settings: Settings, database: Database, principal: Principal) -> Browser:
    """An admin of our workspace."""
    return Browser(client, settings, database, principal.user_id)


@pytest.fixture
def olga(client: TestClient, settings: Settings, database: Database, operator: Principal) -> Browser:
    """Who runs the installation."""
    return Browser(client, settings, database, operator.user_id)


@pytest.fixture
def both(database: Database, ana: Browser, principal: Principal, other_workspace_id: str) -> Browser:
    """Ana is a viewer of the other workspace too."""
    with database.session(SYSTEM) as session:
        workspaces.add_member(session, workspace_id=other_workspace_id, user_id=principal.user_id, role=Role.VIEWER)
    return ana
