"""Adapters that are loaded, in memory that is bounded for all of them together."""

from core.inference.types import AdapterRef
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_files import CONFIG_NAME, WEIGHTS_NAME, AdapterFiles, reference_of
from worker.inference.adapter_weights import AdapterWeights, read_adapter_weights
from worker.inference.lru_cache import LruCache
from worker.inference.runtime import BaseRuntime, VariantKey


class Adapters:
    """Safe for threads. Those not asked for longest go first, whatever base they are for."""

    def __init__(self, files: AdapterFiles, *, max_bytes: int) -> None:
        self._files = files
        self._cache: LruCache[tuple[str, VariantKey], AdapterWeights] = LruCache(
            max_size=max_bytes, size_of=lambda weights: weights.num_bytes
        )

    def get(self, adapter: AdapterRef, key: VariantKey, runtime: BaseRuntime) -> AdapterWeights:
        """Raises `Invalid` for an adapter that must not be served, `Unavailable` for one that cannot be fetched."""
        return self._cache.get((adapter.digest, key), lambda: self._load(adapter, runtime))

    def reference(self, adapter: AdapterRef) -> bytes:
        """What its trainer wrote down to compare with. Raises `Invalid` (`proof_missing`) where it wrote nothing."""
        return reference_of(self._files.read(adapter))

    def loaded(self) -> list[tuple[str, VariantKey]]:
        """Digests, and what they are loaded for."""
        return [key for key, _ in self._cache.items()]

    def forget_all_of(self, key: VariantKey) -> None:
        """Give back the memory of adapters whose base is gone. None of them may be answering."""
        self._cache.forget(lambda kept: kept[1] == key)

    def _load(self, adapter: AdapterRef, runtime: BaseRuntime) -> AdapterWeights:
        files = self._files.read(adapter)
        return read_adapter_weights(
            files[WEIGHTS_NAME],
            parse_adapter_config(files[CONFIG_NAME]),
            digest=adapter.digest,
            base=runtime,
        )
