"""Versions that are made by changes: API, job, a real child process, and what each version then holds."""

from typing import Any

import pyarrow.parquet as pq
import pytest

from core.backends.registry import Backends
from core.datasets.table import repository as table
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from tests.conftest import Headers
from tests.worker.tasks.versions_bench import Bench, edit
from worker.app import work_once
from worker.tasks import derivations as task
from worker.tasks import sweeping

pytestmark = pytest.mark.stack


def found_in(version: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in version["health"]["findings"]}


class TestAChange:
    def test_touches_only_the_rows_that_it_changes(self, bench: Bench) -> None:
        before, num_stored = bench.rows(bench.first), bench.num_stored()
        second = bench.change(bench.first, edit(5, "question 5", "another answer"))
        assert (second["number"], second["parent_id"], second["num_changed"]) == (2, bench.first["id"], 1)
        assert bench.num_stored() == num_stored + 1
        after = bench.rows(second)
        assert after[5]["messages"][1]["content"] == "another answer"
        assert (after[5]["is_edited"], after[5]["number"]) == (True, 5)
        assert {number: row | {"id": ""} for number, row in after.items() if number != 5} == {
            number: row | {"id": ""} for number, row in before.items() if number != 5
        }
        assert bench.rows(bench.first) == before
        assert second["content_sha256"] != bench.first["content_sha256"]

    def test_of_many_kinds_comes_to_one_version_in_their_order(self, bench: Bench) -> None:
        second = bench.change(
            bench.first,
            {"type": "exclude_rows", "finding": "duplicate"},
            {"type": "apply_fix", "finding": "card_number"},
            {"type": "tag_rows", "numbers": [2, 3], "tag": "parking"},
            {"type": "untag_rows", "numbers": [3], "tag": "parking"},
            {"type": "exclude_rows", "numbers": [7, 8]},
            {"type": "include_rows", "numbers": [8]},
        )
        rows = bench.rows(second)
        assert [number for number, row in rows.items() if row["is_excluded"]] == [7, 42]
        assert rows[43]["messages"][0]["content"] == "My card is [card number]"
        assert (rows[2]["tags"], rows[3]["tags"]) == (["parking"], [])
        assert {"card_number", "duplicate"} & found_in(second) == set()
        assert (second["num_rows"], second["num_visible"], second["num_problems"]) == (40, 42, 0)
        assert not {7, 42} & bench.learned(second).keys()

    def test_of_a_first_row_makes_its_repetition_no_duplicate_any_more(self, bench: Bench) -> None:
        second = bench.change(bench.first, {"type": "exclude_rows", "numbers": [2]})
        assert "duplicate" in found_in(bench.first) - found_in(second)
        assert bench.rows(second)[42]["problems"] == []
        third = bench.change(second, {"type": "include_rows", "numbers": [2]})
        assert third["content_sha256"] == bench.first["content_sha256"]
        assert bench.learned(third) == bench.learned(bench.first)
        assert {n: r["split"] for n, r in bench.rows(third).items()} == {
            n: r["split"] for n, r in bench.rows(bench.first).items()
        }

    def test_of_the_split_holds_out_what_was_asked_for(self, bench: Bench) -> None:
        second = bench.change(bench.first, {"type": "resplit", "strategy": "last", "fraction": 0.25})
        heldout = [number for number, row in bench.rows(second).items() if row["split"] == "heldout"]
        # the duplicate of row 2 stays on the side of row 2
        assert heldout == [*range(33, 42), 43]
        assert second["num_heldout"] == 10

    def test_can_be_undone_and_only_what_differs_is_entered(self, bench: Bench) -> None:
        second = bench.change(bench.first, edit(5, "question 5", "another"), edit(6, "question 6", "another"))
        third = bench.change(second, edit(6, "question 6", "yet another"))
        num_stored = bench.num_stored()
        fourth = bench.change(third, {"type": "restore", "number": 1})
        assert bench.num_stored() == num_stored + 2
        assert (fourth["num_changed"], fourth["content_sha256"]) == (2, bench.first["content_sha256"])
        assert bench.learned(fourth) == bench.learned(bench.first)
        assert bench.learned(third)[6] == "yet another"
        assert bench.learned(second)[6] == "another"
        fifth = bench.change(fourth, {"type": "restore", "number": 3})
        assert bench.learned(fifth) == bench.learned(third)

    def test_is_there_again_after_the_file_was_read_anew(self, bench: Bench) -> None:
        second = bench.change(bench.first, edit(5, "question 5", "another"))
        url = f"/v1/datasets/{bench.dataset['id']}/versions"
        mapping = {"question": "answer", "answer": "question"}
        third = bench.work(bench.client.post(url, headers=bench.headers, json={"mapping": mapping}).json())
        assert bench.learned(third)[5] == "question 5"
        fourth = bench.change(third, {"type": "restore", "number": 2})
        assert bench.learned(fourth) == bench.learned(second)
        fifth = bench.change(fourth, edit(6, "question 6", "mine"))
        assert bench.learned(fifth) == bench.learned(second) | {6: "mine"}
        listed = bench.client.get(url, headers=bench.headers).json()["data"]
        assert [(one["number"], one["created_by_name"]) for one in listed] == [
            (number, listed[0]["created_by_name"]) for number in (5, 4, 3, 2, 1)
        ]
        assert [one["changes"] and one["changes"][0]["type"] for one in listed] == [
            "edit_row", "restore", None, "edit_row", None,
        ]  # fmt: skip


