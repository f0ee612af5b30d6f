"""The outbox by its rules: who is told, what is due, what a try leads to. Nothing is sent here."""

from dataclasses import replace

import pytest

from core.audit import service as audit
from core.audit.types import AuditFilter
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Conflict, NotFound
from core.kit.pagination import PageRequest
from core.webhooks import deliveries, service
from core.webhooks.deliveries import LEASE_S, PER_ENDPOINT, PER_WORKSPACE
from core.webhooks.types import SCHEDULE_S, DeliveryState, DisabledReason, EventType, Outcome
from core.workspaces.roles import Role
from tests.conftest import make_principal
from tests.core.webhooks.conftest import BAD, OK, SEALER, Outbox

pytestmark = pytest.mark.stack

GONE = replace(BAD, status_code=410)


class TestEmit:
    def test_only_endpoints_that_asked_and_are_on_are_told(self, outbox: Outbox) -> None:
        asked = outbox.endpoint(EventType.JOB_SUCCEEDED, EventType.JOB_FAILED)
        outbox.endpoint(EventType.JOB_FAILED)
        outbox.change(outbox.endpoint(), disabled=True)
        assert outbox.emit("a/1") == 1
        assert [one.endpoint_id for one in outbox.deliveries()] == [asked.id]

    def test_an_occurrence_is_told_once_and_the_next_one_again(self, outbox: Outbox) -> None:
        outbox.endpoint()
        assert [outbox.emit(occurrence) for occurrence in ("a/1", "a/1", "a/2")] == [1, 0, 1]
        assert outbox.emit("a/1", EventType.JOB_FAILED) == 1

    def test_it_is_told_with_the_deed_or_not_at_all(self, outbox: Outbox) -> None:
        outbox.endpoint()
        with pytest.raises(ZeroDivisionError), outbox.database.session(SYSTEM) as session:
            service.emit(
                session,
                workspace_id=outbox.principal.workspace_id,
                event_type=EventType.JOB_FAILED,
                subject_id="ftjob-1",
                occurrence="a/1",
            )
            _ = 1 / 0
        assert outbox.deliveries() == []

    def test_one_event_has_one_id_for_all_endpoints(self, outbox: Outbox) -> None:
        for _ in range(2):
            outbox.endpoint()
        outbox.emit("a/1")
        assert len({one.event_id for one in outbox.deliveries()}) == 1

    def test_nobody_elses_endpoint_is_told(self, outbox: Outbox, database: Database, other_workspace_id: str) -> None:
        Outbox(database, make_principal(database, other_workspace_id, Role.ADMIN)).endpoint()
        assert outbox.emit("a/1") == 0


class TestClaim:
    def test_what_is_claimed_is_nobody_elses_until_its_lease_ends_and_then_the_same(self, outbox: Outbox) -> None:
        outbox.endpoint()
        outbox.emit("a/1")
        (first,) = outbox.claim()
        assert outbox.claim() == []
        outbox.pass_time(LEASE_S + 1)
        (second,) = outbox.claim()
        assert (second.event_id, second.body, second.delivery_id) == (first.event_id, first.body, first.delivery_id)
        assert (first.attempt, second.attempt) == (1, 2)

    def test_what_a_later_claim_overtook_is_not_written_down(self, outbox: Outbox) -> None:
        outbox.endpoint()
        outbox.emit("a/1")
        (first,) = outbox.claim()
        outbox.pass_time(LEASE_S + 1)
        (second,) = outbox.claim()
        outbox.record(first, BAD)
        assert outbox.attempts() == []
        outbox.record(second, OK)
        outbox.record(second, BAD)
        assert (outbox.states(), len(outbox.attempts())) == (["delivered"], 1)

    def test_an_endpoint_and_a_workspace_have_so_many_under_way_at_once(self, outbox: Outbox) -> None:
        for number in range(3):
            outbox.endpoint(name=str(number))
        for number in range(5):
            outbox.emit(f"a/{number}")
        held = outbox.claim()
        by_endpoint = [sum(one.endpoint_id == other.endpoint_id for other in held) for one in held]
        assert len(held) == PER_WORKSPACE
        assert max(by_endpoint) <= PER_ENDPOINT
        assert outbox.claim() == []
        outbox.record(held[0], OK)
        assert len(outbox.claim()) == 1

    def test_a_workspace_with_a_thousand_due_does_not_hold_up_another(
        self, outbox: Outbox, database: Database, other_workspace_id: str
    ) -> None:
        for number in range(3):
            outbox.endpoint(name=str(number))
        for number in range(30):
            outbox.emit(f"a/{number}")
        other = Outbox(database, make_principal(database, other_workspace_id, Role.ADMIN))
        other.endpoint()
        other.emit("b/1")
        assert [one.workspace_id for one in outbox.claim(2)].count(other_workspace_id) == 1

    def test_the_longest_due_goes_first(self, outbox: Outbox) -> None:
        outbox.endpoint()
        for number in range(3):
            outbox.emit(f"a/{number}")
        in_order = [one.id for one in outbox.deliveries()]
        assert [one.delivery_id for one in outbox.claim()] == in_order[:PER_ENDPOINT]

    def test_a_secret_that_was_changed_signs_beside_the_new_one_for_a_day(self, outbox: Outbox) -> None:
        endpoint = outbox.endpoint()

        def rotate(*, keeps_old: bool) -> None:
            with outbox.database.session(SYSTEM) as session:
                service.rotate_secret(
                    session,
                    principal=outbox.principal,
                    endpoint_id=endpoint.id,
                    keeps_old=keeps_old,
                    sealer=SEALER,
                )

        def num_signing(occurrence: str) -> int:
            outbox.emit(occurrence)
            (parcel,) = outbox.claim()
            outbox.record(parcel, OK)
            return len(parcel.sealed_secrets)

        assert num_signing("a/1") == 1
        rotate(keeps_old=True)
        assert num_signing("a/2") == 2
        outbox.pass_time(24 * 3600 + 1)
        assert num_signing("a/3") == 1
        rotate(keeps_old=True)
        rotate(keeps_old=False)
        assert num_signing("a/4") == 1

    def test_put_off_it_counts_for_nothing(self, outbox: Outbox) -> None:
        outbox.endpoint()
        outbox.emit("a/1")
        (parcel,) = outbox.claim()
        with outbox.database.session(SYSTEM) as session:
            deliveries.put_off(session, parcel, seconds=30)
        assert outbox.claim() == []
        outbox.pass_time(31)
        (again,) = outbox.claim()
        assert (again.event_id, outbox.deliveries()[0].num_tries) == (parcel.event_id, 0)


