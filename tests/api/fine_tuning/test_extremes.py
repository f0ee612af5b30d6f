"""Numbers and times that somebody sends to see what breaks: refused in words, or taken and shown on every page."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.stack

Headers = dict[str, str]
Create = Callable[..., dict[str, Any]]
JOBS = "/v1/fine_tuning/jobs"
LAST_SECOND = 253_402_300_799

REFUSED = ["NaN", "Infinity", "-Infinity", "1e308", "-1", "0.5", str(2**63), str(10**400), '"\\u0000"', "[]", "{}"]
MEANT = {("priority", "-1"), ("max_cost_usd", "0.5")}


@pytest.mark.parametrize("how", ["create", "clone", "change", "estimate"])
def test_what_is_no_number_of_ours_is_refused(
    client: TestClient, as_member: Headers, create: Create, model: str, how: str
) -> None:
    job = create()
    named = {"model": model, "dataset_version_id": job["dataset_version_id"]}
    method, path, body = {
        "create": ("POST", JOBS, named),
        "clone": ("POST", f"{JOBS}/{job['id']}/clone", {"suffix": "x"}),
        "change": ("PATCH", f"{JOBS}/{job['id']}", {"name": "x"}),
        "estimate": ("POST", "/v1/fine_tuning/estimates", named),
    }[how]
    names = ["max_cost_usd"] if how == "estimate" else ["start_after", "max_cost_usd", "priority"]
    for name, value in product(names, REFUSED):
        if (name, value) in MEANT:
            continue
        raw = f'{json.dumps(body)[:-1]}, "{name}": {value}}}'
        answer = client.request(method, path, headers=as_member | {"content-type": "application/json"}, content=raw)
        assert answer.status_code == 400, (name, value, answer.text)
        assert answer.json()["error"]["code"] in {"invalid_value", "out_of_range", "invalid_json"}


def test_a_run_of_the_last_second_of_time_is_shown_everywhere(
    client: TestClient, as_member: Headers, as_operator: Headers, create: Create
) -> None:
    job = create(start_after=LAST_SECOND, max_cost_usd=1_000_000, priority=100)
    at = f"{JOBS}/{job['id']}"
    for step in ("pause", "resume", "move"):
        answer = client.post(f"{at}/{step}", headers=as_member, json={"to": "front"} if step == "move" else None)
        assert (answer.status_code, answer.json()["start_after"]) == (200, LAST_SECOND), answer.text
    for path in (at, JOBS, f"{at}/events", f"{at}/metrics?from_step=999999999999999999", "/v1/fine_tuning/queue"):
        assert client.get(path, headers=as_member).status_code == 200, path
    for path in ("/v1/admin/queues", "/v1/admin/jobs", "/v1/admin/workers", "/metrics"):
        answer = client.get(path, headers=as_operator)
        assert answer.status_code == 200, answer.text
