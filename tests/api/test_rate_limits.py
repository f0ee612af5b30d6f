import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from openai import OpenAI, RateLimitError

from api.main import create_app
from core.backends.limits import MemoryRateLimiter, RedisRateLimiter
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.identity import service as identity
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.kit.clock import utc_now
from core.kit.ids import first_id, new_id
from core.workspaces.principal import Principal
from tests.api.routes_of import routes_of
from tests.conftest import key_headers

pytestmark = pytest.mark.stack

Headers = dict[str, str]
STARTING_JOBS = [
    re.sub(r"\{.*?\}", "x", route.path)
    for route in routes_of(create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none")))
    if route.counts_jobs
]


@pytest.fixture
def counting(backends: Backends) -> Backends:
    return replace(backends, limits=MemoryRateLimiter())


@contextmanager
def limited(
    settings: Settings, database: Database, backends: Backends, *, address: str = "203.0.113.1", **limits: object
) -> Iterator[TestClient]:
    settings = settings.model_copy(update=limits)
    with TestClient(create_app(settings, database, backends), client=(address, 5000)) as client:
        yield client


def statuses(client: TestClient, headers: Headers, num: int, path: str = "/v1/files") -> list[int]:
    return [client.get(path, headers=headers).status_code for _ in range(num)]


class TestPerKey:
    def test_one_request_too_many_is_refused_in_the_words_of_the_wire(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_reads=3) as client:
            # the first is counted by its address: until then nobody knows whose the key is
            answers = [client.get("/v1/files", headers=as_admin) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429]
        assert answers[3].headers["x-ratelimit-limit-requests"] == "3"
        assert answers[3].headers["x-ratelimit-remaining-requests"] == "0"
        refused = answers[4]
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert "3 requests that read a minute" in error["message"]
        assert 19 <= int(refused.headers["retry-after"]) <= 20
        assert 19_000 < int(refused.headers["retry-after-ms"]) <= 20_000
        assert refused.headers["x-should-retry"] == "true"
        assert refused.headers["x-ratelimit-reset-requests"] in {"1m0s", "59.9s"} or refused.headers[
            "x-ratelimit-reset-requests"
        ].startswith("59")
        assert refused.headers["x-request-id"]

    def test_a_refusal_costs_no_look_into_the_database(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
        with limited(settings, database, counting, rate_limit_reads=1) as client:
            assert statuses(client, as_admin, 2) == [200, 200]
            client.app.state.database = away  # type: ignore[attr-defined]
            assert statuses(client, as_admin, 1) == [429]

    def test_one_key_does_not_use_up_anothers(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers, as_viewer: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_reads=1) as client:
            assert statuses(client, as_admin, 3) == [200, 200, 429]
            assert statuses(client, as_viewer, 3) == [200, 200, 429]

    def test_reading_does_not_use_up_writing(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_reads=1, rate_limit_writes=1) as client:
            statuses(client, as_admin, 3)
            made = [client.post("/v1/api_keys", headers=as_admin, json={"name": "k"}) for _ in range(2)]
        assert [answer.status_code for answer in made] == [200, 429]
        assert "change something" in made[1].json()["error"]["message"]

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            *((path, "jobs") for path in STARTING_JOBS),
            ("/v1/chat/completions", "chat"),
            ("/v1/files", "uploads"),
            ("/v1/fine_tuning/jobs/ftjob-1/cancel", "writes"),
        ],
    )
    def test_each_kind_of_request_has_its_own_limit(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers, path: str, kind: str
    ) -> None:
        with limited(settings, database, counting, **{f"rate_limit_{kind}": 1}) as client:
            client.get("/v1/files", headers=as_admin)
            answers = [client.post(path, headers=as_admin, json={}) for _ in range(2)]
        assert answers[0].status_code != 429
        assert answers[0].headers["x-ratelimit-limit-requests"] == "1"
        assert answers[1].status_code == 429

    def test_zero_is_no_limit_and_says_none(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_reads=0, rate_limit_public=0) as client:
            answers = [client.get("/v1/files", headers=as_admin) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert not any(name.startswith("x-ratelimit") for name in answers[-1].headers)

    def test_the_official_client_waits_as_long_as_it_is_told(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_reads=60) as client:
            key = as_admin["authorization"].removeprefix("Bearer ")
            openai = OpenAI(api_key=key, base_url="http://testserver/v1", http_client=client, max_retries=0)  # type: ignore[arg-type]
            assert openai.files.list().data == []
            client.get("/v1/files", headers=as_admin)
            for _ in range(59):
                client.get("/v1/nothing", headers=as_admin)
            with pytest.raises(RateLimitError) as refused:
                for _ in range(200):
                    openai.files.list()
        assert 0 < int(refused.value.response.headers["retry-after-ms"]) <= 1000
        assert refused.value.code == "rate_limit_exceeded"


class TestPerPerson:
    def test_two_browsers_of_one_person_share_a_limit(
        self, settings: Settings, database: Database, counting: Backends, principal: Principal
    ) -> None:
        with database.session(SYSTEM) as session:
            tokens = [identity.open_session(session, user_id=principal.user_id, max_s=600).token for _ in range(2)]
        browsers = [{"cookie": f"tailorbird_session={token}"} for token in tokens]
        with limited(settings, database, counting, rate_limit_reads=2) as client:
            assert [statuses(client, browser, 1) for browser in browsers] == [[200], [200]]
            assert [statuses(client, browser, 1) for browser in browsers] == [[200], [200]]
            assert [statuses(client, browser, 1) for browser in browsers] == [[429], [429]]


class TestWaysAround:
    def test_another_spelling_of_a_key_is_no_other_key(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        secret = as_admin["authorization"].removeprefix("Bearer ")
        spellings = [f"{scheme} {blanks}{secret}" for scheme in ("bearer", "BEARER", "bEaReR") for blanks in ("", " ")]
        with limited(settings, database, counting, rate_limit_reads=2, rate_limit_public=1000) as client:
            assert statuses(client, as_admin, 3) == [200] * 3
            tried = [statuses(client, {"authorization": spelling}, 1)[0] for spelling in spellings]
        assert tried == [429] * 6

    def test_more_keys_start_no_more_jobs(
        self, settings: Settings, database: Database, counting: Backends, principal: Principal
    ) -> None:
        keys = [key_headers(database, principal) for _ in range(3)]
        with limited(settings, database, counting, rate_limit_jobs=2) as client:
            for key in keys:
                client.get("/v1/files", headers=key)
            asked = [client.post("/v1/datasets", headers=key, json={"file_id": "file-none"}) for key in keys]
        assert [answer.status_code for answer in asked] == [404, 404, 429]
        assert "In one workspace 2 new jobs a minute" in asked[2].json()["error"]["message"]

    def test_the_addresses_of_one_ipv6_network_are_one_client(
        self, settings: Settings, database: Database, counting: Backends
    ) -> None:
        trusted = {"trusted_proxies": "10.0.0.0/8", "rate_limit_sign_in": 2}
        body = {"email": "a@example.com", "password": "wrong password"}
        with limited(settings, database, counting, address="10.0.0.5", **trusted) as client:
            asked = [
                client.post("/v1/auth/sign_in", headers={"x-forwarded-for": address}, json=body).status_code
                for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3", "2001:db8:0:1::1")
            ]
        assert asked == [401, 401, 429, 401]


class TestPerAddress:
    def test_who_tries_keys_is_stopped_whatever_keys_they_try(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_public=4) as client:
            assert statuses(client, as_admin, 1) == [200]
            tried = [statuses(client, {"authorization": f"Bearer tb_live_{n}"}, 1)[0] for n in range(5)]
            assert tried == [401, 401, 401, 429, 429]
            # who is known already goes on
            assert statuses(client, as_admin, 1) == [200]
        with limited(settings, database, counting, rate_limit_public=4, address="203.0.113.2") as client:
            assert statuses(client, {"authorization": "Bearer tb_live_1"}, 1) == [401]

    def test_what_prometheus_asks_is_no_way_around(
        self, settings: Settings, database: Database, counting: Backends
    ) -> None:
        with limited(settings, database, counting, rate_limit_public=2) as client:
            assert statuses(client, {"authorization": "Bearer tb_live_1"}, 3, "/metrics") == [401, 401, 429]

    def test_a_key_that_was_revoked_counts_as_unknown_again(
        self, settings: Settings, database: Database, counting: Backends, principal: Principal, as_admin: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_public=3, rate_limit_reads=1000) as client:
            doomed = key_headers(database, principal)
            assert statuses(client, doomed, 2) == [200, 200]
            key_id = client.get("/v1/api_keys", headers=doomed).json()["data"][0]["id"]
            assert client.delete(f"/v1/api_keys/{key_id}", headers=doomed).status_code == 200
            assert statuses(client, doomed, 4) == [401, 401, 401, 429]

    def test_signing_in_has_a_limit_that_no_header_lifts(
        self, settings: Settings, database: Database, counting: Backends, as_admin: Headers
    ) -> None:
        with limited(settings, database, counting, rate_limit_sign_in=2) as client:
            client.get("/v1/files", headers=as_admin)
            answers = []
            for n in range(3):
                headers = as_admin | {"x-forwarded-for": f"198.51.100.{n}"}
                body = {"email": f"{n}@example.com", "password": "wrong password"}
                answers.append(client.post("/v1/auth/sign_in", headers=headers, json=body).status_code)
        assert answers == [401, 401, 429]

    def test_behind_a_trusted_proxy_each_client_is_counted_by_itself(
        self, settings: Settings, database: Database, counting: Backends
    ) -> None:
        trusted = {"trusted_proxies": "10.0.0.0/8", "rate_limit_public": 1}
        with limited(settings, database, counting, address="10.0.0.5", **trusted) as client:
            asked = [
                statuses(client, {"x-forwarded-for": f"6.6.6.6, 198.51.100.{n}"}, 1, "/v1/openapi.json")[0]
                for n in (1, 2, 1)
            ]
        assert asked == [200, 200, 429]

    def test_a_load_balancer_may_always_ask_for_health(
        self, settings: Settings, database: Database, counting: Backends
    ) -> None:
        with limited(settings, database, counting, rate_limit_public=1) as client:
            assert statuses(client, {}, 5, "/v1/health") == [200] * 5


class TestWithoutValkey:
    @pytest.fixture
    def blind(self, backends: Backends) -> Backends:
        return replace(backends, limits=RedisRateLimiter(Settings(redis_url="redis://127.0.0.1:1/0")))

    def test_reads_and_writes_go_on(
        self, settings: Settings, database: Database, blind: Backends, as_admin: Headers
    ) -> None:
        with limited(settings, database, blind, rate_limit_reads=1, rate_limit_writes=1) as client:
            assert statuses(client, as_admin, 4) == [200] * 4
            made = [client.post("/v1/api_keys", headers=as_admin, json={"name": "k"}).status_code for _ in range(3)]
        assert made == [200] * 3

    def test_new_jobs_are_counted_in_the_database(
        self, settings: Settings, database: Database, blind: Backends, as_admin: Headers, workspace_id: str
    ) -> None:
        with limited(settings, database, blind, rate_limit_jobs=2) as client:
            before = client.post("/v1/datasets", headers=as_admin, json={"file_id": "file-unknown"})
            make_job(database, workspace_id)
            make_job(database, workspace_id, job_id=old_job_id())
            at_one = client.post("/v1/datasets", headers=as_admin, json={"file_id": "file-unknown"})
            make_job(database, workspace_id)
            after = client.post("/v1/datasets", headers=as_admin, json={"file_id": "file-unknown"})
        assert (before.status_code, at_one.status_code) == (404, 404)
        assert (after.status_code, after.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert after.headers["retry-after"] == "60"

    def test_where_jobs_have_no_limit_none_is_refused(
        self, settings: Settings, database: Database, blind: Backends, as_admin: Headers
    ) -> None:
        """Also where the request was counted as another kind: a key's first is one of nobody known yet."""
        with limited(settings, database, blind, rate_limit_jobs=0) as client:
            answer = client.post("/v1/datasets", headers=as_admin, json={"file_id": "file-unknown"})
        assert answer.status_code == 404

    def test_anothers_jobs_do_not_count(
        self, settings: Settings, database: Database, blind: Backends, as_admin: Headers, other_workspace_id: str
    ) -> None:
        for _ in range(3):
            make_job(database, other_workspace_id)
        with limited(settings, database, blind, rate_limit_jobs=2) as client:
            answer = client.post("/v1/datasets", headers=as_admin, json={"file_id": "file-unknown"})
        assert answer.status_code == 404


def make_job(database: Database, workspace_id: str, *, job_id: str | None = None) -> None:
    with database.session(workspace_scope(workspace_id)) as session:
        jobs.submit(
            session,
            workspace_id=workspace_id,
            kind=JobKind.DATASET_INGEST,
            payload={},
            created_by=None,
            job_id=job_id,
        )


def old_job_id() -> str:
    """Of two minutes ago."""
    assert new_id("job_") > first_id("job_", utc_now() - timedelta(minutes=1))
    return first_id("job_", utc_now() - timedelta(minutes=2))
