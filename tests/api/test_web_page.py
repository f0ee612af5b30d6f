from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from core.config import Settings
from core.db.session import Database
from tests.factories.backends import memory_backends


@pytest.fixture
def page_client(tmp_path: Path) -> Iterator[TestClient]:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>Tailorbird</title>")
    (dist / "assets" / "index-abc123.js").write_text("console.log(1)")
    (dist / "favicon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    backends = memory_backends()
    app = create_app(
        Settings(frontend_dist=dist, public_url="https://tailor.example.com"),
        Database("postgresql+psycopg://nobody@127.0.0.1:1/none"),
        backends,
    )
    with TestClient(app) as client:
        yield client


class TestWebPage:
    @pytest.mark.parametrize("path", ["/", "/runs/ftjob-1", "/sign-in", "/v10"])
    def test_any_page_path_is_the_start_page_and_is_asked_for_anew(self, page_client: TestClient, path: str) -> None:
        answer = page_client.get(path)
        assert answer.status_code == 200
        assert "<title>Tailorbird</title>" in answer.text
        assert answer.headers["cache-control"] == "no-cache"
        assert "script-src 'self'" in answer.headers["content-security-policy"]

    def test_hashed_files_are_kept_for_ever(self, page_client: TestClient) -> None:
        answer = page_client.get("/assets/index-abc123.js")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"

    def test_other_files_are_asked_for_anew(self, page_client: TestClient) -> None:
        answer = page_client.get("/favicon.svg")
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert answer.headers["cache-control"] == "no-cache"

    def test_a_script_that_is_gone_is_not_the_start_page(self, page_client: TestClient) -> None:
        assert page_client.get("/assets/index-old.js").status_code == 404

    @pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt"])
    def test_nothing_outside_the_folder_is_served(self, page_client: TestClient, path: str) -> None:
        assert "secret" not in page_client.get(path).text

    def test_the_api_keeps_its_own_errors(self, page_client: TestClient) -> None:
        assert page_client.get("/v1/nothing").json()["error"]["code"] == "unknown_url"
        assert page_client.post("/runs").json()["error"]["code"] == "unknown_url"

    def test_https_is_insisted_on_where_it_is_used(self, page_client: TestClient) -> None:
        assert page_client.get("/").headers["strict-transport-security"]
