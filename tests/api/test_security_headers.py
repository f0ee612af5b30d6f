"""What every kind of answer tells a browser that it may do with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import Response as Answer
from fastapi.testclient import TestClient
from httpx2 import Response

from api.browser import set_session_cookie
from api.main import create_app
from api.streaming import HEADERS
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from tests.conftest import Headers

pytestmark = pytest.mark.stack

# the start of a page that a browser would believe to be one, if it were allowed to guess
HTML = b"question,answer\n<html><script>alert(1)</script>,<img src=x onerror=alert(1)>\n" + b"a,b\n" * 20


@pytest.fixture
def client(settings: Settings, database: Database, backends: Backends, tmp_path: Path) -> Iterator[TestClient]:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>Tailorbird</title>")
    (dist / "assets" / "index-abc123.js").write_text("console.log(1)")
    settings = settings.model_copy(update={"frontend_dist": dist, "public_url": "https://tailor.example.com"})
    with TestClient(
        create_app(settings, database, backends), base_url="http://127.0.0.1:8700", raise_server_exceptions=False
    ) as client:
        yield client


@pytest.fixture
def file_id(client: TestClient, as_member: Headers) -> str:
    answer = client.post("/v1/files", headers=as_member, files={"file": ("page.html.csv", HTML)})
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["id"]
    return found


def policy(answer: Response) -> dict[str, str]:
    directives = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: values for name, _, values in directives}


EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "strict-transport-security": "max-age=31536000",
}
# of each kind one: how it is asked for, its status, and what is kept of it
API = ["/v1/auth/session", "/v1/files", "/v1/nothing", "/v1/openapi.json", "/metrics", "/v1/ready"]
PAGES = ["/", "/train/ftjob-1", "/assets/index-abc123.js"]


@pytest.mark.parametrize("path", [*API, *PAGES, "/assets/gone.js"])
def test_every_answer_is_guarded(client: TestClient, as_admin: Headers, path: str) -> None:
    for headers in (as_admin, {}):
        answer = client.get(path, headers=headers)
        assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
        assert "camera=()" in answer.headers["permissions-policy"]
        assert policy(answer)["frame-ancestors"] == "'none'"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", PAGES)
def test_the_page_runs_its_own_files_and_nothing_else(client: TestClient, path: str) -> None:
    found = policy(client.get(path))
    assert found["script-src"] == found["default-src"] == found["connect-src"] == "'self'"
    assert found["object-src"] == found["base-uri"] == "'none'"
    assert "unsafe-eval" not in str(found)
    assert not any(source.startswith("http") for value in found.values() for source in value.split())


@pytest.mark.parametrize("path", API)
def test_what_the_api_says_is_kept_by_nobody_and_runs_nothing(client: TestClient, as_admin: Headers, path: str) -> None:
    for headers in (as_admin, {}):
        answer = client.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        assert policy(answer)["default-src"] == "'none'"
        assert "html" not in answer.headers["content-type"]


def test_a_bug_is_guarded_too(client: TestClient) -> None:
    @client.app.get("/v1/bug")  # type: ignore[attr-defined, untyped-decorator, unused-ignore]
    def fail() -> None:
        raise RuntimeError

    answer = client.get("/v1/bug")
    assert answer.status_code == 500
    assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/v1/files/{file_id}/content", "/v1/audit_events/export"])
def test_a_download_is_never_shown_as_a_page(client: TestClient, as_admin: Headers, file_id: str, path: str) -> None:
    """What somebody uploaded is their text: as a page of ours it could act for whoever opens it."""
    answer = client.get(path.replace("{file_id}", file_id), headers=as_admin)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"].partition(";")[0] in {"application/octet-stream", "text/csv"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert policy(answer)["default-src"] == "'none'"


def test_a_stream_is_kept_by_nobody(client: TestClient, as_admin: Headers, file_id: str) -> None:
    with client.stream("GET", "/v1/fine_tuning/jobs/ftjob-none/stream", headers=as_admin) as answer:
        assert answer.status_code == 404
        assert answer.headers["cache-control"] == "no-store"
    assert "no-store" in HEADERS["cache-control"]


def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(client: TestClient) -> None:
    answer = Answer()
    set_session_cookie(answer, client.app.state.settings, token="t")  # type: ignore[attr-defined]
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
