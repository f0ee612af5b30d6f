"""The ten minutes of a clerk, in a real browser with the real model: from a spreadsheet to two answers side by side."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, Response, expect

from core.stack.up import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.model, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
NUM_ROWS = 24
QUESTION = "Is this customer positive, neutral or negative?"
_RUN_TIMEOUT_MS = 900_000
_READ_TIMEOUT_MS = 180_000


@pytest.fixture
def spreadsheet(tmp_path: Path) -> Path:
    """The first rows of a shipped sample, with one row that has no answer."""
    with (ROOT / "deploy" / "samples" / "reviews.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))[: NUM_ROWS + 1]
    rows.append([f"{QUESTION} No answer was written down.", ""])
    path = tmp_path / "reviews of ours.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


@pytest.fixture
def troubles(page: Page) -> list[str]:
    """What a browser's console and network complain of; a healthy journey leaves it empty."""
    found: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.append(message.text)

    def on_response(response: Response) -> None:
        if response.status >= 500:
            found.append(f"{response.status} {response.url}")

    page.on("console", on_console)
    page.on("response", on_response)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def sign_in(page: Page, stack: RunningStack) -> None:
    assert stack.admin is not None
    page.goto("/")
    page.get_by_label("Email").fill(stack.admin.email)
    page.get_by_role("textbox", name="Password").fill(stack.admin.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_url(f"{stack.base_url}/")


def leave_one_out_and_think_better_of_it(page: Page) -> None:
    """In the table of all examples, by keys; what is not saved is there after a refresh."""
    page.get_by_role("link", name="See all examples").click()
    table = page.get_by_role("grid", name="Examples")
    expect(table.get_by_role("row", name=QUESTION).first).to_be_visible()
    table.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    example = page.get_by_role("complementary", name="Example 25")
    example.get_by_role("button", name="Leave out").click()
    unsaved = page.get_by_role("region", name="Changes that are not saved")
    expect(unsaved).to_contain_text("1 example left out")
    page.reload()
    unsaved.get_by_role("button", name="Undo").click()
    expect(unsaved).to_have_count(0)
    page.go_back()


def test_a_spreadsheet_becomes_a_model_to_chat_with(
    page: Page, stack: RunningStack, spreadsheet: Path, troubles: list[str]
) -> None:
    sign_in(page, stack)
    troubles.clear()  # before the sign-in, the session's 401 is in the console by right

    page.goto("/data/new")
    page.get_by_label("File with examples").set_input_files(spreadsheet)
    expect(page.get_by_text(QUESTION).first).to_be_visible()
    problem = page.get_by_role("region", name="1 thing to look at")
    expect(problem).to_contain_text("row 26, column “answer”")
    page.get_by_role("button", name="Use these examples").click()

    train = page.get_by_role("link", name="Train on these")
    expect(train).to_be_visible(timeout=_READ_TIMEOUT_MS)
    leave_one_out_and_think_better_of_it(page)
    train.click()
    page.get_by_text("Fast", exact=True).click()
    page.get_by_label("Name of your model").fill("Review helper")
    # an impatient double click still starts one run
    page.get_by_role("button", name="Start").dblclick()
    page.wait_for_url("**/train/ftjob-*")
    run_url = page.url
    expect(page.get_by_role("heading", name="Review helper")).to_be_visible()

    # closing the page and coming back loses nothing
    page.goto("/")
    expect(page.get_by_text("Review helper").first).to_be_visible()
    page.goto(run_url)
    page.reload()
    expect(page.get_by_role("heading", name="Review helper")).to_be_visible()
    expect(page.get_by_text("Your model is ready").first).to_be_visible(timeout=_RUN_TIMEOUT_MS)
    expect(page.locator("canvas").first).to_be_visible()

    page.get_by_role("link", name="Try it").click()
    page.get_by_label("Your question").fill(f"{QUESTION} It broke after two days and nobody helped.")
    page.keyboard.press("Enter")
    for name in ("SmolLM2 135M Instruct", "Review helper"):
        # the seconds are told once all of it is said
        expect(page.get_by_role("region", name=f"Answer of {name}")).to_contain_text(
            re.compile(r"\d\.\d s"), timeout=300_000
        )
    page.get_by_role("group", name="Which answer is best?").get_by_role("button", name="Review helper").click()
    expect(page.get_by_role("region", name="Answer of Review helper").get_by_text("Best")).to_be_visible()

    page.goto("/train")
    expect(page.get_by_text("Review helper")).to_have_count(1)
    assert troubles == []


def test_a_bad_file_is_refused_in_plain_words_and_leaves_nothing(
    page: Page, stack: RunningStack, tmp_path: Path
) -> None:
    sign_in(page, stack)
    page.goto("/data/new")
    bad = tmp_path / "photo.csv"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    page.get_by_label("File with examples").set_input_files(bad)
    expect(page.get_by_role("alert").first).to_be_visible()
    expect(page.get_by_text("photo.csv").first).to_be_visible()
    # the page is still there to try again
    expect(page.get_by_text("Drop a spreadsheet")).to_be_visible()
    page.goto("/data")
    expect(page.get_by_text("photo.csv")).to_have_count(0)


def test_a_stranger_sees_nothing_but_the_door(page: Page) -> None:
    page.goto("/train")
    page.wait_for_url("**/sign-in*")
    page.get_by_label("Email").fill("nobody@example.org")
    page.get_by_role("textbox", name="Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("You are not signed in")).to_be_visible()
