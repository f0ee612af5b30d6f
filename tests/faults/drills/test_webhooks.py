"""Drills 38 and 41: what users give as an address leads nowhere inside, and what happened is told whatever dies."""

from collections import Counter

import pytest

from core.db.session import workspace_scope
from core.kit.sealing import Sealer
from core.webhooks import service
from core.webhooks.types import EventType
from tests.contracts.test_outbound import URLS
from tests.factories.receiver import Received, Reply, receiver
from tests.faults.arena import STARTED_S, Arena
from tests.faults.recording import Record

pytestmark = pytest.mark.stack

NUM_ENDPOINTS = 15
NUM_EVENTS = 12


def end_a_run(arena: Arena) -> None:
    arena.cancel(arena.submit(ring=False))


def num_pending(arena: Arena) -> int:
    (found,) = arena.rows("select count(*) from webhook_deliveries where state = 'pending'")
    return int(found)


@pytest.mark.drill(38)
@pytest.mark.fast_drill
def test_no_address_that_a_user_gives_leads_inside(arena: Arena, record_figure: Record) -> None:
    # those that need a name server of their own are tried in `tests/contracts/test_outbound.py`
    given = [url for url in URLS if ".test" not in url and "example.com" not in url]
    with receiver() as canary:
        urls = [url.replace("CANARY", str(canary.port)) for url in given]
        ports = f"80, 443, {canary.port}"
        with arena.api(outbound_ports=ports) as client:
            for url in urls:
                body = {"name": "inside", "url": url, "event_types": ["fine_tuning.job.failed"]}
                answer = client.post("/v1/webhook_endpoints", json=body)
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, "url_refused"), url
        # as if they had been fine when they were entered
        endpoints = [enter_unchecked(arena, url) for url in urls[:: len(urls) // NUM_ENDPOINTS][:NUM_ENDPOINTS]]
        end_a_run(arena)
        arena.worker("io", outbound_ports=ports)
        arena.started()
        wanted = "select count(distinct d.endpoint_id) from webhook_attempts a join webhook_deliveries d "
        wanted += "on d.id = a.delivery_id where a.status_code is null and a.error is not null"
        arena.wait_until(
            lambda: arena.rows(wanted) == [len(endpoints)], timeout_s=30, what="each of them was refused a call"
        )
        assert canary.num_connections == 0
    record_figure("addresses", len(urls), times=len(urls) + len(endpoints))
    for endpoint_id in endpoints:
        arena.execute("delete from webhook_endpoints where id = :id", id=endpoint_id)


def enter_unchecked(arena: Arena, url: str) -> str:
    principal, settings = arena.principal(), arena.settings()
    with arena.database.session(workspace_scope(principal.workspace_id)) as session:
        return service.create(
            session,
            principal=principal,
            name="inside",
            url=url,
            event_types=[EventType.JOB_CANCELLED],
            sealer=Sealer.of_settings(settings.encryption_keys, settings.secret_key),
        ).id


@pytest.mark.drill(41)
@pytest.mark.fast_drill
def test_workers_killed_in_the_middle_of_deliveries_lose_none(arena: Arena, record_figure: Record) -> None:
    hooks, chance, num_kills = arena.webhooks.receiver, arena.random, 3

    def moody(_: Received) -> Reply:
        hooks.changed.acquire()
        hooks.changed.wait(chance.uniform(0, 0.4))
        hooks.changed.release()
        return Reply(chance.choice([200, 200, 500, 503]))

    hooks.script = moody
    for _ in range(NUM_EVENTS):
        end_a_run(arena)
    for _ in range(num_kills):
        worker = arena.worker("io")
        before = len(hooks.requests)
        arena.wait_until(lambda seen=before: len(hooks.requests) > seen, timeout_s=STARTED_S, what="it sends")  # type: ignore[misc]
        worker.kill()
        # its leases and the schedule are not waited for
        arena.execute("update webhook_deliveries set next_attempt_at = now(), lease_expires_at = null "
                      "where state = 'pending'")  # fmt: skip
    hooks.script = lambda _: Reply()
    arena.worker("io")
    arena.wait_until(lambda: num_pending(arena) == 0, timeout_s=STARTED_S, what="all has arrived")
    arrived = Counter(one.headers["webhook-id"] for one in hooks.requests)
    assert len(arrived) == NUM_EVENTS
    record_figure("events", NUM_EVENTS, times=num_kills)
    record_figure("calls", arrived.total())
