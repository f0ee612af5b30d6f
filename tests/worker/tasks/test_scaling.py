"""A study around a trainer that only pretends: real database, real child processes."""

import json
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.db.session import SYSTEM, workspace_scope
from core.jobs.kinds import QueueName
from core.usage.models import LedgerEntry
from tests.conftest import Headers
from tests.factories.training import NUM_HELDOUT, NUM_TRAIN, make_version, put_base_model_on_disk
from tests.factories.waiting import eventually
from worker.app import work_once
from worker.context import WorkContext

pytestmark = pytest.mark.stack

PRETEND = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
spec = json.loads((folder / "spec.json").read_text())
rows = [json.loads(line)["number"] for line in (folder / "train.jsonl").read_text().splitlines()]
heldout = [json.loads(line)["number"] for line in (folder / "heldout.jsonl").read_text().splitlines()]
home = folder.parents[3]
def say(**line):
    with (folder / "events.jsonl").open("a") as events:
        events.write(json.dumps(line) + "\\n")
with (home / "seen.jsonl").open("a") as out:
    out.write(json.dumps({"rows": rows, "heldout": heldout, "spec": spec}) + "\\n")
say(type="progress", step=1, total_steps=4, seconds_left=3, billable_s=1.0)
"""
END = """
losses = [LOSS(len(rows)) * (1 + number / 100) for number in heldout]
(folder / "heldout_losses.json").write_text(json.dumps({"losses": losses, "weights": [2.0] * len(losses)}))
say(type="result", data={"billable_s": 36.0, "base_heldout_loss": 5.0, "trained_tokens": 7})
"""
HALVED = "LOSS = lambda num_rows: 90 / num_rows\n"
WAIT = """
(home / "waits").touch()
while True:
    time.sleep(0.05)
