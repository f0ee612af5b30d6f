"""Holding out the newest: only where dates are known."""

import pytest
from fastapi.testclient import TestClient

from core.db.session import Database, workspace_scope
from tests.conftest import Headers
from tests.factories.training import make_version

pytestmark = pytest.mark.stack

BY_TIME = {"type": "resplit", "strategy": "by_time", "fraction": 0.2}


@pytest.mark.parametrize(
    ("num_dated", "status", "code"), [(None, 400, "no_dates"), (0, 400, "no_dates"), (9, 200, None)]
)
def test_a_version_without_dates_is_refused_and_says_what_to_do(
    client: TestClient,
    as_member: Headers,
    database: Database,
    workspace_id: str,
    num_dated: int | None,
    status: int,
    code: str | None,
) -> None:
    with database.session(workspace_scope(workspace_id)) as session:
        version = make_version(session, workspace_id, with_rows=True, num_dated=num_dated)
        version_id, dataset_id = version.id, version.dataset_id
    told = client.get(f"/v1/dataset_versions/{version_id}", headers=as_member).json()
    assert told["num_dated"] == (num_dated or 0)
    answer = client.post(
        f"/v1/datasets/{dataset_id}/draft/changes",
        headers=as_member,
        json={"version_id": version_id, "change": BY_TIME},
    )
    error = answer.json().get("error", {})
    assert (answer.status_code, error.get("code"), error.get("param")) == (status, code, code and "strategy")
