"""What is loaded: base model variants and adapters, each in a bounded cache that forgets the least recently used."""

import logging
from typing import Final

from core.base_models import service as base_models
from core.config import Settings
from core.errors import Unavailable
from core.inference.types import AdapterRef
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_files import CONFIG_NAME, WEIGHTS_NAME, AdapterFiles, reference_of
from worker.inference.adapter_weights import AdapterWeights, read_adapter_weights
from worker.inference.lru_cache import LruCache
from worker.inference.runtime import BaseRuntime, VariantKey, load_runtime

logger = logging.getLogger(__name__)

MAX_VARIANTS: Final = 2


class BaseVariants:
    def __init__(self, settings: Settings, *, max_variants: int = MAX_VARIANTS) -> None:
        self._settings = settings
        self._cache: LruCache[VariantKey, BaseRuntime] = LruCache(max_size=max_variants, size_of=lambda _: 1)

    def get(self, key: VariantKey) -> BaseRuntime:
        """Raises `NotFound` for a model we do not know, `Unavailable` for one that is not on disk."""
        return self._cache.get(key, lambda: self._load(key))

    def loaded(self) -> list[tuple[VariantKey, BaseRuntime]]:
        return self._cache.items()

    def _load(self, key: VariantKey) -> BaseRuntime:
        model = base_models.get(key.base_model)
        if not base_models.is_ready(self._settings, model.id):
            raise Unavailable(
                f"The base model {model.name} is not on the model server's disk. An admin can run: "
                f"python -m worker.base_models {model.id}",
                code="base_model_not_ready",
                param="model",
            )
        logger.info("loading %s", key)
        return load_runtime(
            base_models.folder(self._settings, model.id),
            key.quantization,
            max_prefix_bytes=self._settings.max_prefix_bytes,
        )


class Adapters:
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

    def _load(self, adapter: AdapterRef, runtime: BaseRuntime) -> AdapterWeights:
        files = self._files.read(adapter)
        return read_adapter_weights(
            files[WEIGHTS_NAME],
            parse_adapter_config(files[CONFIG_NAME]),
            digest=adapter.digest,
            base=runtime,
        )
