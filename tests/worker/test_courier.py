"""The real courier over a real database, to a real receiver on loopback."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from openai import OpenAI

from core.backends.mail import RecordingMailer
from core.backends.outbound import OutboundClient
from core.config import Settings
from core.db.session import Database
from core.kit.sealing import Sealer
from core.kit.ssrf import Rules
from core.webhooks import service
from core.webhooks.types import DisabledReason, EventType
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.conftest import make_principal
from tests.core.webhooks.conftest import Outbox
from tests.factories.receiver import Received, Receiver, Reply, receiver
from tests.factories.waiting import eventually
from worker.context import WorkContext
from worker.courier import NUM_SLOTS, Courier

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]


class Desk(Outbox):
    """An outbox whose endpoints are sealed with the key of the settings."""

    def __init__(self, database: Database, principal: Principal, settings: Settings) -> None:
        super().__init__(database, principal)
        self.sealer = Sealer.of_settings(settings.encryption_keys, settings.secret_key)

    def made(self, url: str) -> str:
        """A new endpoint's secret."""
        with self.database.session(self._scope) as session:
            endpoint = service.create(
                session,
                principal=self.principal,
                name="ours",
                url=url,
                event_types=list(EventType),
                sealer=self.sealer,
            )
            return service.secret_of(endpoint, self.sealer)


@pytest.fixture
def desk(database: Database, principal: Principal, settings: Settings) -> Desk:
    return Desk(database, principal, settings)


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def loopback(context: WorkContext) -> WorkContext:
    """A worker that may call this machine."""
    outbound = OutboundClient(Rules.parse(allow="127.0.0.0/8", ports="443", needs_https=True))
    return replace(context, backends=replace(context.backends, outbound=outbound), stopping=threading.Event())


@contextmanager
def at_work(context: WorkContext, **options: Callable[[], bool]) -> Iterator[Courier]:
    courier = Courier(context, **options)
    courier.start()
    try:
        yield courier
    finally:
        context.stopping.set()
        courier.join()


def test_what_happened_arrives_signed_and_is_logged(desk: Desk, hooks: Receiver, loopback: WorkContext) -> None:
    secret = desk.made(hooks.url)
    hooks.script = lambda _: Reply(200, b'{"ok": true, "api_key": "abc"}')
    desk.emit("a/1")
    with at_work(loopback):
        (received,) = hooks.wait_for(1)
        eventually(lambda: desk.states() == ["delivered"])
    event = OpenAI(api_key="none", webhook_secret=secret).webhooks.unwrap(received.body, received.headers)
    (delivery,) = desk.deliveries()
    assert (event.id, event.type) == (delivery.event_id, "fine_tuning.job.succeeded")
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("Tailorbird-Webhooks")
    (attempt,) = desk.attempts()
    assert (attempt.status_code, attempt.error, attempt.answer) == (200, None, '{"ok": true, "api_key": "[redacted]"}')
    assert attempt.duration_ms >= 0


def test_a_failure_is_tried_again_under_the_same_id(desk: Desk, hooks: Receiver, loopback: WorkContext) -> None:
    desk.made(hooks.url)
    hooks.script = lambda _: Reply(500 if len(hooks.requests) == 1 else 204)
    desk.emit("a/1")
    with at_work(loopback):
        hooks.wait_for(1)
        eventually(desk.attempts)
        desk.pass_time(6)
        hooks.wait_for(2)
        eventually(lambda: desk.states() == ["delivered"])
    first, second = hooks.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [attempt.status_code for attempt in desk.attempts()] == [500, 204]


def test_no_answer_is_logged_with_the_reason(desk: Desk, loopback: WorkContext) -> None:
    with receiver() as gone:
        desk.made(gone.url)
    desk.emit("a/1")
    with at_work(loopback):
        eventually(desk.attempts)
    (attempt,) = desk.attempts()
    assert attempt.status_code is None
    assert attempt.error == f"No connection to 127.0.0.1, port {gone.port}: Connection refused."


def test_an_address_that_leads_inside_by_now_is_not_called(desk: Desk, hooks: Receiver, loopback: WorkContext) -> None:
    """It was public when it was entered; its name server has changed its mind since."""
    rules = Rules(ports=frozenset({hooks.port}), needs_https=False)
    outbound = OutboundClient(rules, resolve=lambda *_: ["127.0.0.1"])
    desk.made(f"http://rebind.test:{hooks.port}/hooks")
    desk.emit("a/1")
    with at_work(replace(loopback, backends=replace(loopback.backends, outbound=outbound))):
        eventually(desk.attempts)
    assert "this machine itself" in (desk.attempts()[0].error or "")
    assert hooks.num_connections == 0


