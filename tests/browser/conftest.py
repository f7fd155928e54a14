"""The app with the tiny model, and Chromium to look at it; without Chromium these tests are skipped, in CI they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MUST_RUN = os.environ.get("CI") == "true"
if not MUST_RUN:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright  # noqa: E402

from tests.conftest import served  # noqa: E402

# A protection and an attack of seconds, set by the link as anybody's settings can be.
QUICK = "protect.rounds=1&attack.steps=10&attack.pictures=2&attack.sampling_steps=5"
SECONDS = 240  # a loaded machine is slow; a healthy one needs a few


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing = "expected Chromium on PATH for the browser tests, got none (Debian: apt-get install chromium)"
        pytest.fail(missing) if MUST_RUN else pytest.skip(missing)
    with sync_playwright() as driver:
        quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
        started = driver.chromium.launch(executable_path=program, args=quiet)
        yield started
        started.close()


@pytest.fixture(scope="session")
def app(tiny_model_folder: Path, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The running app's address."""
    with served(tiny_model_folder, tmp_path_factory.mktemp("gradio"), kept) as address:
        yield address


@pytest.fixture
def visit(browser: Browser, app: str) -> Iterator[Callable[..., Page]]:
    """Opens the app as a new visitor: `visit(query, **context options)`; a link to settings opens their tab, no query the first. No page may ask anything of another host."""
    contexts: list[BrowserContext] = []
    strangers: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((app, "data:", "blob:")):
            strangers.append(request.url)

    def open_page(query: str = QUICK, **options: object) -> Page:
        context = browser.new_context(**{"locale": "en-US", **options})
        context.set_default_timeout(SECONDS * 1000)
        contexts.append(context)
        context.on("request", note)
        page = context.new_page()
        page.goto(f"{app}?{query}")
        if not query:
            page.locator(".kept-arms:visible").wait_for()
            return page
        page.get_by_role("button", name="Protect", exact=True).wait_for()
        page.get_by_text("No estimate before the first run").or_(page.get_by_text("Takes about")).locator(
            "visible=true"
        ).first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not strangers, strangers
