"""How words are taken out of one kept value. A mask gives the value without them, and an equal one if it holds none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from core.datasets.formats import packing
from core.erasures.words import ERASED, blanked, hold

Mask = Callable[[Sequence[str], Any], Any]


@dataclass(frozen=True, slots=True)
class Under:
    """Only what stands under these names, wherever in a JSON value: all else of it is ids, digests, codes and figures.

    A short word is in many an id, and a worker needs the id as it is.
    """

    by_name: Mapping[str, Mask]

    def __call__(self, terms: Sequence[str], value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, dict):
            return {name: self.by_name.get(name, self)(terms, part) for name, part in value.items()}
        if isinstance(value, list):
            return [self(terms, part) for part in value]
        return value


def under(*names: str, **masks: Mask) -> Under:
    return Under({**dict.fromkeys(names, blanked), **masks})


def pairs(terms: Sequence[str], value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of pairs that somebody made up, those that hold a term go: their names are words, too."""
    if value is None:
        return None
    return {name: said for name, said in value.items() if not hold(terms, [name, said])}


def filename(terms: Sequence[str], name: str | None) -> str | None:
    """The ending stays, by which a file that still arrives is read."""
    if name is None or not hold(terms, name):
        return name
    unpacked = packing.without_ending(name)
    ending = PurePath(unpacked).suffix + name[len(unpacked) :]
    return ERASED if hold(terms, ending) else ERASED + ending
