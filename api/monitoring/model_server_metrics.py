"""What the inference runtime tells of itself, in the text format of Prometheus.

Tuned models come by the thousand, so what is told of them is told for all of a base model together.
"""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.inference.types import Residence, ServedBase
from core.monitoring.model_servers import ModelServers

_LABELS: Final = ("base_model", "runtime")
_GAUGES: Final[tuple[tuple[str, str, Callable[[ServedBase], float]], ...]] = (
    # one that is evicted answers whoever asks, a little later
    ("up", "1 while a base model's answers come.", lambda one: one.status in ("ready", "evicted")),
    ("active", "Answers that are worked on.", lambda one: one.active),
    ("waiting", "Answers that wait, also for the base model to be loaded.", lambda one: one.waiting),
    ("adapters", "Tuned models loaded.", lambda one: one.num_adapters),
    ("adapter_bytes", "Memory of the tuned models loaded.", lambda one: one.adapters.num_bytes or 0),
)
_COUNTERS: Final[tuple[tuple[str, str, Callable[[ServedBase], float]], ...]] = (
    ("restarts", "Times that what computes ended and was started again.", lambda one: one.num_restarts),
    ("adapter_evictions", "Tuned models that gave their place in memory.", lambda one: one.adapters.evictions),
)
_RESIDENCE_GAUGES: Final[tuple[tuple[str, str, Callable[[Residence], float]], ...]] = (
    ("memory_bytes", "Memory of a base model; 0 while it is evicted.", lambda one: one.num_bytes),
    ("pinned", "1 for a base model that is never evicted.", lambda one: one.is_pinned),
)
_RESIDENCE_COUNTERS: Final[tuple[tuple[str, str, Callable[[Residence], float]], ...]] = (
    ("loads", "Times that a base model was loaded.", lambda one: one.num_loads),
    ("evictions", "Times that a base model gave its place in memory.", lambda one: one.num_evictions),
    ("refused", "Questions refused as a base model had no room or no turn in time.", lambda one: one.num_refused),
    ("load_seconds", "Seconds in which a base model was loaded.", lambda one: one.load_s),
)


class ModelServersCollector(Collector):
    """What the inference runtime told of itself just now; of one that does not answer, that it is not up."""

    def __init__(self, found: ModelServers) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tailorbird_model_servers_up",
            "1 while the inference runtime answers and its default model is ready.",
            value=self._found.status == "ready",
        )
        yield GaugeMetricFamily(
            "tailorbird_model_servers_base_budget_bytes",
            "What the base models of our own runtime may take of memory together.",
            value=self._found.base_budget_bytes,
        )
        for name, about, value_of in _GAUGES:
            yield self._gauge(name, about, [(one, value_of(one)) for one in self._found.served])
        for name, about, value_of in _COUNTERS:
            yield self._counter(name, about, [(one, value_of(one)) for one in self._found.served])
        resident = [(one, one.residence) for one in self._found.served if one.residence]
        for name, about, value_in in _RESIDENCE_GAUGES:
            yield self._gauge(name, about, [(one, value_in(residence)) for one, residence in resident])
        for name, about, value_in in _RESIDENCE_COUNTERS:
            yield self._counter(name, about, [(one, value_in(residence)) for one, residence in resident])
        yield from self._adapters()

    def _adapters(self) -> Iterator[Metric]:
        lookups = CounterMetricFamily(
            "tailorbird_model_server_adapter_lookups",
            "Answers by whether their tuned model was in memory (hit) or had to be loaded (miss).",
            labels=[*_LABELS, "result"],
        )
        seconds = CounterMetricFamily(
            "tailorbird_model_server_adapter_load_seconds",
            "Seconds in which tuned models came from the disk or the object store (fetch), and into memory (load).",
            labels=[*_LABELS, "stage"],
        )
        for one in self._found.served:
            of = [one.base_model, one.runtime]
            lookups.add_metric([*of, "hit"], one.adapters.hits)
            lookups.add_metric([*of, "miss"], one.adapters.misses)
            seconds.add_metric([*of, "fetch"], one.adapters.fetch_s)
            seconds.add_metric([*of, "load"], one.adapters.load_s)
        yield from (lookups, seconds)

    @staticmethod
    def _gauge(name: str, about: str, values: list[tuple[ServedBase, float]]) -> Metric:
        family = GaugeMetricFamily(f"tailorbird_model_server_{name}", about, labels=_LABELS)
        for one, value in values:
            family.add_metric([one.base_model, one.runtime], value)
        return family

    @staticmethod
    def _counter(name: str, about: str, values: list[tuple[ServedBase, float]]) -> Metric:
        family = CounterMetricFamily(f"tailorbird_model_server_{name}", about, labels=_LABELS)
        for one, value in values:
            family.add_metric([one.base_model, one.runtime], value)
        return family
