"""The whole product as processes, started once for all end-to-end tests, and a real Chromium to drive it with."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from core.stack.ports import choose
from core.stack.up import RunningStack, running_stack

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PAGE_TIMEOUT_MS = 30_000


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, put_bundled_model: Callable[[Path], None]
) -> Iterator[RunningStack]:
    home = tmp_path_factory.mktemp("stack") / "home"
    put_bundled_model(home)
    settings = {"TAILORBIRD_OUTBOUND_ALLOW": "127.0.0.1"}  # receivers of webhooks are beside it
    with running_stack(home, public_port=choose(["api"], {})["api"], settings=settings, timeout_s=900) as running:
        yield running


@pytest.fixture(scope="session")
def api_key(stack: RunningStack) -> str:
    """The first admin's, made as the page makes one."""
    assert stack.admin is not None
    with httpx.Client(base_url=stack.base_url, timeout=30) as browser:
        signed_in = browser.post(
            "/v1/auth/sign_in", json={"email": stack.admin.email, "password": stack.admin.password}
        ).json()
        headers = {"x-csrf-token": signed_in["csrf_token"], "origin": stack.base_url}
        return str(browser.post("/v1/api_keys", headers=headers, json={"name": "e2e"}).json()["key"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    assert found, "no browser: install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, stack: RunningStack) -> Iterator[Page]:
    context = browser.new_context(base_url=stack.base_url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(_PAGE_TIMEOUT_MS)
    page = context.new_page()
    yield page
    context.close()