class TestRecord:
    def test_any_2xx_is_delivered_and_nothing_else(self, outbox: Outbox) -> None:
        outbox.endpoint()
        outcomes = [200, 204, 299, 301, 302, 400, 404, 500, 100, None]
        for number, status in enumerate(outcomes):
            outbox.emit(f"a/{number}")
            (parcel,) = outbox.claim()
            outbox.record(parcel, replace(OK, status_code=status))
        assert outbox.states() == ["delivered"] * 3 + ["pending"] * 7

    def test_the_waits_are_those_of_the_schedule_and_then_it_is_given_up(self, outbox: Outbox) -> None:
        endpoint = outbox.endpoint()
        outbox.emit("a/1")
        for planned_s in SCHEDULE_S[1:]:
            (parcel,) = outbox.claim()
            assert outbox.record(parcel, BAD) is None
            (wait_s,) = outbox.waits_s()
            assert wait_s is not None
            assert planned_s * 0.99 <= wait_s <= planned_s * 1.1
            assert outbox.claim() == []
            # as if something else had arrived meanwhile
            outbox.pass_time(wait_s + 1)
            with outbox.database.session(SYSTEM) as session:
                session.get_one(type(endpoint), endpoint.id).failing_since = None
        (parcel,) = outbox.claim()
        assert outbox.record(parcel, BAD) is None
        assert (outbox.states(), outbox.waits_s()) == (["failed"], [None])
        assert len(outbox.attempts()) == len(SCHEDULE_S) == 10
        assert len({one.event_id for one in outbox.deliveries()}) == 1

    def test_days_of_nothing_but_failures_switch_the_endpoint_off_and_end_what_waits(self, outbox: Outbox) -> None:
        endpoint = outbox.endpoint()
        outbox.emit("a/1")
        reasons, num = [], 0
        while DisabledReason.FAILING not in reasons:
            (parcel,) = outbox.claim()
            reasons.append(outbox.record(parcel, BAD))
            outbox.pass_time((outbox.waits_s()[0] or 0) + 1)
            num += 1
        assert num == len(SCHEDULE_S)
        outbox.change(endpoint, disabled=False)
        outbox.emit("a/2")
        outbox.emit("a/3")
        (parcel, _) = outbox.claim()
        outbox.record(parcel, BAD)
        outbox.pass_time(3 * 24 * 3600)
        (parcel, *_) = outbox.claim()
        assert outbox.record(parcel, BAD) is DisabledReason.FAILING
        assert outbox.states() == ["failed"] * 3
        assert outbox.look(endpoint).disabled_reason is DisabledReason.FAILING
        assert outbox.emit("a/4") == 0

    def test_an_arrival_ends_the_count_of_days(self, outbox: Outbox) -> None:
        endpoint = outbox.endpoint()
        outbox.emit("a/1")
        (parcel,) = outbox.claim()
        outbox.record(parcel, BAD)
        outbox.pass_time(2 * 24 * 3600)
        outbox.emit("a/2")
        first, second = outbox.claim()
        outbox.record(second, OK)
        outbox.record(first, BAD)
        outbox.pass_time(2 * 24 * 3600)
        (parcel,) = outbox.claim()
        assert outbox.record(parcel, BAD) is None
        assert outbox.look(endpoint).disabled_at is None

    def test_gone_switches_it_off_at_once(self, outbox: Outbox) -> None:
        endpoint = outbox.endpoint()
        outbox.emit("a/1")
        outbox.emit("a/2")
        first, second = outbox.claim()
        assert outbox.record(first, GONE) is DisabledReason.GONE
        # it was under way already, and is told of once
        assert outbox.record(second, GONE) is None
        assert outbox.states() == ["failed", "failed"]
        assert len(outbox.attempts()) == 2
        assert outbox.look(endpoint).disabled_reason is DisabledReason.GONE
        with outbox.database.session(workspace_scope(endpoint.workspace_id)) as session:
            wanted = AuditFilter(action="webhook_endpoint.disabled")
            (event,) = audit.list_events(
                session, workspace_id=endpoint.workspace_id, page=PageRequest(), wanted=wanted
            ).items
        assert (event.target_id, event.actor_name) == (endpoint.id, "Tailorbird")
        assert event.details == {"reason": "gone", "num_given_up": 2}

    def test_what_was_under_way_when_it_was_switched_off_may_still_arrive(self, outbox: Outbox) -> None:
        endpoint = outbox.endpoint()
        outbox.emit("a/1")
        (parcel,) = outbox.claim()
        outbox.change(endpoint, disabled=True)
        assert outbox.states() == ["failed"]
        outbox.record(parcel, OK)
        assert outbox.states() == ["delivered"]

    def test_a_wait_that_was_asked_for_holds_everything_to_that_endpoint(self, outbox: Outbox) -> None:
        endpoint, other = outbox.endpoint(), outbox.endpoint()
        outbox.emit("a/1")
        busy = next(one for one in outbox.claim() if one.endpoint_id == endpoint.id)
        outbox.record(busy, Outcome(status_code=429, error=None, answer=None, duration_ms=1, retry_after_s=120))
        outbox.emit("a/2")
        assert {one.endpoint_id for one in outbox.claim()} == {other.id}
        outbox.pass_time(121)
        assert {one.endpoint_id for one in outbox.claim()} == {endpoint.id, other.id}

    def test_a_deleted_endpoint_takes_its_log_along(self, outbox: Outbox) -> None:
        endpoint = outbox.endpoint()
        outbox.emit("a/1")
        (parcel,) = outbox.claim()
        with outbox.database.session(workspace_scope(outbox.principal.workspace_id)) as session:
            service.remove(session, principal=outbox.principal, endpoint_id=endpoint.id)
        outbox.record(parcel, OK)
        assert (outbox.deliveries(), outbox.attempts()) == ([], [])


