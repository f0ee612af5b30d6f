from collections.abc import Iterator, Sequence
from itertools import count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.inference.types import DeltaLine, DoneLine, Sampling, StreamLine
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.generation import Generation
from worker.inference.kv_cache import KeyValues
from worker.inference.prefix_cache import MAX_PAUSE_S, MIN_TOKENS, Owner, PrefixCache
from worker.inference.probe import Probe
from worker.inference.runtime import BaseRuntime
from worker.inference.scheduler import Lane, Work

CLINIC, BANK, SCHOOL = Owner("ws_clinic", None), Owner("ws_bank", None), Owner("ws_school", None)
FIRST = Owner("ws_0", None)
# a system prompt that all share, then a question
SHARED = list(range(3, 60))
ASKED = [*SHARED, 70, 71, 72]
NUM_ANSWERED = 12


def of(num_tokens: int, value: float = 0.0) -> KeyValues:
    """8 bytes a token."""
    tensor = torch.full((1, num_tokens, 1), value)
    return KeyValues([tensor], [tensor])


class TestTheCache:
    def test_the_longest_common_beginning_is_found(self) -> None:
        cache = PrefixCache(max_bytes=10_000)
        cache.keep(CLINIC, SHARED[:30], lambda: of(30, 1.0))
        cache.keep(CLINIC, [*SHARED[:20], *range(200, 220)], lambda: of(40, 2.0))
        found = cache.longest(CLINIC, [*SHARED[:28], 0, 0])
        assert found is not None
        kept, num = found
        assert (float(kept.keys[0][0, 0, 0]), num) == (1.0, 28)

    def test_a_few_tokens_are_not_worth_it(self) -> None:
        cache = PrefixCache(max_bytes=10_000)
        cache.keep(CLINIC, SHARED, lambda: of(len(SHARED)))
        assert cache.longest(CLINIC, [*SHARED[: MIN_TOKENS - 1], 0]) is None
        assert cache.longest(CLINIC, [*SHARED[:MIN_TOKENS], 0]) is not None

    @pytest.mark.parametrize("other", [BANK, Owner("ws_clinic", "another adapter")])
    def test_nobody_else_is_helped(self, other: Owner) -> None:
        cache = PrefixCache(max_bytes=10_000)
        cache.keep(CLINIC, SHARED, lambda: of(len(SHARED)))
        assert cache.longest(other, SHARED) is None

    def test_a_longer_one_takes_the_place_of_its_beginning(self) -> None:
        cache = PrefixCache(max_bytes=10_000)
        cache.keep(CLINIC, SHARED[:30], lambda: of(30))
        cache.keep(CLINIC, SHARED[:40], lambda: of(40))
        assert cache.num_bytes == of(40).num_bytes
        # what is known already is not copied again
        cache.keep(CLINIC, SHARED[:35], lambda: pytest.fail("copied"))

    def test_the_least_recently_used_goes_first(self) -> None:
        cache = PrefixCache(max_bytes=2 * of(30).num_bytes)
        first, second, third = ([start, *SHARED[:29]] for start in (0, 1, 2))
        for tokens in (first, second):
            cache.keep(CLINIC, tokens, lambda: of(30))
        assert cache.longest(CLINIC, first) is not None
        cache.keep(CLINIC, third, lambda: of(30))
        assert [cache.longest(CLINIC, tokens) is None for tokens in (first, second, third)] == [False, True, False]
        assert cache.num_bytes == 2 * of(30).num_bytes

    def test_one_that_is_too_large_is_not_kept(self) -> None:
        cache = PrefixCache(max_bytes=of(29).num_bytes)
        cache.keep(CLINIC, SHARED[:30], lambda: of(30))
        assert (cache.num_bytes, cache.longest(CLINIC, SHARED)) == (0, None)


