import pytest
from fastapi.testclient import TestClient

from tests.api.seeded import VOTE
from tests.conftest import Headers

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/preferences/dataset", {}), ("/v1/request_log/dataset", {"completion_ids": ["chatcmpl-none"]})],
)
def test_a_key_that_may_not_read_what_was_said_makes_no_examples_of_it(
    client: TestClient, as_admin: Headers, path: str, body: dict[str, object]
) -> None:
    """They could be read as examples then."""
    assert client.post("/v1/preferences", headers=as_admin, json=VOTE).status_code == 200

    def limited_to(*scopes: str) -> tuple[int, str]:
        secret = client.post("/v1/api_keys", headers=as_admin, json={"name": "ci", "scopes": list(scopes)}).json()[
            "key"
        ]
        answer = client.post(path, headers={"authorization": f"Bearer {secret}"}, json=body)
        return answer.status_code, answer.json()["error"]["code"]

    status, _ = limited_to("datasets:read", "datasets:write")
    assert status == 403
    # who may do both gets as far as that there is too little
    status, code = limited_to("datasets:write", "chat:use")
    assert (status, code) in {(409, "too_few_preferences"), (404, "completion_not_found")}
