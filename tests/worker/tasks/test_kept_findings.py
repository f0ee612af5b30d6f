"""What was kept with a reason, in the versions that are made of the one of which it was decided."""

from typing import Any

import pytest

from tests.worker.tasks.versions_bench import Bench, edit

pytestmark = pytest.mark.stack

Made = dict[str, Any]
GROUND = "Test numbers of our bank."
CARD = 43
ANOTHER = edit(5, "My card is 4111 1111 1111 1111", "Never tell")


def keep(bench: Bench, version: Made, code: str = "card_number", ground: str = GROUND) -> Made:
    url = f"/v1/dataset_versions/{version['id']}/findings/{code}/keep"
    done = bench.client.post(url, headers=bench.headers, json={"ground": ground})
    assert done.status_code == 200, done.text
    kept = kept_in(bench, version, code)
    assert kept is not None
    return kept


def kept_in(bench: Bench, version: Made, code: str = "card_number") -> Made | None:
    """What is told of a finding that is there."""
    found = bench.client.get(f"/v1/dataset_versions/{version['id']}", headers=bench.headers).json()
    (kept,) = [finding["kept"] for finding in found["health"]["findings"] if finding["code"] == code]
    assert kept is None or isinstance(kept, dict)
    return kept


def audited(bench: Bench) -> list[tuple[str, Made]]:
    params = {"action": "dataset_version.findings_kept_on"}
    found = bench.client.get("/v1/audit_events", headers=bench.headers, params=params).json()["data"]
    return [(event["target_id"], event["details"]) for event in found]


def test_a_reason_holds_on_after_other_fixes(bench: Bench) -> None:
    decided = keep(bench, bench.first)
    assert decided["is_carried_over"] is False
    second = bench.change(bench.first, {"type": "exclude_rows", "finding": "duplicate"})
    third = bench.change(second, {"type": "tag_rows", "numbers": [CARD], "tag": "card"})
    for version in (second, third):
        assert kept_in(bench, version) == decided | {"is_carried_over": True}
    assert kept_in(bench, bench.first) == decided


def test_that_it_holds_on_is_in_the_log_and_the_reason_is_not(bench: Bench, as_admin: dict[str, str]) -> None:
    keep(bench, bench.first)
    second = bench.change(bench.first, {"type": "exclude_rows", "finding": "duplicate"})
    bench.headers = as_admin
    assert audited(bench) == [(second["id"], {"codes": ["card_number"], "from_version_id": bench.first["id"]})]


def test_fewer_rows_are_no_reason_to_ask_again_and_more_or_others_are(bench: Bench) -> None:
    two = bench.change(bench.first, ANOTHER)
    keep(bench, two)
    one = bench.change(two, {"type": "exclude_rows", "numbers": [5]})
    assert kept_in(bench, one) is not None
    more = bench.change(one, {"type": "include_rows", "numbers": [5]})
    assert kept_in(bench, more) is None
    others = bench.change(more, {"type": "exclude_rows", "numbers": [CARD]})
    assert kept_in(bench, others) is None, "what was not decided is not carried on"


def test_as_many_rows_that_are_others_are_asked_about_again(bench: Bench) -> None:
    keep(bench, bench.first)
    other = bench.change(bench.first, ANOTHER, {"type": "exclude_rows", "numbers": [CARD]})
    assert kept_in(bench, other) is None


def test_a_row_that_was_written_anew_is_decided_about_anew(bench: Bench) -> None:
    keep(bench, bench.first)
    again = bench.change(bench.first, edit(CARD, "My other card is 5500 0000 0000 0004", "Never tell"))
    assert kept_in(bench, again) is None


def test_what_is_not_found_any_more_is_not_kept_for_later(bench: Bench, as_admin: dict[str, str]) -> None:
    keep(bench, bench.first)
    without = bench.change(bench.first, {"type": "apply_fix", "finding": "card_number"})
    found = bench.change(without, ANOTHER)
    assert kept_in(bench, found) is None
    bench.headers = as_admin
    assert audited(bench) == []


def test_a_version_that_is_had_again_has_what_was_kept_in_it(bench: Bench) -> None:
    keep(bench, bench.first)
    more = bench.change(bench.first, ANOTHER)
    assert kept_in(bench, more) is None
    restored = bench.change(more, {"type": "restore", "number": 1})
    assert kept_in(bench, restored) is not None
    keep(bench, more, ground="Of the other version.")
    again = bench.change(restored, {"type": "restore", "number": 2})
    kept = kept_in(bench, again)
    assert kept is not None
    assert kept["ground"] == "Of the other version."


def test_a_file_that_is_read_again_is_decided_about_anew(bench: Bench) -> None:
    keep(bench, bench.first)
    url = f"/v1/datasets/{bench.dataset['id']}/versions"
    body = {"mapping": {"question": "answer", "answer": "question"}}
    read = bench.work(bench.client.post(url, headers=bench.headers, json=body).json())
    assert kept_in(bench, read) is None


def test_it_is_taken_back_of_one_version_and_stays_in_the_other(bench: Bench) -> None:
    keep(bench, bench.first)
    second = bench.change(bench.first, {"type": "exclude_rows", "finding": "duplicate"})
    url = f"/v1/dataset_versions/{second['id']}/findings/card_number/keep"
    assert bench.client.delete(url, headers=bench.headers).status_code == 200
    assert kept_in(bench, second) is None
    assert kept_in(bench, bench.first) is not None
    assert keep(bench, second, ground="Decided of this one.")["is_carried_over"] is False


def test_what_is_decided_while_the_next_version_is_made_is_of_the_one_before_alone(bench: Bench) -> None:
    made = bench.ask(bench.first, {"type": "exclude_rows", "finding": "duplicate"}).json()
    keep(bench, bench.first)
    assert kept_in(bench, bench.work(made)) is None
