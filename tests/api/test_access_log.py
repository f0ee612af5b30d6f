import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.stack


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["fields"] for record in caplog.records if record.name == "api.access"]


def test_each_request_is_one_line_that_says_what_who_and_how_long(
    client: TestClient, as_admin: dict[str, str], workspace_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="api.access"):
        client.get("/v1/datasets/ds_unknown", headers=as_admin)
        client.get("/v1/nothing")
    known, unknown = lines_of(caplog)
    assert known.pop("duration_ms") > 0
    assert known == {"method": "GET", "route": "/v1/datasets/{dataset_id}", "status": 404, "workspace_id": workspace_id}
    assert (unknown["route"], unknown["status"], unknown["workspace_id"]) == (None, 404, None)


def test_no_secret_is_in_the_log(
    client: TestClient, as_admin: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = as_admin["authorization"].partition(" ")[2]
    with caplog.at_level(logging.DEBUG):
        client.get(f"/v1/members?token={secret}", headers=as_admin)
        client.post("/v1/auth/sign_in", json={"email": "ana@example.com", "password": secret})
    ours = [record for record in caplog.records if record.name.partition(".")[0] in {"api", "core"}]
    assert ours
    assert not any(secret in str(vars(record)) for record in ours)
