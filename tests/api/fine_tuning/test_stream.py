"""The live view from inside: one reader for many viewers, and nobody misses or repeats anything."""

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI, Request
from sqlalchemy import event as sqlalchemy_event

from api.dependencies import current_principal, may_still
from api.fine_tuning import feed as feeds_module
from api.fine_tuning import stream
from api.fine_tuning.feed import Feeds
from api.fine_tuning.stream import Watch
from core.backends.events import EventBus, RedisEventBus
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import EventType, Lease, NewEvent
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

pytestmark = pytest.mark.stack

Headers = dict[str, str]
SOON_S = 20.0


class HandBus:
    """Rings when told to; without that it is as silent as one that lost everything."""

    def __init__(self) -> None:
        self.listeners: set[asyncio.Event] = set()
        self.num_listens = 0

    def publish(self, channel: str) -> None:
        for listener in list(self.listeners):
            listener.set()

    async def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        self.num_listens += 1
        rung = asyncio.Event()
        self.listeners.add(rung)
        try:
            while True:
                await rung.wait()
                rung.clear()
                yield
        finally:
            self.listeners.discard(rung)


class BrokenBus(HandBus):
    async def listen(self, channel: str, *, interval_s: float) -> AsyncIterator[None]:
        self.num_listens += 1
        raise ConnectionError(channel)
        yield


class Scene:
    """A running run, what it says, and who watches."""

    def __init__(self, database: Database, lease: Lease, run_id: str) -> None:
        self.database, self.lease, self.run_id = database, lease, run_id
        self.bus: EventBus = HandBus()
        self.num_said = 0

    def say(self, num_events: int) -> None:
        steps = range(self.num_said + 1, self.num_said + num_events + 1)
        events = [NewEvent(f"Step {n}", EventType.METRICS, data={"step": n, "train_loss": 1.0}) for n in steps]
        self.num_said += num_events
        with self.database.session(workspace_scope(self.lease.workspace_id)) as session:
            assert jobs.record_events(session, self.lease, events)

    async def say_and_ring(self, num_events: int) -> None:
        await asyncio.to_thread(self.say, num_events)
        self.bus.publish("any")

    def end(self) -> None:
        with self.database.session(workspace_scope(self.lease.workspace_id)) as session:
            jobs.finish(session, self.lease, JobState.CANCELLED)

    def watch(self, feeds: Feeds, after_seq: int = 0, may_still_watch: Callable[[], bool] = lambda: True) -> Watch:
        return Watch(
            database=self.database,
            feeds=feeds,
            workspace_id=self.lease.workspace_id,
            run_id=self.run_id,
            may_still_watch=may_still_watch,
            after_seq=after_seq,
        )

    def all_seqs(self) -> list[int]:
        with self.database.session(workspace_scope(self.lease.workspace_id)) as session:
            found = jobs.events_after(
                session, workspace_id=self.lease.workspace_id, job_id=self.lease.job_id, after_seq=0, limit=100_000
            )
        return [event.seq for event in found]


@pytest.fixture
def scene(database: Database, create: Callable[..., dict[str, Any]], claim: Callable[[], Lease]) -> Scene:
    run_id = create()["id"]
    return Scene(database, claim(), run_id)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds_module, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(feeds_module, "_REST_S", 0.01)


def seqs(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"^id: (\d+)$", text, re.MULTILINE)]


async def read(watch: Watch, *, until: Callable[[str], bool] = lambda _: False) -> str:
    """What the stream sends until it ends or `until` is content."""
    text = ""
    source: AsyncGenerator[str, None] = await stream.begin(watch)
    async with aclosing(source):
        async for part in source:
            text += part
            if until(text):
                break
    return text


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, SOON_S))


class TestManyViewers:
    def test_fifty_have_one_reader_and_each_gets_everything_once(self, scene: Scene, eager: None) -> None:
        async def watched() -> None:
            feeds = Feeds(scene.database, scene.bus)
            viewers = [asyncio.create_task(read(scene.watch(feeds))) for _ in range(50)]
            for _ in range(20):
                await scene.say_and_ring(25)
                await asyncio.sleep(0.02)
            await asyncio.to_thread(scene.end)
            texts = await asyncio.gather(*viewers)
            expected = scene.all_seqs()
            assert all(seqs(text) == expected for text in texts)
            assert all(text.rstrip().endswith('data: {"status":"cancelled"}') for text in texts)
            assert isinstance(scene.bus, HandBus)
            assert scene.bus.num_listens == 1

        run(watched())

    def test_while_nothing_is_said_fifty_ask_no_more_than_one(self, scene: Scene, eager: None) -> None:
        counted = {num: _statements_in_a_second(scene, num) for num in (1, 50)}
        assert counted[50] <= counted[1] * 1.5

    def test_the_reader_goes_with_its_last_viewer(self, scene: Scene, eager: None) -> None:
        async def watched() -> None:
            feeds = Feeds(scene.database, scene.bus)
            first, second = (asyncio.create_task(read(scene.watch(feeds))) for _ in range(2))
            assert isinstance(scene.bus, HandBus)
            await _until(lambda: len(scene.bus.listeners) == 1)
            first.cancel()
            await asyncio.sleep(0.1)
            assert len(scene.bus.listeners) == 1
            second.cancel()
            await _until(lambda: not scene.bus.listeners)

        run(watched())


