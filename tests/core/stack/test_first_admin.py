from pathlib import Path

import pytest

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.stack import first_admin
from core.stack.home import Home

pytestmark = pytest.mark.stack


def test_the_first_person_of_an_installation_runs_it(settings: Settings, database: Database, tmp_path: Path) -> None:
    home = Home(tmp_path)
    made = first_admin.ensure(home, settings.database_url)
    assert made is not None
    assert first_admin.remembered(home) == made
    with database.session(SYSTEM) as session:
        user = identity.find_user(session, email=made.email)
        assert user is not None
        assert user.is_installation_admin
    assert first_admin.ensure(home, settings.database_url) is None
