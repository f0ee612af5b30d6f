"""Adapters that are loaded, in memory that is bounded for all of them together."""

import threading
from collections import defaultdict
from dataclasses import asdict, dataclass
from time import monotonic

from core.inference.types import AdapterRef, AdapterUse
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_files import CONFIG_NAME, WEIGHTS_NAME, AdapterFiles, reference_of
from worker.inference.adapter_weights import AdapterWeights, read_adapter_weights
from worker.inference.lru_cache import LruCache
from worker.inference.runtime import BaseRuntime, VariantKey


@dataclass(slots=True)
class AdapterCounts:
    """Of one base model, from the start on. Whoever changes it holds a lock."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    fetch_s: float = 0.0
    load_s: float = 0.0

    def told(self, num_bytes: int | None) -> AdapterUse:
        return AdapterUse(**asdict(self), num_bytes=num_bytes)


class Adapters:
    """Safe for threads. Those not asked for longest go first, whatever base they are for."""

    def __init__(self, files: AdapterFiles, *, max_bytes: int) -> None:
        self._files = files
        self._cache: LruCache[tuple[str, VariantKey], AdapterWeights] = LruCache(
            max_size=max_bytes, size_of=lambda weights: weights.num_bytes, on_evicted=self._note_evicted
        )
        self._lock = threading.Lock()
        self._counts: defaultdict[VariantKey, AdapterCounts] = defaultdict(AdapterCounts)

    def get(self, adapter: AdapterRef, key: VariantKey, runtime: BaseRuntime) -> AdapterWeights:
        """Raises `Invalid` for an adapter that must not be served, `Unavailable` for one that cannot be fetched."""
        loaded: list[AdapterWeights] = []

        def load() -> AdapterWeights:
            loaded.append(self._load(adapter, key, runtime))
            return loaded[0]

        found = self._cache.get((adapter.digest, key), load)
        if not loaded:
            with self._lock:
                self._counts[key].hits += 1
        return found

    def reference(self, adapter: AdapterRef) -> bytes:
        """What its trainer wrote down to compare with. Raises `Invalid` (`proof_missing`) where it wrote nothing."""
        return reference_of(self._files.read(adapter))

    def loaded(self) -> list[tuple[str, VariantKey]]:
        """Digests, and what they are loaded for."""
        return [key for key, _ in self._cache.items()]

    def use_of(self, key: VariantKey) -> AdapterUse:
        num_bytes = sum(weights.num_bytes for (_, of), weights in self._cache.items() if of == key)
        with self._lock:
            return self._counts[key].told(num_bytes)

    def forget_all_of(self, key: VariantKey) -> None:
        """Give back the memory of adapters whose base is gone. None of them may be answering."""
        self._cache.forget(lambda kept: kept[1] == key)

    def _load(self, adapter: AdapterRef, key: VariantKey, runtime: BaseRuntime) -> AdapterWeights:
        began_s = monotonic()
        files = self._files.read(adapter)
        fetched_s = monotonic()
        weights = read_adapter_weights(
            files[WEIGHTS_NAME],
            parse_adapter_config(files[CONFIG_NAME]),
            digest=adapter.digest,
            base=runtime,
        )
        with self._lock:
            counts = self._counts[key]
            counts.misses += 1
            counts.fetch_s += fetched_s - began_s
            counts.load_s += monotonic() - fetched_s
        return weights

    def _note_evicted(self, evicted: tuple[str, VariantKey]) -> None:
        with self._lock:
            self._counts[evicted[1]].evictions += 1