class TestShares:
    """Prompts of 30 tokens, and a cache for six of them."""

    @pytest.fixture
    def clock(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def cache(self, clock: list[float]) -> PrefixCache:
        return PrefixCache(max_bytes=6 * of(30).num_bytes, clock=lambda: clock[0])

    def keep(self, cache: PrefixCache, owner: Owner, *starts: int) -> None:
        for start in starts:
            cache.keep(owner, [start, *SHARED[:29]], lambda: of(30))

    def known(self, cache: PrefixCache, owner: Owner, starts: Sequence[int]) -> list[int]:
        return [start for start in starts if cache.longest(owner, [start, *SHARED[:29]]) is not None]

    def test_a_stream_of_prompts_pushes_out_its_own(self, cache: PrefixCache) -> None:
        self.keep(cache, CLINIC, 0, 1, 2)
        self.keep(cache, BANK, *range(100))
        assert self.known(cache, CLINIC, range(3)) == [0, 1, 2]
        assert self.known(cache, BANK, range(100)) == [97, 98, 99]

    def test_one_alone_has_everything_and_gives_when_another_comes(self, cache: PrefixCache) -> None:
        self.keep(cache, BANK, *range(6))
        assert self.known(cache, BANK, range(6)) == [0, 1, 2, 3, 4, 5]
        self.keep(cache, CLINIC, 0, 1)
        assert self.known(cache, BANK, range(6)) == [2, 3, 4, 5]
        assert self.known(cache, CLINIC, range(2)) == [0, 1]

    def test_who_has_more_than_their_share_gives_also_what_was_used_last(self, cache: PrefixCache) -> None:
        self.keep(cache, CLINIC, 0)
        self.keep(cache, BANK, *range(5))
        self.keep(cache, SCHOOL, 0)
        assert self.known(cache, BANK, range(5)) == [1, 2, 3, 4]
        assert self.known(cache, CLINIC, range(1)) == [0]

    def test_a_share_is_of_the_workspace_with_all_its_adapters(self, cache: PrefixCache) -> None:
        self.keep(cache, CLINIC, 0, 1, 2)
        for number in range(4):
            self.keep(cache, Owner(BANK.workspace_id, f"adapter {number}"), number)
        assert self.known(cache, CLINIC, range(3)) == [0, 1, 2]
        assert cache.longest(Owner(BANK.workspace_id, "adapter 0"), [0, *SHARED[:29]]) is None

    def test_what_nobody_comes_back_to_is_nobodys_share(self, cache: PrefixCache, clock: list[float]) -> None:
        self.keep(cache, CLINIC, 0, 1, 2)
        clock[0] = MAX_PAUSE_S
        assert self.known(cache, CLINIC, [1]) == [1]
        clock[0] = MAX_PAUSE_S + 1
        self.keep(cache, BANK, *range(100))
        assert self.known(cache, CLINIC, range(3)) == [1]
        assert self.known(cache, BANK, range(100)) == [95, 96, 97, 98, 99]

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(20, 60)), max_size=60))
    def test_nobody_loses_anything_within_their_share(self, kept: list[tuple[int, int, int]]) -> None:
        """Whatever the others do, of however many tokens: one workspace of four keeps what fits into a quarter."""
        cache = PrefixCache(max_bytes=4 * of(120).num_bytes, clock=lambda: 0.0)
        own: dict[int, int] = {}
        for number, start, num_tokens in kept:
            owner = Owner(f"ws_{number}", None)
            if owner == FIRST and start in own:
                continue
            if owner == FIRST and sum(own.values()) + num_tokens <= 120:
                own[start] = num_tokens
            elif owner == FIRST:
                continue
            tokens = [start, *range(100, 99 + num_tokens)]
            cache.keep(owner, tokens, lambda num_tokens=num_tokens: of(num_tokens))
            assert cache.num_bytes <= 4 * of(120).num_bytes
        for start, num_tokens in own.items():
            assert cache.longest(FIRST, [start, *range(100, 99 + num_tokens)]) is not None


@pytest.fixture
def endless(runtime: BaseRuntime) -> Iterator[BaseRuntime]:
    """The runtime with room for prefixes, and with no token that ends an answer."""
    ends, runtime.end_ids = runtime.end_ids, frozenset()
    runtime.prefixes = PrefixCache(max_bytes=1 << 30)
    yield runtime
    runtime.end_ids, runtime.prefixes = ends, PrefixCache(max_bytes=0)