class TestReplay:
    @pytest.mark.parametrize("outcome", [OK, BAD])
    def test_it_is_sent_again_at_once_under_its_own_id(self, outbox: Outbox, outcome: Outcome) -> None:
        outbox.endpoint()
        outbox.emit("a/1")
        (first,) = outbox.claim()
        outbox.record(first, outcome)
        outbox.replay(outbox.deliveries()[0])
        (second,) = outbox.claim()
        assert (second.event_id, second.body) == (first.event_id, first.body)
        outbox.record(second, OK)
        assert (outbox.states(), len(outbox.attempts())) == (["delivered"], 2)
        with outbox.database.session(SYSTEM) as session:
            found = audit.list_events(
                session,
                workspace_id=outbox.principal.workspace_id,
                page=PageRequest(),
                wanted=AuditFilter(action="webhook_delivery.replayed"),
            )
        assert [event.target_id for event in found.items] == [first.delivery_id]

    def test_not_while_its_endpoint_is_off_and_not_somebody_elses(self, outbox: Outbox) -> None:
        endpoint, other = outbox.endpoint(), outbox.endpoint(EventType.JOB_FAILED)
        outbox.emit("a/1")
        outbox.change(endpoint, disabled=True)
        (delivery,) = outbox.deliveries()
        with pytest.raises(Conflict) as refused:
            outbox.replay(delivery)
        assert refused.value.error_code == "webhook_endpoint_disabled"
        delivery.endpoint_id = other.id
        with pytest.raises(NotFound):
            outbox.replay(delivery)


def test_what_is_over_is_forgotten_after_its_days_and_nothing_else(outbox: Outbox) -> None:
    outbox.endpoint()
    for number, outcome in enumerate((OK, BAD)):
        outbox.emit(f"a/{number}")
        (parcel,) = outbox.claim()
        outbox.record(parcel, outcome)

    def sweep() -> int:
        with outbox.database.session(SYSTEM) as session:
            return deliveries.sweep(session, days=30)

    outbox.pass_time(29 * 24 * 3600)
    assert sweep() == 0
    outbox.pass_time(2 * 24 * 3600)
    assert sweep() == 1
    assert [one.state for one in outbox.deliveries()] == [DeliveryState.PENDING]
    assert len(outbox.attempts()) == 1