class TestPlaces:
    def test_after_any_last_event_id_nothing_is_missed_and_nothing_repeated(self, scene: Scene, eager: None) -> None:
        async def watched() -> None:
            feeds = Feeds(scene.database, scene.bus)
            await asyncio.to_thread(scene.say, 1500)
            said = scene.all_seqs()
            places = [said[0] - 1, said[0], said[700], said[-2], said[-1]]
            viewers = [asyncio.create_task(read(scene.watch(feeds, place))) for place in places]
            for _ in range(5):
                await scene.say_and_ring(40)
            # these find a feed that is running already
            viewers += [asyncio.create_task(read(scene.watch(feeds, place))) for place in places]
            await scene.say_and_ring(40)
            await asyncio.to_thread(scene.end)
            texts = await asyncio.gather(*viewers)
            for place, text in zip(places * 2, texts, strict=True):
                assert seqs(text) == [seq for seq in scene.all_seqs() if seq > place]

        run(watched())

    def test_who_has_seen_nothing_of_a_long_run_gets_its_newest_events(self, scene: Scene, eager: None) -> None:
        async def watched() -> None:
            await asyncio.to_thread(scene.say, 1500)
            newest = scene.all_seqs()[-1000:]
            viewer = asyncio.create_task(read(scene.watch(Feeds(scene.database, scene.bus))))
            await asyncio.sleep(0.1)
            await scene.say_and_ring(40)
            await asyncio.to_thread(scene.end)
            assert seqs(await viewer) == [seq for seq in scene.all_seqs() if seq >= newest[0]]

        run(watched())

    def test_a_slow_viewer_misses_nothing_and_holds_up_nobody(self, scene: Scene, eager: None) -> None:
        async def watched() -> None:
            feeds = Feeds(scene.database, scene.bus)
            slow = await stream.begin(scene.watch(feeds))
            text = "".join([await anext(slow) for _ in range(3)])
            fast = asyncio.create_task(read(scene.watch(feeds)))
            # more than the ring holds, while the slow one takes nothing
            for _ in range(6):
                await scene.say_and_ring(900)
            await asyncio.to_thread(scene.end)
            expected = scene.all_seqs()
            assert seqs(await fast) == expected
            async with aclosing(slow):
                async for part in slow:
                    text += part
            assert seqs(text) == expected

        run(watched())


class TestEnds:
    @pytest.fixture
    def member(self, database: Database, workspace_id: str, principal: Principal) -> tuple[Headers, Callable[[], None]]:
        """A key, and what takes it away."""
        with database.session(SYSTEM) as session:
            made = workspaces.create_api_key(session, principal=principal, name="soon gone")

        def revoke() -> None:
            with database.session(SYSTEM) as session:
                workspaces.revoke_api_key(session, principal=principal, key_id=made.key.id)

        return {"authorization": f"Bearer {made.secret}"}, revoke

    def test_a_revoked_key_ends_its_streams_and_no_other(
        self,
        scene: Scene,
        app: FastAPI,
        settings: Settings,
        member: tuple[Headers, Callable[[], None]],
        eager: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(stream, "CHECK_ACCESS_EVERY_S", 0.1)
        headers, revoke = member
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "app": app, "state": {}})
        principal = current_principal(request, settings, scene.database)
        may = partial(
            may_still, request, settings, scene.database, principal=principal, permission=Permission.RUNS_READ
        )

        async def watched() -> None:
            feeds = Feeds(scene.database, scene.bus)
            other = asyncio.create_task(read(scene.watch(feeds)))
            theirs = asyncio.create_task(read(scene.watch(feeds, may_still_watch=may)))
            await asyncio.sleep(0.5)
            assert not theirs.done()
            await asyncio.to_thread(revoke)
            assert "event: end" not in await theirs
            assert not other.done()
            await asyncio.to_thread(scene.end)
            assert "event: end" in await other

        run(watched())

    def test_it_says_that_it_is_there_and_ends_after_a_while(
        self, scene: Scene, eager: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream, "HEARTBEAT_S", 0.2)
        monkeypatch.setattr(stream, "MAX_DURATION_S", 1.0)

        async def watched() -> None:
            text = await read(scene.watch(Feeds(scene.database, scene.bus)))
            assert 2 <= text.count(": still here") <= 6
            assert "event: end" not in text

        run(watched())


class TestWithoutTheBus:
    def test_a_bus_that_is_down_costs_seconds(self, scene: Scene, eager: None) -> None:
        scene.bus = BrokenBus()
        run(self._still_told(scene))

    def test_a_bus_that_never_answers_costs_seconds(self, scene: Scene, eager: None) -> None:
        with socket.socket() as hole:
            hole.bind(("127.0.0.1", 0))
            hole.listen(8)
            scene.bus = RedisEventBus(Settings(redis_url=f"redis://127.0.0.1:{hole.getsockname()[1]}/0"))
            run(self._still_told(scene))

    async def _still_told(self, scene: Scene) -> None:
        feeds = Feeds(scene.database, scene.bus)
        viewer = asyncio.create_task(read(scene.watch(feeds), until=lambda text: '"step":1' in text))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(scene.say, 1)
        loop = asyncio.get_running_loop()
        said_at = loop.time()
        await viewer
        assert loop.time() - said_at < 3


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)


def _statements_in_a_second(scene: Scene, num_viewers: int) -> int:
    """What a second of watching asks of the database, after everybody has arrived."""
    num_statements = 0

    def count(*_: object) -> None:
        nonlocal num_statements
        num_statements += 1

    async def watched() -> None:
        feeds = Feeds(scene.database, scene.bus)
        viewers = [asyncio.create_task(read(scene.watch(feeds))) for _ in range(num_viewers)]
        await asyncio.sleep(1.5)
        sqlalchemy_event.listen(scene.database.engine, "before_cursor_execute", count)
        await asyncio.sleep(1)
        sqlalchemy_event.remove(scene.database.engine, "before_cursor_execute", count)
        for viewer in viewers:
            viewer.cancel()

    run(watched())
    return num_statements
