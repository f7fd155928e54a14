"""What somebody sees who has clicked nothing yet, and where it leads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_flows import button

LAPTOP, PHONE = {"width": 1280, "height": 720}, {"width": 360, "height": 740}


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_outcome_fits_the_first_screen(visit: Callable[..., Page], size: dict[str, int]) -> None:
    page = visit("", viewport=size)
    page.locator(".kept-slider:visible img").first.wait_for()
    page.wait_for_function("Array.from(document.images).every(i => i.complete)")
    seen = [
        page.get_by_role("heading", name="Unlearnable photos"),
        page.locator(".kept-slider:visible"),
        *(page.locator(f".kept-{arm}:visible > button img") for arm in ("clean", "random", "protected")),
        page.locator(".kept-verdict:visible p"),
        page.get_by_role("button", name="Run it yourself, live"),
    ]
    for part in seen:
        box = part.bounding_box()
        assert box and box["height"] > 10 and box["width"] > 60 and box["y"] + box["height"] <= size["height"], part
    tops = {round(part.bounding_box()["y"]) for part in seen[2:5]}
    assert len(tops) == 1  # side by side
    verdict = page.get_by_text("Degraded: the protection hindered the imitator but did not stop it")
    expect(verdict.locator("visible=true")).to_have_count(1)


def test_its_language_is_the_visitors(visit: Callable[..., Page]) -> None:
    page = visit("", locale="zh-CN")
    expect(page.locator(".kept-protected:visible figcaption").get_by_text("受保护的照片")).to_be_visible()
    expect(page.get_by_role("button", name="亲自实时运行")).to_be_visible()


def test_the_other_example_is_a_choice_away(visit: Callable[..., Page]) -> None:
    page = visit("")
    first = str(page.locator(".kept-slider:visible img").first.get_attribute("src"))
    page.get_by_label("a style").check()
    expect(page.locator(".kept-arms:visible")).to_have_count(1)
    expect(page.locator(".kept-slider:visible img").first).not_to_have_attribute("src", first)


def test_two_sets_are_compared_and_a_picture_opens_large(visit: Callable[..., Page]) -> None:
    page = visit("")
    slider = page.locator(".compare:visible img")
    expect(slider.first).to_be_visible()
    before = [str(image.get_attribute("src")) for image in slider.all()]
    assert all(source.split("?")[0].endswith(".png") for source in before) and len(set(before)) == 2
    page.get_by_role("radio", name="2", exact=True).locator("visible=true").check()
    expect(slider.first).not_to_have_attribute("src", before[0])
    page.get_by_label("Right").locator("visible=true").click()
    page.get_by_role("option", name="Random noise").click()
    expect(page.get_by_label("Right").locator("visible=true")).to_have_value("Random noise")
    page.locator(".kept-picture:visible").first.press("Enter")
    large = page.locator("dialog[open] img")
    expect(large).to_be_visible()
    assert large.bounding_box()["width"] > 300
    page.keyboard.press("Escape")
    expect(large).to_have_count(0)


def test_own_photos_are_a_click_away(visit: Callable[..., Page]) -> None:
    page = visit("")
    button(page, "Protect my own photos").click()
    expect(button(page, "Protect")).to_be_visible()


def test_the_live_run_starts_on_its_tab(visit: Callable[..., Page]) -> None:
    page = visit("")
    page.get_by_label("a style").check()
    page.get_by_role("button", name="Run it yourself, live").click()
    expect(page.locator(".job:visible")).to_be_in_viewport()
    page.get_by_text("Advanced").locator("visible=true").click()
    expect(page.get_by_label("Generation prompt").locator("visible=true")).to_have_value(
        "a painting in the style of sks"
    )
    button(page, "Stop").click()
    expect(page.get_by_text("Stopped.").locator("visible=true")).to_be_visible()
