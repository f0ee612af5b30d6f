import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from core.base_models import service as base_models
from core.config import Settings
from core.errors import AppError, Invalid, NotFound, RateLimited, Unavailable
from core.inference.types import AdapterRef
from tests.factories.waiting import eventually
from worker.inference.adapter_files import AdapterFiles
from worker.inference.hot_adapters import Adapters
from worker.inference.lru_cache import LruCache
from worker.inference.residence import BaseVariants
from worker.inference.runtime import BaseRuntime, VariantKey

DEADLINE_S = 30
DEFAULT = base_models.default_base_model().id


def test_the_least_recently_used_is_forgotten_by_size() -> None:
    cache: LruCache[str, str] = LruCache(max_size=6, size_of=len)
    for key in ("aa", "bb", "cc"):
        cache.get(key, lambda key=key: key)
    cache.get("aa", lambda: pytest.fail("it is kept"))
    cache.get("dd", lambda: "dd")
    assert [key for key, _ in cache.items()] == ["cc", "aa", "dd"]


def test_a_value_larger_than_the_cache_is_served_all_the_same() -> None:
    cache: LruCache[str, str] = LruCache(max_size=3, size_of=len)
    cache.get("small", lambda: "ab")
    assert cache.get("huge", lambda: "x" * 100) == "x" * 100
    assert [key for key, _ in cache.items()] == ["huge"]


def test_several_threads_load_a_value_once() -> None:
    cache: LruCache[str, object] = LruCache(max_size=9, size_of=lambda _: 1)
    loads = []
    gate = threading.Event()

    def load() -> object:
        loads.append(1)
        gate.wait(10)
        return object()

    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(cache.get("a", load))) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(loads) == 1
    assert len(set(map(id, found))) == 1


def test_what_is_meant_is_forgotten() -> None:
    cache: LruCache[str, str] = LruCache(max_size=9, size_of=len)
    for key in ("red", "blue", "rose"):
        cache.get(key, lambda key=key: key[:1])
    cache.forget(lambda key: key.startswith("r"))
    assert [key for key, _ in cache.items()] == ["blue"]


