"""Drill 39: creates that are sent many times, browsers that are led astray."""

import threading
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.db.session import SYSTEM
from core.identity import service as identity
from core.jobs.states import JobState
from core.workspaces import service as workspaces
from core.workspaces.roles import Role
from tests.faults.arena import Arena
from tests.faults.drills.clients import JOBS
from tests.faults.recording import Record

pytestmark = [pytest.mark.stack, pytest.mark.drill(39), pytest.mark.fast_drill]

NUM_CLIENTS = 200
PATIENCE_S = 60.0
EMAIL, PASSWORD = "ana@example.com", "a long enough password"
ORIGIN = {"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"}


def scheduled(arena: Arena) -> dict[str, Any]:
    """A run that no worker begins today."""
    return {**arena.request_body(), "start_after": int(time.time()) + 24 * 3600}


def jobs_made(arena: Arena) -> list[tuple[str, str]]:
    """Run and job."""
    found = arena.rows("select r.id, j.id from runs r join jobs j on j.id = r.job_id")
    arena.unfinished.update({job_id: JobState.QUEUED for _, job_id in found})
    return found


def test_two_hundred_creates_at_once_with_one_key_make_one_job(arena: Arena, record_figure: Record) -> None:
    body, key = scheduled(arena), {"idempotency-key": "one of two hundred"}
    told: list[str] = []
    statuses: list[int] = []
    start = threading.Barrier(NUM_CLIENTS)

    def create(api: TestClient) -> None:
        """As a client does: what is in flight, or too much at once, is asked for again when it is told to."""
        start.wait()
        give_up_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at:
            answer = api.post(JOBS, json=body, headers=key)
            statuses.append(answer.status_code)
            if answer.status_code not in {409, 503}:
                told.append(answer.json()["id"])
                return
            time.sleep(float(answer.headers["retry-after"]))

    # how often one may ask is another drill's matter
    with arena.api(rate_limit_jobs=0) as api:
        threads = [threading.Thread(target=create, args=(api,)) for _ in range(NUM_CLIENTS)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        record_figure("all_told_s", time.monotonic() - began, times=NUM_CLIENTS)
    assert set(statuses) <= {200, 409, 503}
    assert len(told) == NUM_CLIENTS
    ((run_id, _),) = jobs_made(arena)
    assert set(told) == {run_id}


def test_a_key_stands_for_one_body_and_for_a_day(arena: Arena) -> None:
    body, key = scheduled(arena), {"idempotency-key": "daily"}
    with arena.api() as api:
        first = api.post(JOBS, json=body, headers=key)
        other = api.post(JOBS, json=body | {"seed": 8}, headers=key)
        again = api.post(JOBS, json=body, headers=key)
        arena.execute("update idempotency_keys set created_at = now() - interval '24 hours 1 second'")
        a_day_later = api.post(JOBS, json=body, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (first.json()["id"], "true")
    assert a_day_later.status_code == 200
    assert "idempotent-replayed" not in a_day_later.headers
    assert {run_id for run_id, _ in jobs_made(arena)} == {first.json()["id"], a_day_later.json()["id"]}


class TestBrowser:
    @pytest.fixture
    def person(self, arena: Arena) -> str:
        with arena.database.session(SYSTEM) as session:
            user = identity.create_user(session, email=EMAIL, name="Ana", password=PASSWORD)
            workspace_id = arena.principal().workspace_id
            workspaces.add_member(session, workspace_id=workspace_id, user_id=user.id, role=Role.ADMIN)
        return user.id

    def sign_in(self, api: TestClient) -> str:
        """The CSRF token of the session that is opened."""
        api.headers.pop("authorization", None)
        answer = api.post("/v1/auth/sign_in", json={"email": EMAIL, "password": PASSWORD}, headers=ORIGIN)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["csrf_token"])

    @pytest.mark.parametrize(
        "lie", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}]
    )
    def test_a_page_of_another_site_creates_nothing(self, arena: Arena, person: str, lie: dict[str, str]) -> None:
        with arena.api() as api:
            token = self.sign_in(api)
            headers = ORIGIN | {"x-csrf-token": token} | lie
            answer = api.post(JOBS, json=scheduled(arena), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site_request")
        assert jobs_made(arena) == []

    def test_a_session_that_was_planted_is_not_the_one_that_is_opened(self, arena: Arena, person: str) -> None:
        """Session fixation: who put a token into the browser before must not be signed in by it."""
        with arena.api() as api:
            self.sign_in(api)
            (name,) = api.cookies.keys()
            for planted in ("planted-by-somebody", str(api.cookies[name])):
                api.cookies.clear()
                api.cookies.set(name, planted, domain="127.0.0.1")
                self.sign_in(api)
                opened = {cookie.value for cookie in api.cookies.jar if cookie.value != planted}
                assert len(opened) == 1
                api.cookies.clear()
                stolen = api.get("/v1/auth/session", headers={"cookie": f"{name}={planted}"})
                assert (stolen.status_code, stolen.json()["error"]["code"]) == (401, "session_ended")
                assert api.get("/v1/auth/session", headers={"cookie": f"{name}={opened.pop()}"}).status_code == 200