"""


class Studio:
    """A version with rows, a study of it over the API, and the worker."""

    def __init__(self, context: WorkContext, client: TestClient, headers: Headers, workspace_id: str) -> None:
        self.script = context.settings.home / "trainer.py"
        self.context = replace(context, trainer_argv=(sys.executable, str(self.script)))
        self.client, self.headers, self.workspace_id = client, headers, workspace_id
        put_base_model_on_disk(context.settings)
        with context.database.session(workspace_scope(workspace_id)) as session:
            self.version_id = make_version(session, workspace_id, with_rows=True).id

    def trainer(self, script: str) -> None:
        self.script.write_text(PRETEND + script)

    def ask(self) -> str:
        made = self.client.post(
            f"/v1/dataset_versions/{self.version_id}/scaling_studies", headers=self.headers, json={}
        )
        assert made.status_code == 200, made.text
        return str(made.json()["id"])

    def look(self, study_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/v1/scaling_studies/{study_id}", headers=self.headers).json()
        return found

    def cancel(self, study_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.post(f"/v1/scaling_studies/{study_id}/cancel", headers=self.headers).json()
        return found

    def work(self) -> None:
        assert work_once(self.context, QueueName.CPU)

    def working(self) -> threading.Thread:
        thread = threading.Thread(target=self.work)
        thread.start()
        return thread

    def seen(self) -> list[dict[str, Any]]:
        lines = (self.context.settings.home / "seen.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def ledger(self) -> list[LedgerEntry]:
        with self.context.database.session(SYSTEM) as session:
            return list(session.query(LedgerEntry))


@pytest.fixture
def studio(context: WorkContext, client: TestClient, as_member: Headers, workspace_id: str) -> Studio:
    return Studio(context, client, as_member, workspace_id)


def test_three_nested_parts_are_trained_alike_judged_together_and_charged_once(studio: Studio) -> None:
    studio.trainer(HALVED + END)
    study_id = studio.ask()
    assert studio.look(study_id)["status"] == "queued"
    studio.work()
    found, parts = studio.look(study_id), studio.seen()
    quarter, half, whole = (set(part["rows"]) for part in parts)
    assert (len(quarter), len(half), len(whole)) == (NUM_TRAIN // 4, NUM_TRAIN // 2, NUM_TRAIN)
    assert quarter < half < whole
    assert len({tuple(part["heldout"]) for part in parts}) == 1
    assert len(parts[0]["heldout"]) == NUM_HELDOUT
    # as long: what is seen is about the same, with the same seed, rate and batches
    seen = [len(part["rows"]) * part["spec"]["num_epochs"] for part in parts]
    assert max(seen) - min(seen) <= 0.05 * max(seen)
    assert (
        len({(part["spec"]["seed"], part["spec"]["learning_rate"], part["spec"]["batch_size"]) for part in parts}) == 1
    )
    assert all(part["spec"]["max_seen_tokens"] is None for part in parts)

    assert (found["status"], found["progress"], found["base_loss"]) == ("succeeded", 1.0, 5.0)
    assert [point["num_rows"] for point in found["points"]] == [22, 45, 90]
    # 90 / n: twice as many rows halve it
    assert found["fit"]["exponent"]["value"] == pytest.approx(1, abs=1e-6)
    assert found["result"]["num_more"] == NUM_TRAIN
    assert found["result"]["gain"]["value"] == pytest.approx(0.5)
    assert found["result"]["verdict"] == "more_would_help"
    assert found["result"]["sentence"].startswith(
        "More would help: about 90 more examples should bring the error down by"
    )
    assert [(entry.source_id, entry.seconds, entry.tokens) for entry in studio.ledger()] == [(study_id, 108.0, 21)]
    assert found["cost_usd"] > 0
    assert list(studio.context.settings.runs_dir.iterdir()) == []


def test_whoever_goes_on_with_it_begins_with_the_part_that_is_not_done(studio: Studio) -> None:
    studio.trainer(
        HALVED + 'if len(rows) == 90 and not (home / "waits").exists():' + WAIT.replace("\n", "\n    ") + "\n" + END
    )
    study_id = studio.ask()
    working = studio.working()
    eventually((studio.context.settings.home / "waits").exists, timeout_s=30)
    eventually(lambda: studio.look(study_id)["progress"] == pytest.approx((2 + 1 / 4) / 3), timeout_s=30)
    during = studio.look(study_id)
    assert ([point["num_rows"] for point in during["points"]], during["learning_from"]) == ([22, 45], 90)
    assert during["result"] is None
    studio.context.stopping.set()
    working.join(timeout=30)
    assert studio.look(study_id)["status"] == "queued"
    studio.context = replace(studio.context, stopping=threading.Event())
    studio.work()
    assert [len(part["rows"]) for part in studio.seen()] == [22, 45, 90, 90]
    assert studio.look(study_id)["status"] == "succeeded"
    # what was lost is not paid for
    assert [entry.seconds for entry in studio.ledger()] == [108.0]


def test_cancelled_it_pays_for_what_it_used_and_says_no_verdict(studio: Studio) -> None:
    studio.trainer(HALVED + "if len(rows) == 45:" + WAIT.replace("\n", "\n    ") + "\n" + END)
    study_id = studio.ask()
    working = studio.working()
    eventually((studio.context.settings.home / "waits").exists, timeout_s=30)
    assert studio.cancel(study_id)["is_cancelling"]
    assert studio.cancel(study_id)["is_cancelling"]
    working.join(timeout=30)
    found = studio.look(study_id)
    assert (found["status"], found["result"], len(found["points"])) == ("cancelled", None, 1)
    assert [entry.seconds for entry in studio.ledger()] == [37.0]


def test_a_training_that_fails_fails_the_study_and_is_free(studio: Studio) -> None:
    studio.trainer('say(type="error", code="no_usable_rows", message="No example is left.")\nsys.exit(2)')
    study_id = studio.ask()
    studio.work()
    found = studio.look(study_id)
    assert (found["status"], found["cost_usd"]) == ("failed", 0)
    assert found["error"]["message"]
    assert studio.ledger() == []


@pytest.mark.parametrize("told", ["", '{"losses": [NaN], "weights": [-1]}'])
def test_a_trainer_that_says_nonsense_is_not_believed(studio: Studio, told: str) -> None:
    studio.trainer(f'(folder / "heldout_losses.json").write_text({told!r})\nsay(type="result", data={{}})')
    study_id = studio.ask()
    studio.work()
    found = studio.look(study_id)
    # a fault of ours: tried again
    assert (found["status"], found["result"], found["waits_for"]["reason"]) == ("queued", None, "no_worker")


def test_of_one_version_there_is_one_study_at_a_time_and_a_waiting_one_is_cancelled_at_once(studio: Studio) -> None:
    first = studio.ask()
    url = f"/v1/dataset_versions/{studio.version_id}/scaling_studies"
    again = studio.client.post(url, headers=studio.headers, json={})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "scaling_study_in_progress")
    assert studio.cancel(first)["status"] == "cancelled"
    second = studio.ask()
    listed = studio.client.get(url, headers=studio.headers).json()
    assert [one["id"] for one in listed["data"]] == [second, first]
    assert studio.look(first)["cost_usd"] == 0


def test_the_price_is_known_before_and_too_few_rows_are_refused(studio: Studio) -> None:
    url = f"/v1/dataset_versions/{studio.version_id}/scaling_estimate"
    told = studio.client.get(url, headers=studio.headers).json()
    assert told["parts"] == [22, 45, 90]
    assert 0 < told["cost_usd_low"] <= told["cost_usd"] <= told["cost_usd_high"]
    assert studio.look(studio.ask())["estimated_cost_usd"] == told["cost_usd"]
    with studio.context.database.session(workspace_scope(studio.workspace_id)) as session:
        few = make_version(session, studio.workspace_id, num_train=39, num_heldout=10).id
    url = f"/v1/dataset_versions/{few}/scaling_studies"
    listed = studio.client.get(url, headers=studio.headers).json()
    assert (listed["data"], listed["min_train"], listed["min_heldout"]) == ([], 40, 10)
    refused = studio.client.post(url, headers=studio.headers, json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_few_rows_to_judge")
