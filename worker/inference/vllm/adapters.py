"""Which adapters an engine has loaded: by digest, each checked before, and the one not asked for longest goes first.

Files come into our cache on disk by presigned URL (`adapter_files`). The engine reads a folder of its own with the
checked weights and a configuration that we wrote, which stays while the adapter is loaded: vLLM may read it again.
"""

import json
import logging
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

from core.errors import RateLimited
from core.inference.types import AdapterRef, AdapterUse
from worker.inference.adapter_config import AdapterConfig, LoraConfig, PromptConfig, parse_adapter_config
from worker.inference.adapter_files import CONFIG_NAME, WEIGHTS_NAME, AdapterFiles
from worker.inference.adapter_weights import read_adapter_weights
from worker.inference.contract import CannotServe
from worker.inference.hot_adapters import AdapterCounts
from worker.inference.vllm import plain
from worker.inference.vllm.base import Base
from worker.inference.vllm.engine import Load
from worker.inference.vllm.wire import EngineRefused

logger = logging.getLogger(__name__)

_KEPT: Final = frozenset({"r", "lora_alpha", "target_modules", "use_rslora"})
_RETRY_AFTER_S: Final = 3
_MAX_REMEMBERED: Final = 10_000


class Loader(Protocol):
    """The engine's part. Both block, and raise `Unavailable`."""

    def load(self, name: str, folder: Path) -> None: ...

    def unload(self, name: str) -> None: ...


@dataclass(slots=True)
class _Loaded:
    num_users: int = 0


class LoadedAdapters:
    """Safe for threads; loads one adapter at a time, since the engine does no more either."""

    def __init__(
        self, base: Base, files: AdapterFiles, folder: Path, loader: Loader, *, max_adapters: int, max_rank: int
    ) -> None:
        self._base = base
        self._files = files
        self._folder = folder
        self._loader = loader
        self._max_adapters = max_adapters
        self._max_rank = max_rank
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._refused: OrderedDict[str, str] = OrderedDict()
        self._epoch = 0
        self._counts = AdapterCounts()

    @property
    def digests(self) -> list[str]:
        with self._lock:
            return list(self._loaded)

    @property
    def use(self) -> AdapterUse:
        with self._lock:
            return self._counts.told(None)

    def begin(self, load: Load) -> None:
        """The engine is another one, and knows none. Raises `Unavailable`."""
        with self._lock:
            self._epoch += 1
            self._loaded.clear()
        shutil.rmtree(self._folder, ignore_errors=True)
        if plain.needs_adapter(self._base):
            name = plain.name_of_plain(self._base)
            load(name, plain.write_adapter(self._base, self._folder / name))

    def acquire(self, adapter: AdapterRef) -> Callable[[], None]:
        """Have it loaded until the returned function is called.

        Raises `CannotServe` for a kind that vLLM does not have, `Invalid` for an adapter that must not be served,
        `RateLimited` while all places are taken by adapters that answer, and `Unavailable`.
        """
        self._raise_if_refused(adapter.digest)
        if release := self._hit(adapter.digest):
            return release
        with self._turn:
            if release := self._hit(adapter.digest):
                return release
            epoch, began_s = self._epoch, monotonic()
            folder = self._prepared(adapter)
            fetch_s = monotonic() - began_s
            self._make_room()
            began_s = monotonic()
            self._load(adapter.digest, folder)
            with self._lock:
                self._counts.misses += 1
                self._counts.fetch_s += fetch_s
                self._counts.load_s += monotonic() - began_s
                if epoch == self._epoch:
                    self._loaded[adapter.digest] = _Loaded()
        return self._use(adapter.digest) or _nothing

    def _hit(self, digest: str) -> Callable[[], None] | None:
        release = self._use(digest)
        if release:
            with self._lock:
                self._counts.hits += 1
        return release

    def _use(self, digest: str) -> Callable[[], None] | None:
        with self._lock:
            found = self._loaded.get(digest)
            if found is None:
                return None
            self._loaded.move_to_end(digest)
            found.num_users += 1

        def release() -> None:
            with self._lock:
                found.num_users -= 1

        return release

    def _load(self, digest: str, folder: Path) -> None:
        try:
            self._loader.load(digest, folder)
        except EngineRefused as refusal:
            shutil.rmtree(folder, ignore_errors=True)
            logger.warning("vLLM refused the adapter %s (%d): %s", digest, refusal.status, refusal.said)
            raise CannotServe(
                f"vLLM, which answers for {self._base.key}, could not load this model; the log of the model server "
                "has its reason.",
                param="model",
            ) from refusal

    def _make_room(self) -> None:
        while True:
            with self._lock:
                if len(self._loaded) < self._max_adapters:
                    return
                idle = next((digest for digest, one in self._loaded.items() if one.num_users == 0), None)
                if idle is None:
                    raise RateLimited(
                        f"All {self._max_adapters} places for tuned models are taken by models that are answering. "
                        "Try again in a few seconds.",
                        code="adapters_busy",
                        details={"retry_after_s": _RETRY_AFTER_S},
                    )
                del self._loaded[idle]
                self._counts.evictions += 1
            self._loader.unload(idle)
            shutil.rmtree(self._folder / idle, ignore_errors=True)

    def _prepared(self, adapter: AdapterRef) -> Path:
        """A folder with nothing in it but what was checked."""
        files = self._files.read(adapter)
        config = parse_adapter_config(files[CONFIG_NAME])
        reason = cannot_serve(config, max_rank=self._max_rank)
        if reason:
            self._refused[adapter.digest] = reason
            while len(self._refused) > _MAX_REMEMBERED:
                self._refused.popitem(last=False)
            self._raise_if_refused(adapter.digest)
        read_adapter_weights(files[WEIGHTS_NAME], config, digest=adapter.digest, base=self._base)
        folder = self._folder / adapter.digest
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_NAME).write_text(json.dumps(_own_config(json.loads(files[CONFIG_NAME]))))
        (folder / WEIGHTS_NAME).write_bytes(files[WEIGHTS_NAME])
        return folder

    def _raise_if_refused(self, digest: str) -> None:
        if reason := self._refused.get(digest):
            raise CannotServe(
                f"vLLM, which answers for {self._base.key}, cannot serve this model: {reason}.", param="model"
            )


def cannot_serve(config: AdapterConfig, *, max_rank: int) -> str | None:
    """Why vLLM cannot serve such an adapter; None if it can."""
    match config:
        case PromptConfig():
            return "it is a learned prompt (prompt tuning), and vLLM serves LoRA alone"
        case LoraConfig(has_lengths=True):
            return "it was trained with DoRA, whose learned lengths vLLM leaves out"
        case LoraConfig(rank=rank) if rank > max_rank:
            return f"its rank is {rank}, and vLLM was started for {max_rank} at most (TAILORBIRD_VLLM_MAX_LORA_RANK)"
    return None


def _own_config(given: dict[str, object]) -> dict[str, object]:
    """What decides how the weights are applied, all of it checked before; nothing of a path or another file."""
    kept = {name: value for name, value in given.items() if name in _KEPT}
    return {**kept, "peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "use_dora": False}


def _nothing() -> None:
    """There is nothing to give back."""