class TestWhatCannotBeDone:
    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ([{"type": "exclude_rows", "numbers": [99]}], 404, "row_not_found"),
            ([edit(1, "a", "b")], 404, "row_not_found"),
            ([{"type": "edit_row", "number": 2, "content": {"text": "no conversation"}}], 400, "mixed_kinds"),
            ([{"type": "edit_row", "number": 2, "content": {"messages": [{"role": "user", "content": "?"}]}}],
             400, "messages_malformed"),
            ([{"type": "apply_fix", "finding": "too_long"}], 404, "finding_not_there"),
            ([{"type": "restore", "number": 1}], 404, "dataset_version_not_found"),
            ([{"type": "exclude_rows"}], 400, "invalid_value"),
            ([{"type": "make_better"}], 400, "invalid_value"),
            ([], 400, "invalid_value"),
        ],
    )  # fmt: skip
    def test_is_refused(self, bench: Bench, changes: list[dict[str, Any]], status: int, code: str) -> None:
        refused = bench.ask(bench.first, *changes)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code), refused.text

    def test_a_change_of_what_is_not_the_newest_any_more_says_who_changed_what(self, bench: Bench) -> None:
        made = bench.ask(bench.first, edit(5, "a", "b")).json()
        busy = bench.ask(bench.first, edit(6, "a", "b"))
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "dataset_version_in_progress")
        second = bench.work(made)
        stale = bench.ask(bench.first, edit(6, "a", "b")).json()["error"]
        assert (stale["code"], stale["details"]["version_id"]) == ("dataset_changed", second["id"])
        assert stale["details"]["changes"] == ["edit_row"]
        assert stale["details"]["created_by_name"]

    def test_too_little_is_left_and_nothing_of_it_stays(self, bench: Bench, backends: Backends) -> None:
        num_stored = bench.num_stored()
        made = bench.ask(bench.first, {"type": "exclude_rows", "numbers": list(range(2, 40))}).json()
        assert work_once(bench.context, QueueName.IO)
        failed = bench.client.get(f"/v1/dataset_versions/{made['id']}", headers=bench.headers).json()
        assert (failed["status"], failed["error"]["code"]) == ("failed", "too_few_rows")
        assert bench.num_stored() == num_stored
        third = bench.change(bench.first, edit(5, "question 5", "another"))
        assert third["number"] == 3

    def test_a_job_that_ends_without_its_worker_takes_back_what_it_staged(
        self, bench: Bench, database: Database
    ) -> None:
        before, num_stored = bench.rows(bench.first), bench.num_stored()
        made = bench.ask(bench.first, edit(5, "question 5", "another")).json()
        with database.session(SYSTEM) as session:
            lease = jobs.claim(session, queue_name=QueueName.IO, worker_id="w", lease_s=60)
        assert lease is not None
        with database.session(workspace_scope(bench.workspace_id)) as session:
            work = task.derivation.load(session, lease)
            row = task.derivation.row_of({**_stored(bench), "num_tokens": 3})
            task.derivation.stage(session, lease, work.version, [row], lease_s=60)
        assert bench.num_stored() == num_stored + 1
        assert bench.rows(bench.first) == before
        with database.session(SYSTEM) as session:
            task.settle(session, session.get_one(Job, made["job_id"]))
        assert bench.num_stored() == num_stored
        assert bench.rows(bench.first) == before

    def test_more_than_one_statement_can_bear_is_taken_back_in_portions(
        self, bench: Bench, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the sweeper; and by the next version in any case, which else would not see what the failed one removed."""
        monkeypatch.setattr(table, "ROWS_PER_STATEMENT", 2)
        before, num_stored = bench.rows(bench.first), bench.num_stored()
        for swept in (True, False):
            made = bench.ask(bench.first, edit(5, "question 5", "another")).json()
            with database.session(SYSTEM) as session:
                lease = jobs.claim(session, queue_name=QueueName.IO, worker_id="w", lease_s=60)
            assert lease is not None
            with database.session(workspace_scope(bench.workspace_id)) as session:
                work = task.derivation.load(session, lease)
                staged = [task.derivation.row_of(_stored(bench, number) | {"num_tokens": 3}) for number in range(5, 12)]
                task.derivation.stage(session, lease, work.version, staged, lease_s=60)
            with database.session(SYSTEM) as session:
                task.settle(session, session.get_one(Job, made["job_id"]))
            assert bench.num_stored() == num_stored + 5
            if swept:
                sweeping.sweep_rows(database)
                assert bench.num_stored() == num_stored
        after = bench.change(bench.first, edit(20, "question 20", "another"))
        assert bench.num_stored() == num_stored + 1
        rows = bench.rows(after)
        assert rows.keys() == before.keys()
        assert rows[7] | {"id": ""} == before[7] | {"id": ""}


def _name_of(bench: Bench) -> str:
    url = f"/v1/datasets/{bench.dataset['id']}/draft"
    found: str = bench.client.get(url, headers=bench.headers).json()["changes"][0]["created_by_name"]
    return found


def _stored(bench: Bench, number: int = 5) -> dict[str, Any]:
    row = bench.rows(bench.first)[number]
    names = ("number", "split", "messages", "tools", "chosen", "rejected", "text", "problems", "is_edited", "tags")
    return {name: row[name] for name in names} | {"excluded_from": None}


class TestADraft:
    def test_collects_changes_until_they_are_saved(self, bench: Bench, as_viewer: Headers) -> None:
        url = f"/v1/datasets/{bench.dataset['id']}/draft"

        def send(change: dict[str, Any], headers: Headers = bench.headers) -> Any:  # noqa: ANN401 - a response
            body = {"version_id": bench.first["id"], "change": change}
            return bench.client.post(f"{url}/changes", headers=headers, json=body)

        assert send(edit(5, "a", "b"), as_viewer).status_code == 403
        assert send(edit(5, "a", "b")).status_code == 200
        assert send({"type": "exclude_rows", "numbers": [6]}).status_code == 200
        assert send({"type": "restore", "number": 1}).status_code == 400
        undone = bench.client.post(f"{url}/undo", headers=bench.headers).json()
        assert [entry["change"]["type"] for entry in undone["changes"]] == ["edit_row"]
        seen = bench.client.get(url, headers=as_viewer).json()
        assert (seen["version_id"], seen["is_stale"]) == (bench.first["id"], False)
        assert bench.rows(bench.first)[5]["messages"][1]["content"] == "answer 5"
        drawn = bench.rows(bench.first, draft=True)
        assert drawn.pop(5)["messages"][1]["content"] == "b"
        assert drawn == {number: row for number, row in bench.rows(bench.first).items() if number != 5}
        second = bench.work(bench.client.post(f"{url}/save", headers=bench.headers).json())
        assert bench.learned(second)[5] == "b"
        assert bench.client.get(url, headers=as_viewer).json()["changes"] == []
        empty = bench.client.post(f"{url}/save", headers=bench.headers)
        assert (empty.status_code, empty.json()["error"]["code"]) == (409, "draft_empty")

    def test_keeps_an_edit_from_what_somebody_else_edited_meanwhile(self, bench: Bench) -> None:
        url = f"/v1/datasets/{bench.dataset['id']}/draft/changes"
        seen = bench.rows(bench.first)[5]

        def send(answer: str, saw: dict[str, Any]) -> Any:  # noqa: ANN401 - a response
            change = edit(5, "question 5", answer)
            body = {"version_id": bench.first["id"], "change": change, "seen": {"messages": saw["messages"]}}
            return bench.client.post(url, headers=bench.headers, json=body)

        assert send("the first one's", seen).status_code == 200
        late = send("the second one's", seen)
        assert (late.status_code, late.json()["error"]["code"]) == (409, "row_changed")
        assert late.json()["error"]["details"] == {"number": 5, "created_by_name": _name_of(bench)}
        row_url = f"/v1/dataset_versions/{bench.first['id']}/rows/5"
        now = bench.client.get(row_url, headers=bench.headers, params={"draft": True}).json()
        assert now["messages"][1]["content"] == "the first one's"
        assert send("the second one's", now).status_code == 200

    def test_of_an_older_version_can_only_be_discarded(self, bench: Bench) -> None:
        url = f"/v1/datasets/{bench.dataset['id']}/draft"
        body = {"version_id": bench.first["id"], "change": edit(5, "a", "b")}
        bench.client.post(f"{url}/changes", headers=bench.headers, json=body)
        second = bench.change(bench.first, edit(6, "a", "b"))
        assert bench.client.get(url, headers=bench.headers).json()["is_stale"]
        stale = bench.client.post(f"{url}/save", headers=bench.headers)
        assert (stale.status_code, stale.json()["error"]["code"]) == (409, "dataset_changed")
        body = {"version_id": second["id"], "change": edit(7, "a", "b")}
        refused = bench.client.post(f"{url}/changes", headers=bench.headers, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "draft_stale")
        assert bench.client.delete(url, headers=bench.headers).status_code == 200
        assert bench.client.post(f"{url}/changes", headers=bench.headers, json=body).status_code == 200


class TestFiles:
    def test_every_version_lies_as_parquet_beside_a_manifest_that_proves_it(
        self,
        bench: Bench,
        backends: Backends,
        tmp_path: Any,  # noqa: ANN401 - a Path
    ) -> None:
        second = bench.change(bench.first, edit(5, "question 5", "another"))
        third = bench.change(second, {"type": "restore", "number": 1})
        prefix = f"workspaces/{bench.workspace_id}/datasets/{bench.dataset['id']}/versions/"
        for version, answer in ((bench.first, "answer 5"), (second, "another")):
            keys = backends.blobs.keys(f"{prefix}{version['id']}/")
            assert [key.rpartition("/")[2] for key in keys] == ["manifest.json", "rows.parquet"]
            backends.blobs.download(keys[1], tmp_path / "rows.parquet")
            table = pq.read_table(tmp_path / "rows.parquet").to_pylist()
            assert [row["number"] for row in table] == list(range(2, 44))
            assert table[3]["messages"][1]["content"] == answer
        # the restored one names the files of the first
        assert [key.rpartition("/")[2] for key in backends.blobs.keys(f"{prefix}{third['id']}/")] == ["manifest.json"]
