"""Hears a base model being loaded, tensor by tensor: transformers tells its progress bars, and nobody else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from transformers.utils import logging as transformers_logging


class _HeardBar:
    """A progress bar that passes on that it moved."""

    def __init__(self, bar: Any, on_piece: Callable[[], None]) -> None:  # noqa: ANN401 - tqdm, or a shim of it
        self._bar, self._on_piece = bar, on_piece

    def __iter__(self) -> Iterator[Any]:
        for piece in self._bar:
            self._on_piece()
            yield piece

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.__exit__(*error)

    def update(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        self._on_piece()
        return self._bar.update(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._bar, name)


@contextmanager
def heard(on_piece: Callable[[], None]) -> Iterator[None]:
    """`on_piece` is called for every piece that is loaded within the block."""

    def hook(make: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _HeardBar:
        return _HeardBar(make(*args, **kwargs), on_piece)

    before = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(before)
