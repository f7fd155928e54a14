"""The page for everybody: axe in light and dark, a narrow phone, and no mouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MUST_RUN

if not MUST_RUN:
    pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
from axe_playwright_python.sync_playwright import Axe

TABS = ("Example", "Protect", "Attack", "Robustness", "About")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_timeout(300)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_any_tab(visit: Callable[..., Page], scheme: str) -> None:
    page = visit(color_scheme=scheme)
    for name in TABS:
        open_tab(page, name)
        if name not in ("Example", "About"):
            page.get_by_text("Advanced").locator("visible=true").click()
        found = Axe().run(page).response["violations"]
        told = [(v["id"], v["help"], [n["html"][:160] for n in v["nodes"][:3]]) for v in found]
        assert not told, f"{name}: {told}"


def test_a_narrow_phone_never_scrolls_sideways(visit: Callable[..., Page]) -> None:
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True)
    for name in TABS:
        if name != "Protect":
            tab = page.get_by_role("tab", name=name, exact=True)
            if not tab.locator("visible=true").count():
                page.locator(".overflow-menu button").first.click()
                page.locator(".overflow-dropdown").get_by_text(name, exact=True).click()
            else:
                tab.click()
        page.wait_for_timeout(300)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, f"{name} is {width} pixels wide"


def test_the_keyboard_is_enough(visit: Callable[..., Page], photo_files: list[Path]) -> None:
    page = visit()
    page.locator("input[type=file]").first.set_input_files(photo_files[:1])
    expect(page.locator(".thumbnails:visible img")).to_have_count(1)
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''").strip()
        reached.append(here)
        if here == "Protect" and page.evaluate("document.activeElement.className").find("primary") >= 0:
            break
    outline = page.evaluate(
        "(s => s.outlineStyle !== 'none' || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))"
    )
    assert reached[-1] == "Protect" and outline, reached
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 photo protected")).to_be_visible()
