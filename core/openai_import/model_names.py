"""Which base model here stands in for which of OpenAI's. Nobody can know: who imports says so, we suggest."""

from collections.abc import Mapping, Sequence

from core.base_models import service as base_models
from core.errors import Invalid

ANY = "*"
# OpenAI does not publish sizes; these are what its names promise. The first that fits counts.
_MOST_PARAMETERS = (("nano", 2e9), ("babbage", 2e9), ("mini", 9e9), ("3.5", 9e9), ("", 80e9))


def parse(pairs: Sequence[str]) -> dict[str, str]:
    """`gpt-4o-mini-2024-07-18=smollm2-135m-instruct`, where `*` stands for every other model. Raises Invalid."""
    chosen: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = (part.strip() for part in pair.rpartition("="))
        if not (theirs and equals and ours):
            raise Invalid(
                f"--map {pair!r} is not of the form OPENAI_MODEL=MODEL_HERE, such as "
                f"gpt-4o-mini-2024-07-18={base_models.default_base_model().id}.",
                code="map_invalid",
            )
        if chosen.setdefault(theirs, ours) != ours:
            raise Invalid(f"--map says two things of {theirs!r}: {chosen[theirs]} and {ours}.", code="map_invalid")
    return chosen


def choose(openai_model: str, chosen: Mapping[str, str]) -> str | None:
    return chosen.get(openai_model) or chosen.get(ANY)


def suggest(openai_model: str, ready: Sequence[str]) -> str | None:
    """The largest model on the installation's disk that is no larger than the name promises, else the smallest."""
    known = [model for model in base_models.list_base_models() if model.id in ready]
    by_size = sorted(known, key=lambda model: model.num_parameters)
    most = next(number for word, number in _MOST_PARAMETERS if word in openai_model)
    fitting = [model for model in by_size if model.num_parameters <= most]
    found = fitting[-1:] or by_size[:1]
    return found[0].id if found else None
