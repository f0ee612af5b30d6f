"""What Prometheus collects: it parses, it adds up, and its series are few."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from api.main import create_app
from api.monitoring.http_metrics import HttpMetrics
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.monitoring.metrics.repository import MetricsRepository
from core.monitoring.metrics.service import LedgerTotals
from core.usage import service as usage
from core.usage.models import LedgerEntry, LedgerKind

ROOT = Path(__file__).parents[3]
Headers = dict[str, str]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.mark.stack
class TestTheFigures:
    def test_they_follow_a_job(
        self, client: TestClient, as_operator: Headers, job_id: str, claim: Callable[[], Lease], database: Database
    ) -> None:
        before = _scrape(client, as_operator)
        assert _value(before, "tailorbird_jobs", queue="cpu", state="queued") == 1
        assert _value(before, "tailorbird_queue_stuck", queue="cpu") == 0
        with database.session(SYSTEM) as session:
            session.execute(text("update jobs set queued_at = now() - interval '40 seconds'"))
        waiting = _scrape(client, as_operator)
        assert _value(waiting, "tailorbird_queue_oldest_wait_seconds", queue="cpu") == pytest.approx(40, abs=5)
        lease = claim()
        running = _scrape(client, as_operator)
        assert _value(running, "tailorbird_workers", queue="cpu", status="working") == 1
        assert _value(running, "tailorbird_job_wait_seconds", queue="cpu", quantile="0.5") == pytest.approx(40, abs=5)
        with database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.finish(session, lease, JobState.SUCCEEDED)
        after = _scrape(client, as_operator)
        counted = {"kind": "training.run", "outcome": "succeeded"}
        assert _value(running, "tailorbird_job_attempts_total", **counted) == 0
        assert _value(after, "tailorbird_job_attempts_total", **counted) == 1
        assert _value(after, "tailorbird_job_run_seconds", kind="training.run", quantile="0.99") >= 0
        assert _value(after, "tailorbird_lease_expired_total") == 0

    def test_every_process_tells_the_same(
        self,
        client: TestClient,
        settings: Settings,
        database: Database,
        backends: Backends,
        as_operator: Headers,
        job_id: str,
    ) -> None:
        with TestClient(create_app(settings, database, backends)) as other:
            ours, theirs = _scrape(client, as_operator), _scrape(other, as_operator)
        moving = ("tailorbird_http_", "tailorbird_queue_oldest")
        assert {name: ours[name] for name in ours if not name[0].startswith(moving)} == {
            name: theirs[name] for name in theirs if not name[0].startswith(moving)
        }

    def test_every_figure_is_explained_and_every_alert_asks_for_one_that_is_there(
        self, client: TestClient, as_operator: Headers
    ) -> None:
        page = (ROOT / "docs" / "monitoring.md").read_text()
        families = list(text_string_to_metric_families(client.get("/metrics", headers=as_operator).text))
        names = {family.name for family in families}
        explained = set(re.findall(r"^\| `(tailorbird_\w+?)(?:_total)?`", page, re.MULTILINE))
        assert explained == names
        blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
        rules = [rule for block in blocks for group in block.get("groups", []) for rule in group["rules"]]
        asked = {name for rule in rules for name in re.findall(r"tailorbird_[a-z_]+", rule["expr"])}
        assert len(rules) >= 5
        assert {name.removesuffix("_total") for name in asked} <= names

    def test_only_who_runs_the_installation_may_collect(
        self, client: TestClient, as_admin: Headers, as_operator: Headers
    ) -> None:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=as_admin).status_code == 403
        answer = client.get("/metrics", headers=as_operator)
        assert answer.headers["content-type"].startswith("text/plain; version=")

    def test_requests_are_counted_by_route_and_not_by_path(
        self, client: TestClient, as_operator: Headers, as_admin: Headers
    ) -> None:
        for path in ("/v1/admin/jobs/job_1", "/v1/admin/jobs/job_2", "/wp-login.php", "/v1/nowhere"):
            client.get(path, headers=as_operator)
        client.request("BREW", "/v1/health")
        found = _scrape(client, as_operator)
        route = "/v1/admin/jobs/{job_id}"
        assert _value(found, "tailorbird_http_requests_total", route=route, method="GET", status="404") == 2
        assert _value(found, "tailorbird_http_requests_total", route="other", method="GET", status="404") == 2
        assert _value(found, "tailorbird_http_request_seconds_count", route=route, method="GET") == 2
        methods = {dict(labels)["method"] for name, labels in found if name == "tailorbird_http_requests_total"}
        assert methods == {"GET", "OTHER"}


@pytest.mark.stack
class TestTheLedger:
    def test_days_that_are_over_are_added_once(self, database: Database, workspace_id: str) -> None:
        totals = LedgerTotals()
        assert self._read(database, totals) == {}
        _charge(database, workspace_id, "run_today", 5)
        assert self._read(database, totals) == {LedgerKind.TRAINING: 5}
        with database.session(SYSTEM) as session:
            old = LedgerEntry(
                id="led_00000000000000000000000001",
                workspace_id=workspace_id,
                kind=LedgerKind.TRAINING,
                source_id="run_long_ago",
                amount_micros=100,
                seconds=1,
                tokens=1,
            )
            session.add(old)
        # a new process reads all of it; the old one has closed the books of that day
        assert self._read(database, LedgerTotals()) == {LedgerKind.TRAINING: 105}
        assert self._read(database, totals) == {LedgerKind.TRAINING: 5}

    def test_a_day_that_ends_moves_into_what_is_kept(
        self, database: Database, workspace_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        totals = LedgerTotals()
        _charge(database, workspace_id, "run_1", 5)
        assert self._read(database, totals) == {LedgerKind.TRAINING: 5}
        with database.session(SYSTEM) as session:
            tomorrow = session.scalars(text("select now() + interval '1 minute'")).one()
        monkeypatch.setattr(MetricsRepository, "closed_until", lambda _self: tomorrow)
        assert self._read(database, totals) == {LedgerKind.TRAINING: 5}
        assert self._read(database, totals) == {LedgerKind.TRAINING: 5}

    def _read(self, database: Database, totals: LedgerTotals) -> dict[LedgerKind, int]:
        with database.session(SYSTEM) as session:
            return dict(totals.read(session))


def test_a_client_that_left_before_its_answer_is_counted_as_such() -> None:
    metrics = HttpMetrics()
    metrics.note(route="/v1/files", method="POST", status=499, seconds=1.0)
    labels = {"route": "/v1/files", "method": "POST", "status": "499"}
    assert metrics.registry.get_sample_value("tailorbird_http_requests_total", labels) == 1


def _scrape(client: TestClient, headers: Headers) -> Samples:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def _charge(database: Database, workspace_id: str, source_id: str, amount_micros: int) -> None:
    with database.session(SYSTEM) as session:
        usage.record(
            session,
            workspace_id=workspace_id,
            kind=LedgerKind.TRAINING,
            source_id=source_id,
            amount_micros=amount_micros,
            seconds=1,
            tokens=1,
            created_by=None,
        )
