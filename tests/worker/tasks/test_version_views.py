"""What can be seen of versions: windows of rows, what differs, downloads."""

import csv
import io
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from python_calamine import CalamineWorkbook

from tests.conftest import Headers
from tests.worker.tasks.versions_bench import Bench, edit

pytestmark = pytest.mark.stack


@pytest.fixture
def second(bench: Bench) -> dict[str, Any]:
    return bench.change(
        bench.first,
        edit(5, "question 5", "=cmd|' /C calc'!A0"),
        {"type": "exclude_rows", "numbers": [6]},
        {"type": "tag_rows", "numbers": [7, 8], "tag": "parking"},
    )


class TestRows:
    def test_are_filtered_and_counted(self, bench: Bench, second: dict[str, Any]) -> None:
        def ask(**params: Any) -> tuple[list[int], int | None]:  # noqa: ANN401 - query values
            url = f"/v1/dataset_versions/{second['id']}/rows"
            found = bench.client.get(url, headers=bench.headers, params={"limit": 100, **params}).json()
            return [row["number"] for row in found["data"]], found["total"]

        assert ask(filter="edited") == ([5], 1)
        assert ask(filter="excluded") == ([6], 1)
        assert ask(filter="left_out") == ([6], 1)
        assert ask(tag="parking") == ([7, 8], 2)
        assert ask(tag="park") == ([], 0)
        assert ask(finding="card_number") == ([43], 1)
        assert ask(finding="duplicate") == ([42], 1)
        assert ask(filter="problems") == ([42, 43], 2)
        assert ask(q="QUESTION 39") == ([39], None)
        assert ask(q="=cmd|' /c calc'!a0") == ([5], None)
        assert ask()[1] == second["num_visible"] == 42
        assert ask(min_tokens=1)[1] == ask(max_tokens=10_000)[1] == 42
        longest = max(row["num_tokens"] for row in bench.rows(second).values())
        assert ask(min_tokens=longest, order="-num_tokens")[1] == ask(filter="train", min_tokens=longest)[1] == 1
        assert ask(max_tokens=longest - 1)[1] == 41

    def test_are_named_all_at_once_for_what_is_done_to_many(self, bench: Bench, second: dict[str, Any]) -> None:
        url = f"/v1/dataset_versions/{second['id']}"
        found = bench.client.get(f"{url}/row_numbers", headers=bench.headers, params={"tag": "parking"}).json()
        assert (found["numbers"], found["has_more"]) == ([7, 8], False)
        everything = bench.client.get(f"{url}/row_numbers", headers=bench.headers, params={"limit": 1}).json()
        assert everything["numbers"] == list(range(2, 44))
        tags = bench.client.get(f"{url}/tags", headers=bench.headers).json()["tags"]
        assert tags == [{"tag": "parking", "num_rows": 2}]

    @pytest.mark.parametrize("order", ["number", "-number", "num_tokens", "-num_tokens"])
    def test_stand_where_a_jump_finds_them(self, bench: Bench, order: str) -> None:
        url = f"/v1/dataset_versions/{bench.first['id']}/rows"
        for row_filter in ("all", "train"):
            wanted = {"order": order, "filter": row_filter}
            for number in (3, 17, 41):
                place = bench.client.get(f"{url}/{number}/place", headers=bench.headers, params=wanted).json()["place"]
                params = {**wanted, "offset": place, "limit": 1}
                there = bench.client.get(url, headers=bench.headers, params=params).json()["data"][0]
                known = bench.rows(bench.first)[number]
                assert there["number"] == number or known["split"] != "train" != row_filter

    @pytest.mark.parametrize("order", ["number", "-number", "num_tokens", "-num_tokens"])
    def test_pages_and_jumps_meet_every_row_once(self, bench: Bench, order: str) -> None:
        url = f"/v1/dataset_versions/{bench.first['id']}/rows"

        def ask(**params: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - query values
            found = bench.client.get(url, headers=bench.headers, params={"order": order, **params}).json()
            return [*found["data"]]

        whole = ask(limit=100)
        assert sorted(row["number"] for row in whole) == list(range(2, 44))
        key = "number" if "number" in order else "num_tokens"
        assert [row[key] for row in whole] == sorted((row[key] for row in whole), reverse=order[0] == "-")
        paged, after = [], {}
        while page := ask(limit=9, **after):
            paged += page
            after = {"after": page[-1]["id"]}
        assert paged == whole
        assert ask(limit=5, offset=20) == whole[20:25]

    def test_one_is_found_by_its_number(self, bench: Bench, as_viewer: Headers) -> None:
        url = f"/v1/dataset_versions/{bench.first['id']}/rows"
        assert bench.client.get(f"{url}/5", headers=as_viewer).json()["messages"][1]["content"] == "answer 5"
        absent = bench.client.get(f"{url}/99", headers=as_viewer)
        assert (absent.status_code, absent.json()["error"]["code"]) == (404, "row_not_found")


class TestADiff:
    def test_shows_each_row_that_differs_before_and_after(self, bench: Bench, second: dict[str, Any]) -> None:
        url = f"/v1/dataset_versions/{second['id']}/diff"
        found = bench.client.get(url, headers=bench.headers).json()
        assert [(row["number"], row["kind"]) for row in found["data"]] == [
            (5, "edited"), (6, "excluded"), (7, "tagged"), (8, "tagged"),
        ]  # fmt: skip
        assert found["counts"] == {"edited": 1, "excluded": 1, "tagged": 2}
        edited = found["data"][0]
        assert edited["before"]["messages"][1]["content"] == "answer 5"
        assert edited["after"]["messages"][1]["content"] == "=cmd|' /C calc'!A0"
        assert (found["before"]["id"], found["after"]["id"]) == (bench.first["id"], second["id"])
        page = bench.client.get(url, headers=bench.headers, params={"limit": 3}).json()
        rest = bench.client.get(url, headers=bench.headers, params={"after": page["last_id"]}).json()
        assert [row["number"] for row in page["data"] + rest["data"]] == [5, 6, 7, 8]
        assert page["has_more"]

    def test_backwards_and_over_several_versions(self, bench: Bench, second: dict[str, Any]) -> None:
        third = bench.change(second, edit(9, "question 9", "x"), {"type": "include_rows", "numbers": [6]})

        def ask(after: dict[str, Any], before: dict[str, Any]) -> dict[str, int]:
            url = f"/v1/dataset_versions/{after['id']}/diff"
            counts: dict[str, int] = bench.client.get(
                url, headers=bench.headers, params={"before": before["id"]}
            ).json()["counts"]
            return counts

        assert ask(third, bench.first) == ask(bench.first, third) == {"edited": 2, "tagged": 2}
        assert ask(second, third) == {"edited": 1, "excluded": 1}
        fourth = bench.change(third, {"type": "restore", "number": 1})
        assert ask(fourth, bench.first) == {}

    def test_of_two_readings_compares_row_by_row(self, bench: Bench) -> None:
        url = f"/v1/datasets/{bench.dataset['id']}/versions"
        mapping = {"question": "answer", "answer": "question"}
        other = bench.work(bench.client.post(url, headers=bench.headers, json={"mapping": mapping}).json())
        url = f"/v1/dataset_versions/{other['id']}/diff"
        found = bench.client.get(url, headers=bench.headers).json()
        assert (found["counts"], found["before"]["id"]) == ({"edited": 42}, bench.first["id"])
        first = f"/v1/dataset_versions/{bench.first['id']}/diff"
        assert bench.client.get(first, headers=bench.headers).json()["counts"] == {}

    def test_of_two_datasets_is_refused(self, bench: Bench) -> None:
        file_id = bench.dataset["file_id"]
        made = bench.client.post("/v1/datasets", headers=bench.headers, json={"file_id": file_id}).json()
        other = bench.work(made["latest_version"])
        url = f"/v1/dataset_versions/{other['id']}/diff"
        refused = bench.client.get(url, headers=bench.headers, params={"before": bench.first["id"]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "nothing_to_compare")


class TestADownload:
    def test_as_a_table_runs_nothing_in_a_spreadsheet(self, bench: Bench, second: dict[str, Any]) -> None:
        url = f"/v1/dataset_versions/{second['id']}/content"
        answer = bench.client.get(url, headers=bench.headers, params={"format": "csv"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="rows v2.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert [row["number"] for row in rows] == [str(number) for number in range(2, 44) if number != 6]
        assert rows[3]["answer"] == "'=cmd|' /C calc'!A0"
        assert (rows[0]["question"], rows[0]["answer"], rows[4]["tags"]) == ("question 2", "answer 2", "parking")
        as_workbook = bench.client.get(url, headers=bench.headers, params={"format": "xlsx"})
        assert as_workbook.headers["content-disposition"] == 'attachment; filename="rows v2.xlsx"'
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(as_workbook.content)).get_sheet_by_index(0)
        # the same cells, and no mark before what is a text anyway
        assert [row[7] for row in sheet.to_python()[1:]] == [row["answer"].removeprefix("'") for row in rows]

    def test_as_lines_is_what_it_was_read_from(self, bench: Bench, second: dict[str, Any]) -> None:
        url = f"/v1/dataset_versions/{second['id']}/content"
        answer = bench.client.get(url, headers=bench.headers, params={"split": "heldout"})
        lines = [orjson.loads(line) for line in answer.content.splitlines()]
        assert len(lines) == second["num_heldout"]
        assert [message["role"] for message in lines[0]["messages"]] == ["user", "assistant"]
        whole = bench.client.get(url, headers=bench.headers).content
        again = bench.client.post("/v1/files", headers=bench.headers, files={"file": ("again.jsonl", whole)}).json()
        made = bench.client.post("/v1/datasets", headers=bench.headers, json={"file_id": again["id"]}).json()
        assert bench.work(made["latest_version"])["content_sha256"] == second["content_sha256"]

    def test_as_parquet_has_every_row(self, bench: Bench, second: dict[str, Any], as_stranger: Headers) -> None:
        url = f"/v1/dataset_versions/{second['id']}/content"
        answer = bench.client.get(url, headers=bench.headers, params={"format": "parquet"})
        table = pq.read_table(io.BytesIO(answer.content))
        assert table.num_rows == second["num_visible"]
        assert bench.client.get(url, headers=as_stranger).status_code == 404
        assert bench.client.get(url).status_code == 401
