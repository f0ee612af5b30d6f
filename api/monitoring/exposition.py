"""The figures in the text format of Prometheus, which most monitoring systems read."""

import platform
from collections.abc import Iterator
from importlib import metadata

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from core.jobs.kinds import JobKind, QueueName
from core.jobs.states import AttemptOutcome, JobState
from core.monitoring.metrics.types import QUANTILES, Figures
from core.monitoring.types import QueueState, WorkerStatus
from core.usage.models import LedgerKind


class FiguresCollector(Collector):
    """One reading of the database as metrics. What there is none of is 0, so that the first of it is seen to rise."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "tailorbird_build",
            "The version that answers.",
            {"version": metadata.version("tailorbird"), "python": platform.python_version()},
        )
        yield from self._queues()
        yield from self._jobs()
        yield from self._webhooks()
        yield self._money()

    def _queues(self) -> Iterator[Metric]:
        oldest = GaugeMetricFamily(
            "tailorbird_queue_oldest_wait_seconds", "How long the job waits that waits longest.", labels=["queue"]
        )
        stuck = GaugeMetricFamily(
            "tailorbird_queue_stuck",
            "1 while jobs wait although a worker could take them, or there is none.",
            labels=["queue"],
        )
        workers = GaugeMetricFamily("tailorbird_workers", "Workers.", labels=["queue", "status"])
        for queue in self._figures.queues:
            oldest.add_metric([queue.name], queue.oldest_wait_s or 0)
            stuck.add_metric([queue.name], queue.state is QueueState.STUCK)
            for status in WorkerStatus:
                workers.add_metric([queue.name, status], self._figures.num_workers.get((queue.name, status), 0))
        waits = SummaryMetricFamily(
            "tailorbird_job_wait_seconds", "From due to claimed, of the claims of the last hour.", labels=["queue"]
        )
        for name, values in self._figures.waits_s.items():
            _add_quantiles(waits, {"queue": name.value}, values)
        yield from (oldest, stuck, workers, waits)

    def _jobs(self) -> Iterator[Metric]:
        figures = self._figures
        jobs = GaugeMetricFamily("tailorbird_jobs", "Jobs by state.", labels=["queue", "state"])
        for queue in QueueName:
            for state in JobState:
                jobs.add_metric([queue, state], figures.num_jobs.get((queue, state), 0))
        attempts = CounterMetricFamily(
            "tailorbird_job_attempts", "Leases of jobs that ended, by how.", labels=["kind", "outcome"]
        )
        for kind in JobKind:
            for outcome in AttemptOutcome:
                attempts.add_metric([kind, outcome], figures.num_attempts.get((kind, outcome), 0))
        expired = CounterMetricFamily("tailorbird_lease_expired", "Leases whose worker went silent.")
        expired.add_metric(
            [],
            sum(num for (_, outcome), num in figures.num_attempts.items() if outcome is AttemptOutcome.LEASE_EXPIRED),
        )
        runs = SummaryMetricFamily(
            "tailorbird_job_run_seconds",
            "From claimed to its end, of the attempts that ended in the last hour.",
            labels=["kind"],
        )
        for kind, values in figures.runs_s.items():
            _add_quantiles(runs, {"kind": kind.value}, values)
        yield from (jobs, attempts, expired, runs)

    def _webhooks(self) -> Iterator[Metric]:
        webhooks = self._figures.webhooks
        for name, about, value in (
            ("pending", "Webhook deliveries that are still to be made.", webhooks.num_pending),
            ("oldest_due_seconds", "How long the delivery is due that is due longest.", webhooks.oldest_due_s),
            ("disabled", "Webhooks that were switched off because nothing arrived there.", webhooks.num_disabled),
        ):
            yield GaugeMetricFamily(f"tailorbird_webhooks_{name}", about, value=value)

    def _money(self) -> Metric:
        ledger = CounterMetricFamily("tailorbird_ledger_micros", "Micro-dollars charged.", labels=["kind"])
        for kind in LedgerKind:
            ledger.add_metric([kind], self._figures.ledger_micros.get(kind, 0))
        return ledger


def _add_quantiles(summary: SummaryMetricFamily, labels: dict[str, str], values: tuple[float, ...]) -> None:
    # without _count and _sum: over a sliding hour they would fall, which counters must not
    for quantile, value in zip(QUANTILES, values, strict=True):
        summary.add_sample(summary.name, labels | {"quantile": str(quantile)}, value)


class LostCompletionsCollector(Collector):
    """Answers that this process should have kept and could not."""

    def __init__(self, num_lost: int) -> None:
        self._num_lost = num_lost

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "tailorbird_completions_lost",
            "Answers that were to be kept and are lost, of this process.",
            value=self._num_lost,
        )
