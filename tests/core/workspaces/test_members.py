from concurrent.futures import ThreadPoolExecutor

import pytest

from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Conflict
from core.workspaces import access, api_keys, service
from core.workspaces.roles import Role, lesser
from tests.conftest import make_principal


def test_the_lesser_of_two_roles() -> None:
    assert lesser(Role.ADMIN, Role.VIEWER) is Role.VIEWER
    assert lesser(Role.MEMBER, Role.ADMIN) is Role.MEMBER


@pytest.mark.stack
class TestAdmins:
    def test_two_who_remove_each_other_leave_one(self, database: Database, workspace_id: str) -> None:
        admins = [make_principal(database, workspace_id, Role.ADMIN).user_id for _ in range(2)]

        def remove(user_id: str) -> bool:
            try:
                with database.session(workspace_scope(workspace_id)) as session:
                    service.remove_member(session, workspace_id=workspace_id, user_id=user_id)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(remove, admins)) == [False, True]


@pytest.mark.stack
class TestRole:
    @pytest.mark.parametrize(
        ("before", "after", "goes_on"),
        [(Role.VIEWER, Role.MEMBER, False), (Role.MEMBER, Role.MEMBER, True), (Role.ADMIN, Role.VIEWER, True)],
    )
    def test_who_may_do_more_signs_in_anew(
        self, database: Database, workspace_id: str, before: Role, after: Role, *, goes_on: bool
    ) -> None:
        make_principal(database, workspace_id, Role.ADMIN)
        principal = make_principal(database, workspace_id, before)
        with database.session(SYSTEM) as session:
            token = service.identity.open_session(session, user_id=principal.user_id, max_s=60).token
        with database.session(workspace_scope(workspace_id)) as session:
            service.change_role(session, workspace_id=workspace_id, user_id=principal.user_id, role=after)
        with database.session(SYSTEM) as session:
            assert (service.identity.find_session(session, token=token, idle_s=60) is not None) is goes_on


@pytest.mark.stack
class TestDefaultWorkspace:
    def test_first_starts_at_once_make_one(self, database: Database) -> None:
        def ensure(_: int) -> str:
            with database.session(SYSTEM) as session:
                return service.ensure_default_workspace(session).id

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(ensure, range(8)))) == 1

    def test_a_slug_is_used_once(self, database: Database, workspace_id: str) -> None:
        with database.session(SYSTEM) as session, pytest.raises(Conflict):
            service.create_workspace(session, name="Other", slug="acme")


@pytest.mark.stack
class TestPrincipal:
    def test_somebody_without_a_workspace_is_nobody(self, database: Database, workspace_id: str) -> None:
        principal = make_principal(database, workspace_id, Role.MEMBER)
        with database.session(SYSTEM) as session:
            service.remove_member(session, workspace_id=workspace_id, user_id=principal.user_id)
            opened = service.identity.open_session(session, user_id=principal.user_id, max_s=60)
            assert access.principal_of_session(session, user_session=opened.session) is None

    def test_a_key_that_was_never_made_is_nobodys(self, database: Database) -> None:
        assert access.caller_of_key(database, secret=api_keys.new_key()) is None
