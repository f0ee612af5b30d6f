"""Real things of one workspace, asked for by the admin of another: they do not exist for them, by path or in a body."""

from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from core.config import Settings
from core.db.session import Database, workspace_scope
from core.serving.completions import service as completions
from core.training import service as training
from core.webhooks import service as webhooks
from core.webhooks.models import WebhookDelivery
from core.webhooks.types import EventType
from core.workspaces.roles import Permission
from tests.api.routes_of import Route, routes_of
from tests.factories.completions import new_completion
from tests.factories.training import make_version, put_base_model_on_disk

pytestmark = pytest.mark.stack

# the parameter of a path, and whose id it takes
PARAMETERS = {
    "file_id": "file",
    "dataset_id": "dataset",
    "version_id": "version",
    "fine_tuning_job_id": "run",
    "user_id": "user",
    "key_id": "key",
    "completion_id": "completion",
    "webhook_endpoint_id": "webhook",
    "delivery_id": "delivery",
}
# else an empty body would be refused before anybody looks for the thing
BODIES = {
    "POST /v1/datasets/{dataset_id}/versions": {"mapping": {"question": "question", "answer": "answer"}},
    "POST /v1/chat/completions/{completion_id}": {"metadata": {}},
    "PATCH /v1/datasets/{dataset_id}": {"name": "mine now"},
    "PATCH /v1/members/{user_id}": {"role": "viewer"},
    "POST /v1/fine_tuning/jobs/{fine_tuning_job_id}/move": {"to": "front"},
    "POST /v1/webhook_endpoints/{webhook_endpoint_id}": {"name": "mine now"},
    "POST /v1/webhook_endpoints/{webhook_endpoint_id}/test": {"event_type": "fine_tuning.job.failed"},
}
ALL = routes_of(create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none")))
ROUTES = [
    route
    for route in ALL
    if any(f"{{{name}}}" in route.path for name in PARAMETERS) and route.permission is not Permission.INSTALLATION_ADMIN
]
ABOVE = [route for route in ALL if route.permission is Permission.INSTALLATION_ADMIN]


@dataclass(frozen=True, slots=True)
class Things:
    file: str
    dataset: str
    version: str
    run: str
    user: str
    key: str
    completion: str
    webhook: str
    delivery: str


@pytest.fixture
def things(
    client: TestClient, as_admin: dict[str, str], settings: Settings, database: Database, workspace_id: str
) -> Things:
    """One of each, in our workspace."""

    def made(path: str, body: dict[str, object] | None = None) -> str:
        answer = client.post(path, headers=as_admin, json=body)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["id"]
        return found

    model = put_base_model_on_disk(settings)
    with database.session(workspace_scope(workspace_id)) as session:
        version_id = make_version(session, workspace_id).id
    sample_id = client.get("/v1/samples", headers=as_admin).json()["data"][0]["id"]
    file_id = made(f"/v1/samples/{sample_id}")
    webhook_id = made(
        "/v1/webhook_endpoints",
        {"name": "ours", "url": "https://example.com/", "event_types": ["fine_tuning.job.failed"]},
    )
    return Things(
        file=file_id,
        dataset=made("/v1/datasets", {"file_id": file_id}),
        version=version_id,
        run=made("/v1/fine_tuning/jobs", {"model": model, "dataset_version_id": version_id}),
        user=client.get("/v1/auth/session", headers=as_admin).json()["user"]["id"],
        key=made("/v1/api_keys", {"name": "ours"}),
        completion=_keep_completion(database, workspace_id),
        webhook=webhook_id,
        delivery=_make_delivery(database, workspace_id),
    )


def _keep_completion(database: Database, workspace_id: str) -> str:
    with database.session(workspace_scope(workspace_id)) as session:
        completions.keep(session, new_completion(workspace_id))
    return "chatcmpl-1"


def _make_delivery(database: Database, workspace_id: str) -> str:
    """Of the workspace's one webhook."""
    with database.session(workspace_scope(workspace_id)) as session:
        webhooks.emit(
            session,
            workspace_id=workspace_id,
            event_type=EventType.JOB_FAILED,
            subject_id="ftjob-1",
            occurrence="ftjob-1/1",
        )
        return session.query(WebhookDelivery).one().id


def send(client: TestClient, route: Route, things: Things, headers: dict[str, str]) -> int:
    path = route.path
    for name, thing in PARAMETERS.items():
        path = path.replace(f"{{{name}}}", getattr(things, thing))
    body = BODIES.get(f"{route.method} {route.path}", {})
    has_body = route.method in {"POST", "PUT", "PATCH"}
    return client.request(route.method, path, headers=headers, json=body if has_body else None).status_code


def test_no_path_opens_another_workspaces_thing(
    client: TestClient, things: Things, as_stranger: dict[str, str]
) -> None:
    answered = {str(route): send(client, route, things, as_stranger) for route in ROUTES}
    assert {route: status for route, status in answered.items() if status != 404} == {}


def test_the_same_paths_open_them_to_us(client: TestClient, things: Things, as_admin: dict[str, str]) -> None:
    reads = [route for route in ROUTES if route.method == "GET" and not route.path.endswith("/stream")]
    answered = {str(route): send(client, route, things, as_admin) for route in reads}
    assert {route: status for route, status in answered.items() if status != 200} == {}


def test_the_admin_of_a_workspace_learns_nothing_from_what_concerns_all_of_them(
    client: TestClient, database: Database, workspace_id: str, things: Things, as_stranger: dict[str, str]
) -> None:
    """Not even whether a job or a worker is there."""
    with database.session(workspace_scope(workspace_id)) as session:
        job_id = training.get(session, workspace_id=workspace_id, run_id=things.run).job.id
    answers = {}
    for route in ABOVE:
        for found in (job_id, "thing_unknown"):
            path = route.path.replace("{job_id}", found).replace("{workspace_id}", workspace_id)
            path = path.replace("{queue}", "io").replace("{worker_id}", found).replace("{token_id}", found)
            has_body = route.method in {"POST", "PUT", "PATCH"}
            answer = client.request(route.method, path, headers=as_stranger, json={} if has_body else None)
            answers[str(route), found] = (answer.status_code, answer.json()["error"]["code"])
    assert set(answers.values()) == {(403, "permission_denied")}, answers


@pytest.mark.parametrize(
    ("path", "field", "thing"),
    [
        ("/v1/datasets", "file_id", "file"),
        ("/v1/fine_tuning/jobs", "training_file", "file"),
        ("/v1/fine_tuning/jobs", "dataset_version_id", "version"),
        ("/v1/fine_tuning/estimates", "training_file", "file"),
        ("/v1/fine_tuning/estimates", "dataset_version_id", "version"),
        ("/v1/fine_tuning/jobs/estimate", "dataset_version_id", "version"),
    ],
)
def test_no_body_reaches_another_workspaces_thing(
    client: TestClient, things: Things, as_stranger: dict[str, str], path: str, field: str, thing: str
) -> None:
    body = {"model": "smollm2-135m-instruct"} if "fine_tuning" in path else {}
    answer = client.post(path, headers=as_stranger, json=body | {field: getattr(things, thing)})
    assert answer.status_code in {400, 404}, answer.text
    assert answer.json()["error"]["code"].endswith("not_found")


@pytest.mark.parametrize(
    "path",
    [
        "files",
        "datasets",
        "fine_tuning/jobs",
        "usage/entries",
        "members",
        "api_keys",
        "audit_events",
        "chat/completions",
        "webhook_endpoints",
    ],
)
def test_no_list_shows_another_workspaces_things(
    client: TestClient, things: Things, as_stranger: dict[str, str], path: str
) -> None:
    text = client.get(f"/v1/{path}?limit=100", headers=as_stranger).text
    assert not any(getattr(things, name) in text for name in Things.__slots__)