def test_a_failed_load_is_tried_again() -> None:
    cache: LruCache[str, str] = LruCache(max_size=9, size_of=len)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: str(1 // 0))
    assert cache.get("a", lambda: "fine") == "fine"


@dataclass
class Bases:
    """Base models of made-up sizes: what is read, and when reading it ends, is up to the test."""

    settings: Settings
    needs: dict[str, int] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    gates: dict[str, threading.Event] = field(default_factory=dict)
    answering: set[str] = field(default_factory=set)
    evicted: list[str] = field(default_factory=list)
    now_s: float = 0.0

    def variants(
        self,
        budget_bytes: int,
        *,
        pinned: Sequence[str] = (),
        patience_s: float = DEADLINE_S,
        room_patience_s: float = 0,
        pause_after_failure_s: float = 0,
        max_waiting: int = 32,
    ) -> BaseVariants:
        return BaseVariants(
            self.settings.model_copy(update={"max_base_model_bytes": budget_bytes}),
            pinned=[VariantKey(name) for name in pinned],
            is_answering=lambda runtime: str(runtime) in self.answering,
            on_evicted=lambda key: self.evicted.append(str(key)),
            patience_s=patience_s,
            room_patience_s=room_patience_s,
            pause_after_failure_s=pause_after_failure_s,
            max_waiting=max_waiting,
            clock=lambda: self.now_s,
        )

    def read(self, folder: Path, *_args: object, **_kwargs: object) -> str:
        name = folder.name
        self.reads.append(name)
        if name in self.gates:
            assert self.gates[name].wait(DEADLINE_S)
        if name in self.broken:
            raise OSError(name)
        return name


class SlowToWake(threading.Condition):
    """A machine that has better to do than to wake some of its threads."""

    def __init__(self) -> None:
        super().__init__()
        self.may_wake = threading.Event()
        self._slow = threading.local()

    def as_one_that_is_slow(self, call: Callable[[], None]) -> None:
        self._slow.is_slow = True
        call()

    def wait(self, timeout: float | None = None) -> bool:
        is_told = super().wait(timeout)
        if hasattr(self._slow, "is_slow"):
            self.release()
            assert self.may_wake.wait(DEADLINE_S)
            self.acquire()
        return is_told


A, B, C, D = "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b"


@pytest.fixture
def bases(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Bases:
    made = Bases(settings, needs={A: 4, B: 4, C: 6})
    monkeypatch.setattr("worker.inference.residence.load_runtime", made.read)
    monkeypatch.setattr("worker.inference.residence.need_of", lambda folder, **_: made.needs[folder.name])
    monkeypatch.setattr(base_models, "is_ready", lambda *_: True)
    return made


def use(variants: BaseVariants, name: str, workspace_id: str = "") -> None:
    with variants.use(VariantKey(name), workspace_id) as runtime:
        assert str(runtime) == name


def ask(variants: BaseVariants, *names: str) -> None:
    for name in names:
        use(variants, name)


def num_waiting(variants: BaseVariants) -> int:
    """Without the one that is reading."""
    return sum(one.num_waiting for one in variants.known())


def loaded(variants: BaseVariants) -> list[str]:
    return [str(key) for key, _ in variants.loaded()]


def in_thread(call: Callable[[], object]) -> "Future[object]":
    done: Future[object] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except (OSError, AppError) as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done


class TestRoom:
    def test_the_one_not_asked_for_longest_goes_first(self, bases: Bases) -> None:
        variants = bases.variants(8)
        ask(variants, A, B, A)
        assert loaded(variants) == [B, A]
        ask(variants, C)
        assert loaded(variants) == [C]
        ask(variants, A)
        assert (loaded(variants), bases.evicted) == ([A], [B, A, C])
        assert bases.reads == [A, B, C, A]

    def test_nobody_goes_for_more_room_than_is_needed(self, bases: Bases) -> None:
        variants = bases.variants(10)
        ask(variants, A, B, C)
        assert loaded(variants) == [B, C]

    def test_what_is_used_stays_and_the_next_is_asked_to_come_back(self, bases: Bases) -> None:
        variants = bases.variants(8)
        with variants.use(VariantKey(A)), variants.use(VariantKey(B)):
            with pytest.raises(RateLimited, match="Qwen3 4B") as caught:
                ask(variants, C)
            assert (caught.value.error_code, caught.value.details["retry_after_s"]) == ("bases_busy", 10)
            assert loaded(variants) == [A, B]
        ask(variants, C)
        assert loaded(variants) == [C]

    def test_what_answers_stays_and_nobody_goes_in_vain(self, bases: Bases) -> None:
        variants = bases.variants(8)
        ask(variants, A, B)
        bases.answering = {A}
        with pytest.raises(RateLimited):
            ask(variants, C)
        assert (loaded(variants), bases.evicted) == ([A, B], [])
        bases.needs[C] = 4
        ask(variants, C)
        assert (loaded(variants), bases.evicted) == ([A, C], [B])

    def test_the_pinned_one_stays(self, bases: Bases) -> None:
        variants = bases.variants(8, pinned=[A])
        bases.needs[C] = 4
        ask(variants, A, B, C)
        assert loaded(variants) == [A, C]
        assert {str(one.key): one.residence.is_pinned for one in variants.known()} == {A: True, B: False, C: False}

    def test_one_that_no_waiting_would_help_is_refused_with_what_to_do(self, bases: Bases) -> None:
        bases.needs = {A: 4_000_000_000, C: 6_000_000_000}
        with pytest.raises(Unavailable, match=r"needs 6\.00 GB .* may use 5\.00 GB.*MAX_BASE_MODEL_BYTES") as caught:
            ask(bases.variants(5_000_000_000), C)
        assert caught.value.error_code == "base_model_too_large"
        variants = bases.variants(8_000_000_000, pinned=[A])
        ask(variants, A)
        with pytest.raises(Unavailable, match=r"of which pinned ones take 4\.00 GB"):
            ask(variants, C)
        assert loaded(variants) == [A]

    def test_who_waits_gets_the_room_of_an_answer_that_ends(self, bases: Bases) -> None:
        variants = bases.variants(6, room_patience_s=DEADLINE_S)
        ask(variants, A)
        bases.answering = {A}
        waiting = in_thread(lambda: ask(variants, C))
        eventually(lambda: num_waiting(variants) == 1)
        assert loaded(variants) == [A]
        bases.answering = set()
        variants.wake()
        waiting.result(DEADLINE_S)
        assert loaded(variants) == [C]


def test_what_was_loaded_and_evicted_is_counted(bases: Bases) -> None:
    variants = bases.variants(8, pinned=[A])
    bases.needs[C] = 4
    ask(variants, A, B, C, B, B)
    known = {str(one.key): one for one in variants.known()}
    told = {name: one.residence for name, one in known.items()}
    assert {name: (one.num_loads, one.num_evictions, one.num_bytes) for name, one in told.items()} == {
        A: (1, 0, 4),
        B: (2, 1, 4),
        C: (1, 1, 0),
    }
    assert [name for name, one in known.items() if one.runtime] == [A, B]
    assert told[B].load_s > 0


class TestReading:
    def test_several_that_ask_for_one_read_it_once(self, bases: Bases) -> None:
        bases.gates[A] = threading.Event()
        variants = bases.variants(8)
        asked = [in_thread(lambda: ask(variants, A)) for _ in range(4)]
        eventually(lambda: num_waiting(variants) == 3)
        bases.gates[A].set()
        for one in asked:
            one.result(DEADLINE_S)
        assert bases.reads == [A]

    def test_reading_one_keeps_nobody_from_another_that_is_loaded(self, bases: Bases) -> None:
        variants = bases.variants(8)
        ask(variants, A)
        bases.gates[B] = threading.Event()
        reading = in_thread(lambda: ask(variants, B))
        eventually(lambda: variants.loading == VariantKey(B))
        ask(variants, A)
        assert not reading.done()
        bases.gates[B].set()
        reading.result(DEADLINE_S)
        assert (loaded(variants), variants.loading) == ([A, B], None)

    def test_one_is_read_at_a_time(self, bases: Bases) -> None:
        bases.gates = {A: threading.Event(), B: threading.Event()}
        variants = bases.variants(8)
        first = in_thread(lambda: ask(variants, A))
        eventually(lambda: bases.reads == [A])
        second = in_thread(lambda: ask(variants, B))
        eventually(lambda: num_waiting(variants) == 1)
        assert bases.reads == [A]
        bases.gates[A].set()
        first.result(DEADLINE_S)
        eventually(lambda: bases.reads == [A, B])
        bases.gates[B].set()
        second.result(DEADLINE_S)

    def test_what_could_not_be_read_takes_no_room_and_is_tried_again(self, bases: Bases) -> None:
        bases.broken = {A}
        variants = bases.variants(4)
        with pytest.raises(OSError, match=A):
            ask(variants, A)
        assert (loaded(variants), variants.loading) == ([], None)
        bases.broken = set()
        ask(variants, B, A)
        assert loaded(variants) == [A]

    def test_nobody_uses_what_another_asked_for_and_could_not_have(self, bases: Bases) -> None:
        bases.gates[A], bases.broken = threading.Event(), {A}
        variants = bases.variants(8)
        asked = [in_thread(lambda: ask(variants, A)) for _ in range(2)]
        eventually(lambda: num_waiting(variants) == 1)
        bases.gates[A].set()
        for one in asked:
            with pytest.raises(OSError, match=A):
                one.result(DEADLINE_S)
        assert bases.reads == [A, A]

    def test_asking_for_it_again_and_again_takes_the_place_of_others_once(self, bases: Bases) -> None:
        bases.broken = {C}
        variants = bases.variants(8, pause_after_failure_s=3600)
        ask(variants, A, B)
        with pytest.raises(OSError, match=C):
            ask(variants, C)
        ask(variants, A, B)
        for _ in range(3):
            with pytest.raises(Unavailable, match="a moment ago") as refused:
                ask(variants, C)
            assert refused.value.error_code == "base_model_failed"
        assert loaded(variants) == [A, B]
        assert bases.reads == [A, B, C, A, B]


class TestTurns:
    """Three bases of which one has room, and one that is being read while the others are asked for."""

    @pytest.fixture
    def variants(self, bases: Bases) -> BaseVariants:
        bases.needs = {A: 4, B: 4, C: 4, D: 4}
        bases.gates = {name: threading.Event() for name in (A, B, C, D)}
        return bases.variants(4, patience_s=60, room_patience_s=10)

    def ask(self, variants: BaseVariants, name: str, workspace_id: str) -> "Future[object]":
        """Returns once it waits, or is read."""
        waiting = num_waiting(variants)
        asked = in_thread(lambda: use(variants, name, workspace_id))
        eventually(lambda: num_waiting(variants) > waiting or variants.loading == VariantKey(name))
        return asked

    def test_who_came_first_is_first(self, bases: Bases, variants: BaseVariants) -> None:
        asked = [self.ask(variants, name, f"ws_{name}") for name in (A, C, B, D)]
        for gate in bases.gates.values():
            gate.set()
        for one in asked:
            one.result(DEADLINE_S)
        assert bases.reads == [A, C, B, D]

    def test_who_asks_for_one_after_the_other_lets_the_others_have_their_turn(
        self, bases: Bases, variants: BaseVariants
    ) -> None:
        asked = [self.ask(variants, name, "ws_greedy") for name in (A, B, C)]
        asked.append(self.ask(variants, D, "ws_modest"))
        for gate in bases.gates.values():
            gate.set()
        for one in asked:
            one.result(DEADLINE_S)
        assert bases.reads == [A, B, D, C]

    def test_one_that_was_read_answers_whoever_waited_for_it_before_it_goes(
        self, bases: Bases, variants: BaseVariants
    ) -> None:
        variants._changed = changed = SlowToWake()
        first = self.ask(variants, A, "ws_first")
        next_one = self.ask(variants, B, "ws_next")
        late = [in_thread(lambda: changed.as_one_that_is_slow(lambda: use(variants, A, "ws_late"))) for _ in range(3)]
        eventually(lambda: num_waiting(variants) == 4)
        bases.gates[B].set()
        bases.gates[A].set()
        first.result(DEADLINE_S)
        # they have not even heard that it is there
        assert not any(one.done() for one in late)
        with changed:
            assert variants._victims(4) is None
        assert (bases.reads, bases.evicted) == ([A], [])
        changed.may_wake.set()
        for one in (*late, next_one):
            one.result(DEADLINE_S)
        assert bases.reads == [A, B]

    def test_the_deadline_is_one_from_the_arrival_however_many_are_read(
        self, bases: Bases, variants: BaseVariants
    ) -> None:
        first, second, third = (self.ask(variants, name, f"ws_{name}") for name in (A, B, C))
        beside = self.ask(variants, B, "ws_beside")
        bases.now_s = 40
        bases.gates[A].set()
        first.result(DEADLINE_S)
        eventually(lambda: variants.loading == VariantKey(B))
        fourth = self.ask(variants, D, "ws_later")
        bases.now_s = 61
        variants.wake()
        with pytest.raises(RateLimited, match=r"turn of the base model Qwen3 4B did not come in time") as caught:
            third.result(DEADLINE_S)
        assert (caught.value.error_code, caught.value.details["retry_after_s"]) == ("bases_busy", 10)
        bases.gates[B].set()
        bases.gates[D].set()
        # whose base is being read waits for it
        for one in (second, beside, fourth):
            one.result(DEADLINE_S)
        assert {str(one.key): one.residence.num_refused for one in variants.known()} == {A: 0, B: 0, C: 1, D: 0}

    def test_who_finds_no_room_in_its_turn_holds_the_others_up_for_so_long_and_no_longer(
        self, bases: Bases, variants: BaseVariants
    ) -> None:
        for gate in bases.gates.values():
            gate.set()
        bases.needs = {A: 2, B: 2, C: 4, D: 2}
        use(variants, A, "ws_a")
        bases.answering = {A}
        large = [self.ask(variants, C, workspace_id) for workspace_id in ("ws_large", "ws_too")]
        small = self.ask(variants, B, "ws_small")
        bases.now_s = 9
        variants.wake()
        assert not small.done()
        bases.now_s = 10
        variants.wake()
        for one in large:
            with pytest.raises(RateLimited, match="no room for the base model Qwen3 4B"):
                one.result(DEADLINE_S)
        small.result(DEADLINE_S)
        assert bases.reads == [A, B]

    def test_only_so_many_wait_and_who_has_most_gives_its_newest(self, bases: Bases) -> None:
        bases.gates = {name: threading.Event() for name in (A, B, C)}
        variants = bases.variants(8, max_waiting=3)
        greedy = [self.ask(variants, name, "ws_greedy") for name in (A, B, B, C)]
        modest = in_thread(lambda: use(variants, B, "ws_modest"))
        with pytest.raises(RateLimited) as caught:
            greedy[-1].result(DEADLINE_S)
        assert caught.value.error_code == "inference_queue_full"
        eventually(lambda: num_waiting(variants) == 3)
        for workspace_id in ("ws_greedy", "ws_modest"):
            with pytest.raises(RateLimited):
                use(variants, C, workspace_id)
        for gate in bases.gates.values():
            gate.set()
        for one in (*greedy[:-1], modest):
            one.result(DEADLINE_S)
        assert bases.reads == [A, B]


def test_a_model_that_is_not_on_disk_says_how_to_get_it(settings: Settings) -> None:
    with pytest.raises(Unavailable, match=r"python -m worker\.base_models mistral-7b-instruct-v0\.3"):
        ask(BaseVariants(settings), "mistral-7b-instruct-v0.3")
    with pytest.raises(NotFound):
        ask(BaseVariants(settings), "gpt-9")


def test_a_variant_is_read_as_it_is_written() -> None:
    for key in (VariantKey(DEFAULT), VariantKey(DEFAULT, "nf4")):
        assert VariantKey.of(str(key)) == key
    with pytest.raises(NotFound):
        VariantKey.of("gpt-9@nf4")
    with pytest.raises(Invalid, match="only be nf4"):
        VariantKey.of(f"{DEFAULT}@int8")


@pytest.fixture
def files(tmp_path: Path, adapter_folders: dict[str, Path]) -> AdapterFiles:
    def serve(request: httpx.Request) -> httpx.Response:
        _, name, file = request.url.path.split("/")
        return httpx.Response(200, content=(adapter_folders[name] / file).read_bytes())

    client = httpx.Client(transport=httpx.MockTransport(serve))
    return AdapterFiles(tmp_path / "cache", max_bytes=1 << 30, client=client)


def test_adapters_are_forgotten_by_bytes(
    files: AdapterFiles, runtime: BaseRuntime, adapter_ref: Callable[[str], AdapterRef]
) -> None:
    red, blue = adapter_ref("red"), adapter_ref("blue")
    key = VariantKey(DEFAULT)
    roomy = Adapters(files, max_bytes=2 << 30)
    weights = roomy.get(red, key, runtime)
    assert roomy.get(red, key, runtime) is weights
    tight = Adapters(files, max_bytes=weights.num_bytes)
    tight.get(red, key, runtime)
    tight.get(blue, key, runtime)
    assert [digest for digest, _ in tight.loaded()] == [blue.digest]


def test_how_adapters_were_had_is_counted_for_each_base(
    files: AdapterFiles, runtime: BaseRuntime, adapter_ref: Callable[[str], AdapterRef]
) -> None:
    plain, rounded = VariantKey(DEFAULT), VariantKey(DEFAULT, "nf4")
    red, blue = adapter_ref("red"), adapter_ref("blue")
    num_bytes = Adapters(files, max_bytes=1).get(red, plain, runtime).num_bytes
    adapters = Adapters(files, max_bytes=2 * num_bytes)
    for asked in (red, red, red):
        adapters.get(asked, plain, runtime)
    adapters.get(red, rounded, runtime)
    use = adapters.use_of(plain)
    assert (use.hits, use.misses, use.evictions, use.num_bytes) == (2, 1, 0, num_bytes)
    assert min(use.fetch_s, use.load_s) > 0
    adapters.get(blue, rounded, runtime)  # twice the rank: both others go
    assert (adapters.use_of(plain).evictions, adapters.use_of(plain).num_bytes) == (1, 0)
    assert adapters.use_of(rounded).evictions == 1
    adapters.forget_all_of(rounded)
    assert (adapters.use_of(rounded).evictions, adapters.use_of(rounded).num_bytes) == (2, 0)


def test_a_refused_adapter_is_not_kept(
    files: AdapterFiles, runtime: BaseRuntime, adapter_ref: Callable[[str], AdapterRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = Adapters(files, max_bytes=2 << 30)
    monkeypatch.setattr(runtime, "linear_shapes", {"other": (1, 1)})
    with pytest.raises(Invalid):
        adapters.get(adapter_ref("red"), VariantKey(DEFAULT), runtime)
    assert adapters.loaded() == []
