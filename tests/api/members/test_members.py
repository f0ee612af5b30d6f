from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.kit.clock import utc_now
from core.workspaces.models import Invitation
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.conftest import make_principal

pytestmark = pytest.mark.stack


@pytest.fixture
def member_id(database: Database, workspace_id: str) -> str:
    return make_principal(database, workspace_id, Role.MEMBER).user_id


class TestChange:
    def test_a_new_role_counts_at_once(self, client: TestClient, as_admin: dict[str, str], member_id: str) -> None:
        answer = client.patch(f"/v1/members/{member_id}", headers=as_admin, json={"role": "viewer"})
        assert answer.json()["role"] == "viewer"

    def test_the_last_admin_stays_one(self, client: TestClient, principal: Principal, as_admin: dict[str, str]) -> None:
        url = f"/v1/members/{principal.user_id}"
        for answer in (
            client.patch(url, headers=as_admin, json={"role": "viewer"}),
            client.delete(url, headers=as_admin),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "last_admin")

    def test_a_program_that_is_admin_does_not_count_as_the_last(
        self, client: TestClient, principal: Principal, as_admin: dict[str, str]
    ) -> None:
        client.post("/v1/service_accounts", headers=as_admin, json={"name": "ops", "role": "admin"})
        answer = client.delete(f"/v1/members/{principal.user_id}", headers=as_admin)
        assert answer.json()["error"]["code"] == "last_admin"


class TestRemove:
    def test_the_persons_browsers_get_nothing_more(
        self, client: TestClient, database: Database, as_admin: dict[str, str], member_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            token = identity.open_session(session, user_id=member_id, max_s=3600).token
        client.delete(f"/v1/members/{member_id}", headers=as_admin)
        answer = client.get("/v1/members", headers={"cookie": f"tailorbird_session={token}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_workspace")

    @pytest.mark.parametrize("lessening", ["removed", "lowered"])
    def test_nobody_comes_in_by_an_invitation_of_theirs(
        self, client: TestClient, database: Database, workspace_id: str, as_admin: dict[str, str], lessening: str
    ) -> None:
        inviter = make_principal(database, workspace_id, Role.ADMIN)
        client.post("/v1/invitations", headers=as_admin, json={"email": "other@example.org", "role": "viewer"})
        with database.session(SYSTEM) as session:
            session.add(
                Invitation(
                    id="inv_theirs",
                    workspace_id=workspace_id,
                    email="theirs@example.org",
                    role="admin",
                    token_sha256="0" * 64,
                    invited_by=inviter.user_id,
                    inviter_name="Theirs",
                    expires_at=utc_now() + timedelta(days=1),
                )
            )
        url = f"/v1/members/{inviter.user_id}"
        if lessening == "removed":
            client.delete(url, headers=as_admin)
        else:
            client.patch(url, headers=as_admin, json={"role": "member"})
        left = client.get("/v1/invitations", headers=as_admin).json()["data"]
        assert [one["email"] for one in left] == ["other@example.org"]

    def test_it_is_audited(self, client: TestClient, as_admin: dict[str, str], member_id: str) -> None:
        client.delete(f"/v1/members/{member_id}", headers=as_admin)
        event = client.get("/v1/audit_events?action=member.removed", headers=as_admin).json()["data"][0]
        assert event["target_id"] == member_id

    def test_all_members_may_see_the_list(
        self, client: TestClient, as_admin: dict[str, str], as_viewer: dict[str, str]
    ) -> None:
        assert len(client.get("/v1/members", headers=as_viewer).json()["data"]) == 2
