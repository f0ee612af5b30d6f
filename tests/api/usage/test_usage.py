from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from core.db.session import Database, workspace_scope
from core.usage import service as usage

pytestmark = pytest.mark.stack

Headers = dict[str, str]
PATHS = ("/v1/usage/summary", "/v1/usage/entries", "/v1/usage/storage", "/v1/prices")


@pytest.fixture
def charged(database: Database, workspace_id: str) -> None:
    for kind, source_id, amount_micros in (("training", "ftjob-1", 1_250_000), ("inference", "chat-1", 40)):
        with database.session(workspace_scope(workspace_id)) as session:
            usage.record(
                session,
                workspace_id=workspace_id,
                kind=kind,
                source_id=source_id,
                amount_micros=amount_micros,
                seconds=75.5,
                tokens=100,
                created_by=None,
            )


@pytest.mark.parametrize("path", PATHS)
def test_nobody_is_told_without_signing_in(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_a_viewer_may_look(client: TestClient, as_viewer: Headers, path: str) -> None:
    assert client.get(path, headers=as_viewer).status_code == 200


@pytest.mark.usefixtures("charged")
def test_the_summary_is_in_dollars(client: TestClient, as_member: Headers) -> None:
    body = client.get("/v1/usage/summary", headers=as_member).json()
    today = datetime.now(tz=UTC)
    assert body == {
        "object": "usage.summary",
        "month": f"{today:%Y-%m}",
        "total_usd": 1.25004,
        "training_usd": 1.25,
        "inference_usd": 0.00004,
        "export_usd": 0,
        "tokens": 200,
        "by_day": [{"date": f"{today:%Y-%m-%d}", "usd": 1.25004}],
    }


@pytest.mark.usefixtures("charged")
def test_entries_are_a_list_with_pages(client: TestClient, as_member: Headers) -> None:
    first = client.get("/v1/usage/entries", params={"limit": 1}, headers=as_member).json()
    assert (first["object"], first["has_more"]) == ("list", True)
    assert first["data"][0]["source_id"] == "chat-1"
    rest = client.get("/v1/usage/entries", params={"after": first["last_id"]}, headers=as_member).json()
    assert [entry["usd"] for entry in rest["data"]] == [1.25]
    assert rest["data"][0]["kind"] == "training"


@pytest.mark.usefixtures("charged")
def test_another_workspace_sees_none_of_it(client: TestClient, as_stranger: Headers) -> None:
    assert client.get("/v1/usage/entries", headers=as_stranger).json()["data"] == []
    assert client.get("/v1/usage/summary", headers=as_stranger).json()["total_usd"] == 0


def test_prices_name_their_source(client: TestClient, as_viewer: Headers) -> None:
    prices = {price["hardware"]: price for price in client.get("/v1/prices", headers=as_viewer).json()["data"]}
    assert prices["cpu"]["usd_per_hour"] == 0.06
    assert prices["cpu"]["source"] == "Default of this installation: set your own."
