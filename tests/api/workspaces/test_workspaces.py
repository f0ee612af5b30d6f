import pytest
from fastapi.testclient import TestClient

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.api.browsers import Browser, code_of
from tests.conftest import make_principal

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_workspace_creation": True})


class TestList:
    def test_a_person_sees_theirs_with_their_role_in_each(
        self, both: Browser, workspace_id: str, other_workspace_id: str
    ) -> None:
        data = both.get("/v1/workspaces").json()["data"]
        assert [(found["id"], found["role"]) for found in data] == [
            (workspace_id, "admin"),
            (other_workspace_id, "viewer"),
        ]

    def test_a_key_sees_its_own_and_finds_no_other(
        self, both: Browser, client: TestClient, as_admin: dict[str, str], workspace_id: str, other_workspace_id: str
    ) -> None:
        assert [found["id"] for found in client.get("/v1/workspaces", headers=as_admin).json()["data"]] == [
            workspace_id
        ]
        assert client.get(f"/v1/workspaces/{other_workspace_id}", headers=as_admin).status_code == 404
        assert client.get(f"/v1/workspaces/{workspace_id}", headers=as_admin).json()["slug"] == "acme"

    def test_one_where_they_are_not_is_not_there(self, ana: Browser, other_workspace_id: str) -> None:
        theirs, unknown = ana.get(f"/v1/workspaces/{other_workspace_id}"), ana.get("/v1/workspaces/ws_unknown")
        assert code_of(theirs) == code_of(unknown) == (404, "workspace_not_found")


class TestCreate:
    def test_its_maker_is_its_admin_and_may_go_there(self, ana: Browser) -> None:
        made = ana.post("/v1/workspaces", {"name": "  Zweite   Schicht "}).json()
        assert (made["name"], made["slug"], made["role"]) == ("Zweite Schicht", "zweite-schicht", "admin")
        entered = ana.post("/v1/auth/session/workspace", {"workspace_id": made["id"]}).json()
        assert (entered["workspace"]["id"], entered["role"]) == (made["id"], "admin")
        assert [event["action"] for event in ana.get("/v1/audit_events").json()["data"]] == ["workspace.created"]

    def test_a_name_that_is_used_gets_another_short_name(self, ana: Browser) -> None:
        slugs = {ana.post("/v1/workspaces", {"name": name}).json()["slug"] for name in ("Acme", "Acmé", "日本")}
        assert len(slugs) == 3
        assert "acme" not in slugs
        assert all(slug.startswith(("acme-", "team-")) for slug in slugs)

    @pytest.mark.parametrize(
        ("body", "status", "param"),
        [
            ({"name": "New", "slug": "acme"}, 409, "slug"),
            ({"name": "New", "slug": "a:b"}, 400, "slug"),
            ({"name": "New", "slug": "-a"}, 400, "slug"),
            ({"name": "   "}, 400, "name"),
            ({"name": "a\u0007b"}, 400, "name"),
            ({}, 400, "name"),
        ],
    )
    def test_a_bad_field_is_named(self, ana: Browser, body: dict[str, object], status: int, param: str) -> None:
        answer = ana.post("/v1/workspaces", body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)

    def test_a_key_makes_none_unless_it_is_of_who_runs_the_installation(
        self, client: TestClient, as_admin: dict[str, str], as_operator: dict[str, str]
    ) -> None:
        refused = client.post("/v1/workspaces", headers=as_admin, json={"name": "New"})
        assert code_of(refused) == (403, "workspace_creation_closed")
        assert client.post("/v1/workspaces", headers=as_operator, json={"name": "New"}).status_code == 200

    def test_unless_the_installation_allows_it_only_its_admins_do(
        self, client: TestClient, settings: Settings, database: Database, principal: Principal, operator: Principal
    ) -> None:
        client.app.state.settings = settings.model_copy(update={"allow_workspace_creation": False})  # type: ignore[attr-defined]
        ana = Browser(client, settings, database, principal.user_id)
        olga = Browser(client, settings, database, operator.user_id)
        assert ana.get("/v1/auth/session").json()["may_create_workspaces"] is False
        assert code_of(ana.post("/v1/workspaces", {"name": "New"})) == (403, "workspace_creation_closed")
        assert olga.get("/v1/auth/session").json()["may_create_workspaces"] is True
        assert olga.post("/v1/workspaces", {"name": "New"}).status_code == 200


