"""A bounded cache that forgets the least recently used."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class _Key(Protocol):
    def __hash__(self) -> int: ...


K = TypeVar("K", bound=_Key)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Loads a value once even if several threads want it at once; keeps at most `max_size`, by `size_of`.

    Who holds a value keeps it alive, so forgetting one never breaks a sequence that is using it.
    """

    def __init__(
        self, *, max_size: int, size_of: Callable[[V], int], on_evicted: Callable[[K], None] = lambda _: None
    ) -> None:
        """`on_evicted` is told each key that is forgotten, with the cache's lock held."""
        self._max_size = max_size
        self._size_of = size_of
        self._on_evicted = on_evicted
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[K, threading.Lock] = {}

    def get(self, key: K, load: Callable[[], V]) -> V:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            turn = self._loading.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                value = load()
            finally:
                with self._lock:
                    self._loading.pop(key, None)
            with self._lock:
                self._kept[key] = value
                while len(self._kept) > 1 and sum(map(self._size_of, self._kept.values())) > self._max_size:
                    evicted, _ = self._kept.popitem(last=False)
                    self._on_evicted(evicted)
            return value

    def forget(self, is_meant: Callable[[K], bool]) -> None:
        with self._lock:
            for key in [key for key in self._kept if is_meant(key)]:
                del self._kept[key]
                self._on_evicted(key)

    def items(self) -> list[tuple[K, V]]:
        with self._lock:
            return list(self._kept.items())
