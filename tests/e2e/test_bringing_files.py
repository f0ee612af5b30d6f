"""Files that people bring, in a real browser: an Excel export of tickets, and a large file over a line that breaks."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.stack.up import RunningStack
from tests.e2e.test_clerk_in_the_browser import ROOT, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.model, pytest.mark.timeout(900)]

_READ_TIMEOUT_MS = 180_000
_SEND_TIMEOUT_MS = 300_000
# more than the page sends in one piece
_LARGE_BYTES = 70_000_000


def test_an_export_of_tickets_becomes_conversations(page: Page, stack: RunningStack) -> None:
    sign_in(page, stack)
    page.goto("/data/new")
    page.get_by_label("File with examples").set_input_files(ROOT / "deploy" / "samples" / "tickets.xlsx")
    # two messages of one ticket, which stand in two rows
    rows = page.get_by_role("region", name="Your first rows, as conversations")
    expect(rows.get_by_text("do I need a helmet").first).to_be_visible()
    expect(rows.get_by_text("A helmet in size M will be waiting").first).to_be_visible()
    page.get_by_role("button", name="Use these examples").click()
    expect(page.get_by_role("link", name="Train on these")).to_be_visible(timeout=_READ_TIMEOUT_MS)
    expect(page.get_by_text("A helmet in size M will be waiting").first).to_be_visible()


def test_a_large_file_arrives_once_though_the_line_is_cut(page: Page, stack: RunningStack, tmp_path: Path) -> None:
    large = tmp_path / "large export.csv"
    with large.open("w", encoding="utf-8") as out:
        out.write("question,answer\n")
        for number in range(_LARGE_BYTES // 1000):
            out.write(f"How much is {number} and one?,{number + 1} {'in words and figures ' * 47}\n")
    sign_in(page, stack)
    page.goto("/data/new")
    with page.expect_response(lambda answer: answer.url.endswith("/parts") and answer.ok, timeout=_SEND_TIMEOUT_MS):
        page.get_by_label("File with examples").set_input_files(large)
    page.context.set_offline(True)
    # it does not give up, and says nothing of an error
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.context.set_offline(False)
    expect(page.get_by_text("How much is 0 and one?").first).to_be_visible(timeout=_SEND_TIMEOUT_MS)
    files = page.request.get(f"{stack.base_url}/v1/files").json()["data"]
    assert [file["bytes"] for file in files if file["filename"] == large.name] == [large.stat().st_size]
