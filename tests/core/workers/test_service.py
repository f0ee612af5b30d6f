from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM, Database
from core.errors import Invalid, NotFound
from core.jobs.kinds import QueueName
from core.workers import service as workers
from core.workers.models import Worker
from core.workers.types import Device, DrainMode, Offered, Orders, Vitals

pytestmark = pytest.mark.stack

Beat = Callable[..., Orders]
GIB = 2**30


def gpu(gib: int) -> Device:
    return Device(index=0, uuid="u", name="n", memory_bytes=gib * GIB, used_bytes=0, utilization=None)


@pytest.fixture
def beat(database: Database) -> Beat:
    def _beat(worker_id: str = "w1", **changes: object) -> Orders:
        told = {"hostname": "h", "queue_name": QueueName.CPU, "pid": 1, "version": "0", **changes}
        with database.session(SYSTEM) as session:
            return workers.beat(session, worker_id=worker_id, **told)  # type: ignore[arg-type]

    return _beat


@pytest.fixture
def in_system(database: Database) -> Callable[..., object]:
    def call(function: Callable[..., object], **arguments: object) -> object:
        with database.session(SYSTEM) as session:
            return function(session, **arguments)

    return call


def only_worker(database: Database) -> Worker:
    with database.session(SYSTEM) as session:
        (worker,) = workers.list_workers(session)
    return worker


class TestHeartbeat:
    def test_it_registers_and_then_keeps_what_the_worker_tells(self, beat: Beat, database: Database) -> None:
        assert beat() == Orders(is_let_in=True, drain=None)
        beat(vitals=Vitals(hardware="gpu:h100", memory_bytes=8, used_memory_bytes=4, job_id="job_1", num_jobs_done=3))
        worker = only_worker(database)
        assert (worker.hardware, worker.job_id, worker.num_jobs_done) == ("gpu:h100", "job_1", 3)

    def test_one_that_was_given_up_comes_back_as_drained_as_it_was(self, beat: Beat, database: Database) -> None:
        assert beat(drain_mode=DrainMode.FINISH).drain is DrainMode.FINISH
        assert only_worker(database).drain_requested_at is not None


class TestDrain:
    def test_it_is_told_with_the_next_heartbeat_and_can_be_taken_back(
        self, beat: Beat, in_system: Callable[..., object]
    ) -> None:
        beat()
        in_system(workers.drain, worker_id="w1", mode="finish")
        assert beat().drain is DrainMode.FINISH
        in_system(workers.drain, worker_id="w1", mode="now")
        in_system(workers.drain, worker_id="w1", mode="finish")
        assert beat().drain is DrainMode.NOW, "who was told to hand back is not told to go on"
        in_system(workers.undrain, worker_id="w1")
        assert beat().drain is None

    def test_of_nobody_it_is_not_found(self, in_system: Callable[..., object]) -> None:
        for act in (partial(workers.drain, mode="now"), workers.undrain):
            with pytest.raises(NotFound):
                in_system(act, worker_id="w0")


class TestToken:
    def test_the_secret_is_shown_once_and_only_its_hash_is_kept(self, beat: Beat, database: Database) -> None:
        with database.session(SYSTEM) as session:
            token, secret = workers.create_token(session, name="the cellar", created_by=None)
            assert secret.startswith("tb_worker_")
            kept = session.execute(text("select * from worker_tokens")).one()
            assert not any(secret in str(value) for value in kept)
        assert beat(token=secret, is_token_required=True).is_let_in
        assert only_worker(database).token_id == token.id
        with database.session(SYSTEM) as session:
            used = workers.find(session, secret=secret)
            assert used is not None
            assert used.last_used_at is not None

    @pytest.mark.parametrize("is_required", [True, False])
    def test_an_unknown_one_lets_nobody_in(self, beat: Beat, database: Database, *, is_required: bool) -> None:
        assert not beat(token="tb_worker_forged", is_token_required=is_required).is_let_in
        with database.session(SYSTEM) as session:
            assert workers.list_workers(session) == []

    def test_without_one_only_an_embedded_worker_is_let_in(self, beat: Beat) -> None:
        assert not beat(is_token_required=True).is_let_in
        assert beat().is_let_in

    def test_a_revoked_one_drains_its_workers_now_and_lets_in_no_more(
        self, beat: Beat, database: Database, in_system: Callable[..., object]
    ) -> None:
        with database.session(SYSTEM) as session:
            token, secret = workers.create_token(session, name="t", created_by=None)
        beat(token=secret)
        in_system(workers.revoke_token, token_id=token.id)
        assert only_worker(database).drain_mode == "now", "the console shows it before the worker knows"
        in_system(workers.undrain, worker_id="w1")
        assert beat(token=secret).drain is DrainMode.NOW
        assert not beat("w2", token=secret).is_let_in

    def test_one_that_was_chosen_elsewhere_is_registered_once_and_stays_revoked(
        self, beat: Beat, database: Database, in_system: Callable[..., object]
    ) -> None:
        register = partial(in_system, workers.register_token, name="compose", secret="a1" * 32)
        assert register()
        assert register()
        assert beat(token="a1" * 32).is_let_in
        with database.session(SYSTEM) as session:
            token = workers.find(session, secret="a1" * 32)
        assert token is not None
        in_system(workers.revoke_token, token_id=token.id)
        assert not register()

    def test_a_short_one_is_refused(self, in_system: Callable[..., object]) -> None:
        with pytest.raises(Invalid, match="at least 32"):
            in_system(workers.register_token, name="t", secret="secret")


class TestHardware:
    def test_what_live_workers_train_on_gpus_first(
        self, beat: Beat, database: Database, in_system: Callable[..., object]
    ) -> None:
        assert in_system(workers.available_hardware) == []
        beat("c", vitals=Vitals(memory_bytes=24 * GIB))
        beat("g", queue_name=QueueName.GPU, vitals=Vitals(hardware="gpu:h100", devices=(gpu(80), gpu(80))))
        beat("smaller", queue_name=QueueName.GPU, vitals=Vitals(hardware="gpu:h100", devices=(gpu(40), gpu(0))))
        beat("drained", queue_name=QueueName.GPU, vitals=Vitals(hardware="gpu:a40"))
        in_system(workers.drain, worker_id="drained", mode="finish")
        beat("silent", queue_name=QueueName.GPU, vitals=Vitals(hardware="gpu:b200"))
        beat("io", queue_name=QueueName.IO, vitals=Vitals(hardware="gpu:h200"))
        with database.session(SYSTEM) as session:
            session.execute(text("update workers set heartbeat_at = now() - interval '2 min' where id = 'silent'"))
        assert in_system(workers.available_hardware) == [
            Offered("gpu:h100", memory_bytes=40 * GIB, num_devices=2),
            Offered("cpu", memory_bytes=24 * GIB, num_devices=1),
        ], "of several workers the least, and what a driver does not tell is not known"
        assert [workers.queue_for(key) for key in ("gpu:h100", "cpu")] == [QueueName.GPU, QueueName.CPU]