@pytest.fixture
def num_read(endless: BaseRuntime, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens of prompts were read, a number for each piece."""
    prefill, read = endless.prefill, list[int]()

    def count_and_read(row: int, ids: Sequence[int], begin: int, adapter: AdapterWeights | None) -> torch.Tensor:
        read.append(len(ids))
        return prefill(row, ids, begin, adapter)

    monkeypatch.setattr(endless, "prefill", count_and_read)
    return read


class Asked:
    def __init__(
        self,
        runtime: BaseRuntime,
        prompt: Sequence[int],
        adapter: AdapterWeights | None = None,
        workspace_id: str = "ws_clinic",
    ) -> None:
        self.lines: list[StreamLine] = []
        greedy = Sampling(temperature=0, max_tokens=NUM_ANSWERED)
        self.work = Generation(runtime, prompt, greedy, self.lines.append, adapter, workspace_id=workspace_id)

    @property
    def text(self) -> str:
        return "".join(line.text for line in self.lines if isinstance(line, DeltaLine))

    @property
    def num_cached(self) -> int:
        (done,) = (line for line in self.lines if isinstance(line, DoneLine))
        return done.usage.cached_tokens


def answer(runtime: BaseRuntime, *works: Work) -> None:
    lane = Lane(runtime)
    lane.waiting.extend(works)
    while lane.has_work:
        if lane.reading is None and lane.waiting:
            lane.reading = lane.waiting.popleft()
        lane.read_prompt()
        lane.decode()


def ask(runtime: BaseRuntime, prompt: Sequence[int], adapter: AdapterWeights | None = None, **about: str) -> Asked:
    asked = Asked(runtime, prompt, adapter, **about)
    answer(runtime, asked.work)
    return asked


@pytest.mark.parametrize("name", [None, "red", "blue", "green", "violet"])
def test_the_second_turn_of_a_conversation_reads_its_own_words_only_and_is_answered_the_same(
    endless: BaseRuntime, adapters: dict[str, AdapterWeights], num_read: list[int], name: str | None
) -> None:
    adapter = adapters[name] if name else None
    first = ask(endless, ASKED, adapter)
    turn = [*ASKED, *first.work.cached_ids[len(ASKED) :], 80, 81, 82, 83]
    num_read.clear()
    second = ask(endless, turn, adapter)
    assert num_read == [4]
    assert (first.num_cached, second.num_cached) == (0, len(turn) - 4)
    endless.prefixes = PrefixCache(max_bytes=0)
    anew = ask(endless, turn, adapter)
    assert (anew.num_cached, anew.text) == (0, second.text)


def test_of_another_end_the_common_beginning_is_known(
    endless: BaseRuntime, adapters: dict[str, AdapterWeights], num_read: list[int]
) -> None:
    ask(endless, ASKED, adapters["violet"])
    num_read.clear()
    other = ask(endless, [*SHARED, 100, 101], adapters["violet"])
    assert (num_read, other.num_cached) == ([2], len(SHARED))
    endless.prefixes = PrefixCache(max_bytes=0)
    assert ask(endless, [*SHARED, 100, 101], adapters["violet"]).text == other.text


def test_the_same_prompt_again_reads_one_token_for_its_scores(endless: BaseRuntime, num_read: list[int]) -> None:
    first = ask(endless, ASKED)
    num_read.clear()
    assert ask(endless, ASKED).text == first.text
    assert num_read == [1]


def test_who_asks_beside_another_is_helped_once_the_prompt_is_read(endless: BaseRuntime, num_read: list[int]) -> None:
    asked = [Asked(endless, [*SHARED, number]) for number in (100, 101, 102)]
    answer(endless, *(one.work for one in asked))
    assert num_read == [len(SHARED) + 1, 1, 1]
    endless.prefixes = PrefixCache(max_bytes=0)
    assert [ask(endless, one.work.prompt_ids).text for one in asked] == [one.text for one in asked]


def test_another_workspace_and_another_adapter_read_all_of_it(
    endless: BaseRuntime, adapters: dict[str, AdapterWeights], num_read: list[int]
) -> None:
    ask(endless, ASKED, adapters["red"])
    ask(endless, ASKED, adapters["red"], workspace_id="ws_bank")
    ask(endless, ASKED, adapters["blue"])
    ask(endless, ASKED)
    assert num_read == [len(ASKED)] * 4


def test_a_proof_neither_uses_nor_leaves_anything(endless: BaseRuntime, num_read: list[int]) -> None:
    for _ in range(2):
        answer(endless, Probe(endless, ASKED, 2, None))
    assert num_read == [len(ASKED) - 1] * 2
    assert endless.prefixes.num_bytes == 0


def test_what_is_not_finite_is_not_kept(endless: BaseRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, steps = endless.decode, count()
    monkeypatch.setattr(endless, "decode", lambda rows: decode(rows) * (1 if next(steps) < 2 else float("nan")))
    kept = PrefixCache(max_bytes=1 << 30)
    endless.prefixes = kept
    ask(endless, ASKED)
    # the prompt, which was read well; not the answer that went wrong
    assert kept.longest(CLINIC, [*ASKED, 1, 2, 3]) is not None
    assert kept.num_bytes == endless.cache.copy(0, len(ASKED)).num_bytes