class TestRename:
    def test_the_name_changes_and_the_short_name_stays(self, ana: Browser, workspace_id: str) -> None:
        changed = ana.patch(f"/v1/workspaces/{workspace_id}", {"name": "Acme Ltd"}).json()
        assert (changed["name"], changed["slug"]) == ("Acme Ltd", "acme")
        assert ana.get("/v1/auth/session").json()["workspace"]["name"] == "Acme Ltd"
        assert ana.get("/v1/audit_events").json()["data"][0]["action"] == "workspace.renamed"

    def test_only_what_one_is_in_is_changed(self, both: Browser, other_workspace_id: str) -> None:
        answer = both.patch(f"/v1/workspaces/{other_workspace_id}", {"name": "Mine"})
        assert code_of(answer) == (404, "workspace_not_found")

    def test_the_slug_is_no_field(self, ana: Browser, workspace_id: str) -> None:
        answer = ana.patch(f"/v1/workspaces/{workspace_id}", {"name": "Acme", "slug": "new"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "slug")


class TestArchive:
    def test_nobody_gets_in_and_an_admin_takes_it_back(
        self, both: Browser, client: TestClient, as_member: dict[str, str], workspace_id: str, other_workspace_id: str
    ) -> None:
        assert both.post(f"/v1/workspaces/{workspace_id}/archive").json()["archived_at"] is not None
        assert client.get("/v1/files", headers=as_member).status_code == 401
        session = both.get("/v1/auth/session").json()
        assert session["workspace"]["id"] == other_workspace_id
        assert [found["id"] for found in session["workspaces"]] == [other_workspace_id]
        assert code_of(both.post("/v1/auth/session/workspace", {"workspace_id": workspace_id}))[0] == 404
        assert workspace_id in {found["id"] for found in both.get("/v1/workspaces").json()["data"]}

        assert both.post(f"/v1/workspaces/{workspace_id}/restore").json()["archived_at"] is None
        assert client.get("/v1/files", headers=as_member).status_code == 200
        both.post("/v1/auth/session/workspace", {"workspace_id": workspace_id})
        actions = [event["action"] for event in both.get("/v1/audit_events").json()["data"]]
        assert actions == ["workspace.restored", "workspace.archived"]

    def test_whoever_could_not_take_it_back_does_not_archive(
        self, ana: Browser, client: TestClient, as_admin: dict[str, str], workspace_id: str
    ) -> None:
        url = f"/v1/workspaces/{workspace_id}/archive"
        assert code_of(ana.post(url)) == (409, "last_workspace")
        assert code_of(client.post(url, headers=as_admin, json={})) == (409, "last_workspace")

    def test_a_member_does_not_restore_and_does_not_learn_that_it_is_there(
        self, both: Browser, client: TestClient, settings: Settings, database: Database, workspace_id: str
    ) -> None:
        member = make_principal(database, workspace_id, Role.MEMBER)
        with database.session(SYSTEM) as session:
            elsewhere = workspaces.create_workspace(session, name="Else", slug="else").id
            workspaces.add_member(session, workspace_id=elsewhere, user_id=member.user_id, role=Role.ADMIN)
        bo = Browser(client, settings, database, member.user_id)
        both.post(f"/v1/workspaces/{workspace_id}/archive")
        assert [found["id"] for found in bo.get("/v1/workspaces").json()["data"]] == [elsewhere]
        assert code_of(bo.post(f"/v1/workspaces/{workspace_id}/restore")) == (404, "workspace_not_found")

    def test_who_runs_the_installation_restores_any(self, both: Browser, olga: Browser, workspace_id: str) -> None:
        both.post(f"/v1/workspaces/{workspace_id}/archive")
        assert olga.post(f"/v1/workspaces/{workspace_id}/restore").status_code == 200


class TestSwitch:
    def test_the_browser_then_sees_the_other_ones_things_and_may_do_less(
        self, both: Browser, other_workspace_id: str
    ) -> None:
        session = both.post("/v1/auth/session/workspace", {"workspace_id": other_workspace_id}).json()
        assert (session["workspace"]["id"], session["role"]) == (other_workspace_id, "viewer")
        assert "keys:manage" not in session["permissions"]
        assert both.get("/v1/auth/session").json() == session
        assert code_of(both.post("/v1/api_keys", {"name": "k"})) == (403, "permission_denied")

    def test_one_that_is_not_theirs_reads_like_one_that_is_not_there(
        self, ana: Browser, other_workspace_id: str
    ) -> None:
        for wanted in (other_workspace_id, "ws_unknown"):
            answer = ana.post("/v1/auth/session/workspace", {"workspace_id": wanted})
            assert answer.json()["error"]["message"] == f"There is no workspace {wanted} that you may enter."
            assert answer.status_code == 404

    def test_a_key_stays_where_it_is(self, client: TestClient, as_admin: dict[str, str], workspace_id: str) -> None:
        answer = client.post("/v1/auth/session/workspace", headers=as_admin, json={"workspace_id": workspace_id})
        assert code_of(answer) == (403, "browser_only")

    def test_who_was_taken_out_is_back_in_their_first(
        self, both: Browser, database: Database, principal: Principal, workspace_id: str, other_workspace_id: str
    ) -> None:
        both.post("/v1/auth/session/workspace", {"workspace_id": other_workspace_id})
        with database.session(SYSTEM) as session:
            workspaces.remove_member(session, workspace_id=other_workspace_id, user_id=principal.user_id)
        assert both.get("/v1/auth/session").json()["workspace"]["id"] == workspace_id


class TestVisit:
    def test_who_runs_the_installation_looks_in_and_the_log_there_says_so(
        self, olga: Browser, client: TestClient, as_admin: dict[str, str], workspace_id: str, operator: Principal
    ) -> None:
        session = olga.post("/v1/auth/session/workspace", {"workspace_id": workspace_id}).json()
        assert (session["workspace"]["id"], session["role"], session["is_visiting"]) == (workspace_id, "admin", True)
        assert olga.get("/v1/members").status_code == 200
        event = client.get("/v1/audit_events", headers=as_admin).json()["data"][0]
        assert (event["action"], event["actor"]["user_id"]) == ("workspace.entered_by_operator", operator.user_id)

    def test_a_member_who_enters_leaves_no_such_line(
        self, both: Browser, client: TestClient, as_stranger: dict[str, str], other_workspace_id: str
    ) -> None:
        both.post("/v1/auth/session/workspace", {"workspace_id": other_workspace_id})
        assert client.get("/v1/audit_events", headers=as_stranger).json()["data"] == []

    def test_no_visit_is_left_once_the_right_is_gone(
        self, olga: Browser, database: Database, workspace_id: str, operator: Principal
    ) -> None:
        olga.post("/v1/auth/session/workspace", {"workspace_id": workspace_id})
        with database.session(SYSTEM) as session:
            workspaces.identity.get_user(session, user_id=operator.user_id).is_installation_admin = False
        assert olga.get("/v1/auth/session").json()["workspace"]["id"] == operator.workspace_id

    def test_a_visitor_makes_no_key_in_their_own_name(self, olga: Browser, workspace_id: str) -> None:
        olga.post("/v1/auth/session/workspace", {"workspace_id": workspace_id})
        assert code_of(olga.post("/v1/api_keys", {"name": "k"})) == (409, "not_a_member")
        account = olga.post("/v1/service_accounts", {"name": "ops"}).json()
        assert olga.post("/v1/api_keys", {"name": "k", "service_account_id": account["id"]}).status_code == 200

    def test_all_workspaces_are_listed_with_their_people(
        self, client: TestClient, as_operator: dict[str, str], as_viewer: dict[str, str], workspace_id: str
    ) -> None:
        first = client.get("/v1/admin/workspaces?limit=1", headers=as_operator).json()
        rest = client.get(f"/v1/admin/workspaces?after={first['last_id']}", headers=as_operator).json()
        assert first["has_more"]
        sizes = {found["id"]: found["num_members"] for found in first["data"] + rest["data"]}
        assert sizes[workspace_id] == 1
        assert len(sizes) == 2


class TestProject:
    """On the OpenAI wire a project is a workspace."""

    def test_a_key_may_name_its_own(self, client: TestClient, as_admin: dict[str, str], workspace_id: str) -> None:
        headers = as_admin | {"OpenAI-Project": workspace_id, "OpenAI-Organization": "org-anything"}
        assert client.get("/v1/models", headers=headers).status_code == 200

    def test_a_key_of_another_is_refused_whether_or_not_that_is_there(
        self, client: TestClient, as_admin: dict[str, str], other_workspace_id: str
    ) -> None:
        answers = [
            client.get("/v1/models", headers=as_admin | {"OpenAI-Project": project})
            for project in (other_workspace_id, "proj_of_openai")
        ]
        assert [code_of(answer) for answer in answers] == [(401, "mismatched_project")] * 2
        assert answers[0].json() == answers[1].json()

    def test_a_key_that_is_none_learns_nothing_of_projects(self, client: TestClient, workspace_id: str) -> None:
        headers = {"authorization": "Bearer tb_live_nonsense", "OpenAI-Project": workspace_id}
        assert code_of(client.get("/v1/models", headers=headers)) == (401, "invalid_api_key")

    def test_a_browser_may_name_any_of_its_own_for_one_request(
        self, both: Browser, workspace_id: str, other_workspace_id: str
    ) -> None:
        named = both.get("/v1/auth/session", **{"OpenAI-Project": other_workspace_id}).json()
        assert (named["workspace"]["id"], named["role"]) == (other_workspace_id, "viewer")
        assert both.get("/v1/auth/session").json()["workspace"]["id"] == workspace_id

    def test_a_header_alone_opens_nothing_even_to_who_runs_the_installation(
        self, ana: Browser, olga: Browser, workspace_id: str, other_workspace_id: str
    ) -> None:
        assert code_of(ana.get("/v1/members", **{"OpenAI-Project": other_workspace_id})) == (401, "mismatched_project")
        assert code_of(olga.get("/v1/members", **{"OpenAI-Project": workspace_id})) == (401, "mismatched_project")
        olga.post("/v1/auth/session/workspace", {"workspace_id": workspace_id})
        assert olga.get("/v1/members", **{"OpenAI-Project": workspace_id}).status_code == 200
