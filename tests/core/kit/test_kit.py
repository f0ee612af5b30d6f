import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kit.clock import unix_s, utc_now
from core.kit.hashing import sha256_bytes, sha256_file
from core.kit.ids import new_id
from core.kit.logs import JsonFormatter, configure_logging, correlation_id
from core.kit.money import priced, usd
from core.kit.pagination import Page


class TestIds:
    def test_ids_are_prefixed_and_distinct(self) -> None:
        ids = {new_id("ds_") for _ in range(10_000)}
        assert len(ids) == 10_000
        assert all(found.startswith("ds_") and len(found) == 29 for found in ids)

    def test_later_ids_sort_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moments = [0, 1_000_000, 999_000_000_000, 1_800_000_000_000_000_000]
        made = []
        for moment in moments:
            monkeypatch.setattr("core.kit.ids.time.time_ns", lambda moment=moment: moment)
            made.append(new_id("x"))
        assert made == sorted(made)


class TestMoney:
    def test_an_hour_costs_the_hourly_price(self) -> None:
        assert priced(3_990_000, 3600) == 3_990_000

    def test_half_a_micro_dollar_rounds_up(self) -> None:
        assert priced(1, 1800) == 1
        assert priced(1, 1799) == 0

    @given(price=st.integers(0, 10**9), seconds=st.floats(0, 10**7))
    def test_more_time_never_costs_less(self, price: int, seconds: float) -> None:
        assert 0 <= priced(price, seconds) <= priced(price, seconds + 1)

    def test_dollars_are_for_showing(self) -> None:
        assert usd(1_500_000) == 1.5


class TestClock:
    def test_now_knows_its_zone(self) -> None:
        assert utc_now().utcoffset() is not None

    def test_the_wire_gets_whole_seconds(self) -> None:
        assert unix_s(datetime(1970, 1, 2, 0, 0, 0, 999_999, tzinfo=UTC)) == 86_400


class TestHashing:
    def test_a_file_hashes_as_its_bytes(self, tmp_path: Path) -> None:
        data = b"x" * (3 * 1024 * 1024 + 1)
        (tmp_path / "file").write_bytes(data)
        assert sha256_file(tmp_path / "file") == sha256_bytes(data)


class TestPage:
    @pytest.mark.parametrize(("num_found", "has_more"), [(0, False), (2, False), (3, True)])
    def test_one_more_than_asked_for_means_there_is_more(self, num_found: int, *, has_more: bool) -> None:
        page = Page.cut(list(range(num_found)), 2)
        assert page.has_more is has_more
        assert len(page.items) == min(num_found, 2)


class TestLogs:
    def test_a_line_is_json_with_its_fields_and_request(self) -> None:
        record = logging.LogRecord("api", logging.INFO, "f", 1, "hello %s", ("you",), None)
        record.fields = {"status": 200}
        token = correlation_id.set("req_1")
        line = json.loads(JsonFormatter().format(record))
        correlation_id.reset(token)
        assert (line["message"], line["status"], line["correlation_id"]) == ("hello you", 200, "req_1")

    def test_an_address_that_is_fetched_is_not_logged(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
        configure_logging()
        logging.getLogger("httpx").info("GET http://store/adapter?X-Amz-Signature=hunter2")
        assert "hunter2" not in caplog.text

    def test_a_line_break_in_a_message_forges_no_second_line(self) -> None:
        record = logging.LogRecord("api", logging.INFO, "f", 1, "a\nb", (), None)
        assert "\n" not in JsonFormatter().format(record)
