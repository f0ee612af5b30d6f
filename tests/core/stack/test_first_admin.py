from pathlib import Path

import pytest

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import Conflict
from core.identity import service as identity
from core.stack import first_admin
from core.stack.home import Home
from core.workspaces import access, setup

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
    assert first_admin.ensure(home, settings.database_url) == made


def test_where_somebody_else_made_the_first_admin_there_is_none_to_remember(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with database.session(SYSTEM) as session:
        setup.set_up(session, workspace_name="W", email="maya@example.com", name="Maya", password="a long password")
    assert first_admin.ensure(Home(tmp_path), settings.database_url) is None


def test_a_key_acts_as_who_runs_the_installation(settings: Settings, database: Database, tmp_path: Path) -> None:
    first_admin.ensure(Home(tmp_path), settings.database_url)
    made = first_admin.make_key(settings.database_url, name="demo")
    caller = access.caller_of_key(database, secret=made.secret)
    assert caller is not None
    assert caller.principal.is_installation_admin


def test_nobody_to_act_as_is_one_sentence(settings: Settings, database: Database) -> None:
    with pytest.raises(Conflict, match="create-admin"):
        first_admin.make_key(settings.database_url, name="demo")