def test_endpoints_that_do_not_answer_hold_up_nobody_elses(
    desk: Desk, database: Database, other_workspace_id: str, settings: Settings, hooks: Receiver, loopback: WorkContext
) -> None:
    release = threading.Event()

    def stall(_: Received) -> Reply:
        release.wait(20)
        return Reply()

    with receiver("127.0.0.2") as stalling:
        stalling.script = stall
        for _ in range(6):
            desk.made(stalling.url)
        for number in range(10):
            desk.emit(f"a/{number}")
        other = Desk(database, make_principal(database, other_workspace_id, Role.ADMIN), settings)
        other.made(hooks.url)
        with at_work(loopback):
            stalling.wait_for(4)
            for number in range(20):
                other.emit(f"b/{number}")
            hooks.wait_for(20)
            assert len(stalling.requests) == 4 < NUM_SLOTS, "of one workspace no more are under way at once"
            release.set()
            stalling.wait_for(60)
            eventually(lambda: set(desk.states()) == {"delivered"})


def test_who_is_gone_is_switched_off_and_the_admins_are_told(
    desk: Desk, hooks: Receiver, loopback: WorkContext
) -> None:
    desk.made(hooks.url)
    hooks.script = lambda _: Reply(410)
    desk.emit("a/1")
    mailer = loopback.backends.mail
    assert isinstance(mailer, RecordingMailer)
    with at_work(loopback):
        eventually(lambda: mailer.sent)
    assert "410 Gone" in mailer.sent[0].text
    (delivery,) = desk.deliveries()
    with desk.database.session(desk._scope) as session:
        endpoint = service.get(session, workspace_id=desk.principal.workspace_id, endpoint_id=delivery.endpoint_id)
    assert endpoint.disabled_reason is DisabledReason.GONE


def test_what_is_under_way_is_written_down_before_the_worker_ends(
    desk: Desk, hooks: Receiver, loopback: WorkContext
) -> None:
    answer = threading.Event()

    def slowly(_: Received) -> Reply:
        answer.wait(10)
        return Reply()

    hooks.script = slowly
    desk.made(hooks.url)
    desk.emit("a/1")
    courier = Courier(loopback)
    courier.start()
    hooks.wait_for(1)
    loopback.stopping.set()
    answer.set()
    courier.join()
    assert desk.states() == ["delivered"]


def test_a_drained_worker_sends_nothing(desk: Desk, hooks: Receiver, loopback: WorkContext) -> None:
    looked = threading.Event()

    def may_claim() -> bool:
        looked.set()
        return False

    desk.made(hooks.url)
    desk.emit("a/1")
    with at_work(loopback, may_claim=may_claim):
        assert looked.wait(10)
    assert desk.states() == ["pending"]
    assert hooks.num_connections == 0


def test_a_secret_that_cannot_be_opened_here_is_left_to_others(
    desk: Desk, hooks: Receiver, loopback: WorkContext
) -> None:
    desk.made(hooks.url)
    desk.emit("a/1")
    stranger = loopback.settings.model_copy(update={"secret_key": "another secret"})
    with at_work(replace(loopback, settings=stranger)):
        eventually(lambda: (desk.waits_s()[0] or 0) > 30)
    assert (desk.attempts(), desk.deliveries()[0].num_tries, hooks.num_connections) == ([], 0, 0)
    desk.pass_time(61)
    with at_work(replace(loopback, stopping=threading.Event())):
        eventually(lambda: desk.states() == ["delivered"])


def test_old_deliveries_are_forgotten_when_a_worker_starts(desk: Desk, hooks: Receiver, loopback: WorkContext) -> None:
    desk.made(hooks.url)
    desk.emit("a/1")
    with at_work(loopback):
        eventually(lambda: desk.states() == ["delivered"])
    desk.pass_time(31 * 24 * 3600)
    with at_work(replace(loopback, stopping=threading.Event())):
        eventually(lambda: desk.deliveries() == [])


_KILLED = """
import sys, threading
from pathlib import Path
import core.tables
from core.backends.registry import build_backends
from core.config import Settings
from core.db.session import Database
from worker.context import WorkContext
from worker.courier import Courier
settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
context = WorkContext(settings, Database(settings.database_url), build_backends(settings), "w")
Courier(context).start()
threading.Event().wait(60)
"""


def test_a_worker_killed_in_the_middle_of_a_delivery_loses_nothing(
    desk: Desk, hooks: Receiver, settings: Settings, tmp_path: Path
) -> None:
    """SIGKILL while the other side thinks: when the lease has run out it is sent again, under the same id."""
    is_killed = threading.Event()

    def script(_: Received) -> Reply:
        is_killed.wait(20)
        return Reply()

    hooks.script = script
    desk.made(hooks.url)
    desk.emit("a/1")
    allowing = settings.model_copy(update={"outbound_allow": "127.0.0.1"})
    file = tmp_path / "settings.json"
    file.write_text(allowing.model_dump_json())

    def start() -> subprocess.Popen[bytes]:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, "-c", _KILLED, str(file)], cwd=ROOT, env=environment)

    worker = start()
    hooks.wait_for(1)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    is_killed.set()
    assert desk.states() == ["pending"]
    assert desk.claim() == [], "its lease still holds"
    desk.pass_time(61)
    worker = start()
    try:
        first, second = hooks.wait_for(2)
        eventually(lambda: desk.states() == ["delivered"])
    finally:
        worker.kill()
        worker.wait()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
