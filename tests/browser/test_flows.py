"""What visitors do, in a real browser."""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SECONDS
from udp.ui.tabs import protect as protect_tab

Visit = Callable[..., Page]
LONG = "protect.rounds=100&protect.surrogate_steps=50"
expect.set_options(timeout=SECONDS * 1000)


def button(page: Page, name: str):
    """The visible button of exactly this name."""
    return page.get_by_role("button", name=name, exact=True).locator("visible=true")


def upload(page: Page, files: list[Path]) -> None:
    page.locator("input[type=file]").first.set_input_files(files)
    expect(page.locator(".thumbnails:visible img")).to_have_count(len(files))


def test_the_one_click_demo_runs_from_photos_to_verdict(visit: Visit) -> None:
    page = visit()
    button(page, "Try the example subject").click()
    expect(page.get_by_text("photos protected, every pixel within its budget")).to_be_visible()
    button(page, "Next: see what an imitator gets").click()
    button(page, "Attack").click()
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator(".arm:not(.film .arm):visible h3")).to_have_text(
        ["Before fine-tuning", "Clean", "Random noise", "Protected"]
    )
    expect(page.locator(".compare:visible img")).to_have_count(2)
    page.get_by_text("What it learns, step by step").click()
    captions = ["0 / 10", "3 / 10", "7 / 10", "10 / 10"]
    expect(page.locator(".film .arm").first.locator(".caption-label")).to_have_text(captions)
    for name, start in (("Download a result card (PNG)", b"\x89PNG"), ("Download the protected photos (ZIP)", b"PK")):
        with page.expect_download() as download:
            page.get_by_text(name).locator("visible=true").click()
        assert Path(download.value.path()).read_bytes().startswith(start)
    expect(page.get_by_text("Not made against any other model").locator("visible=true")).to_have_count(1)
    button(page, "Next: does it survive cleaning?").click()
    expect(button(page, "Test the protection")).to_be_visible()


def test_a_download_keeps_the_perturbation_exactly(visit: Visit, photo_files: list[Path], tmp_path: Path) -> None:
    page = visit()
    upload(page, photo_files)
    button(page, "Protect").click()
    with page.expect_download() as download:
        page.get_by_text("Download PNGs and settings").click()
    download.value.save_as(tmp_path / "got.zip")
    shown = page.locator(".fill:visible img, .thumbnails:visible img").first
    assert shown.get_attribute("src")
    with zipfile.ZipFile(tmp_path / "got.zip") as bundle:
        for path in photo_files:
            with bundle.open(path.name) as file:
                after = np.asarray(Image.open(file).convert("RGB")).astype(int)
            difference = np.abs(after - np.asarray(Image.open(path).convert("RGB")))
            assert 0 < difference.max() <= 8


def test_stop_stops_and_the_page_can_go_on(visit: Visit, photo_files: list[Path]) -> None:
    page = visit(LONG)
    upload(page, photo_files[:1])
    button(page, "Protect").click()
    expect(page.locator(".job:visible")).to_be_visible()
    button(page, "Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(button(page, "Protect")).to_be_visible()


def test_stop_while_photos_are_read_ends_that_run_and_no_later_one(
    visit: Visit, photo_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, gate = visit(LONG), threading.Event()
    upload(page, photo_files[:1])
    read = protect_tab.take_readable
    monkeypatch.setattr(protect_tab, "take_readable", lambda paths: gate.wait(SECONDS) and read(paths))
    button(page, "Protect").click()
    button(page, "Stop").click()
    expect(page.get_by_text("Stopping.")).to_be_visible()
    gate.set()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    button(page, "Protect").click()
    page.wait_for_url("**job=**")
    expect(button(page, "Stop")).to_be_visible()
    button(page, "Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()


def test_a_reload_finds_the_running_job(visit: Visit, photo_files: list[Path]) -> None:
    page = visit(LONG)
    upload(page, photo_files)
    button(page, "Protect").click()
    expect(page.locator(".job:visible")).to_be_visible()
    page.wait_for_url("**job=**")
    page.reload()
    expect(button(page, "Stop")).to_be_visible()
    expect(page.locator(".thumbnails:visible img")).to_have_count(len(photo_files))
    button(page, "Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()


def test_two_visitors_at_once_see_only_their_own(visit: Visit, photo_files: list[Path]) -> None:
    first, second = visit(), visit()
    upload(first, photo_files[:1])
    upload(second, photo_files[1:])
    button(first, "Protect").click()
    button(second, "Protect").click()
    expect(first.get_by_text("1 photo protected")).to_be_visible()
    expect(second.get_by_text("2 photos protected")).to_be_visible()
    sources = "images => images.map(image => image.src)"
    seen = [
        set(page.locator(".thumbnails img[src*='/file=']:visible").evaluate_all(sources)) for page in (first, second)
    ]
    assert seen[0] and seen[1] and not seen[0] & seen[1]
    first.wait_for_url("**job=**")
    second.goto(first.url)  # a link that was passed on, or guessed
    expect(second.get_by_text("it belongs to another browser")).to_be_visible()
    expect(second.locator(".thumbnails:visible img")).to_have_count(0)
    expect(second.get_by_text("photo protected")).to_have_count(0)


def test_a_reload_finds_the_finished_run(visit: Visit, photo_files: list[Path], tmp_path: Path) -> None:
    page = visit()
    upload(page, photo_files)
    button(page, "Protect").click()
    expect(page.get_by_text("3 photos protected")).to_be_visible()
    page.wait_for_url("**job=**")
    page.reload()
    expect(page.get_by_text("3 photos protected")).to_be_visible()
    expect(page.get_by_role("heading", name="Protected photos")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_text("Download PNGs and settings").click()
    download.value.save_as(tmp_path / "got.zip")
    with zipfile.ZipFile(tmp_path / "got.zip") as bundle:
        assert {path.name for path in photo_files} < set(bundle.namelist())


def shown(page: Page, label: str) -> Locator:
    """The visible control whose label starts with these words."""
    return page.get_by_label(re.compile(rf"^\s*{label}")).locator("visible=true")


def test_an_example_names_what_it_shows_on_every_tab(visit: Visit) -> None:
    page = visit(LONG)
    for name in ("Protect", "Attack", "Robustness"):
        page.get_by_role("tab", name=name, exact=True).click()
        page.get_by_text("Advanced").locator("visible=true").click()
    for example, preset, prompt in (
        ("style", "A style of painting", "a painting in the style of sks"),
        ("subject", "An object", "a photo of sks"),
    ):
        page.get_by_role("tab", name="Protect", exact=True).click()
        button(page, f"Try the example {example}").click()
        expect(page.locator(".thumbnails:visible img")).to_have_count(6)
        button(page, "Stop").click()
        expect(page.get_by_text("Stopped.")).to_be_visible()
        for name, label in (("Protect", "Prompt"), ("Attack", "Generation prompt"), ("Robustness", "Prompt")):
            page.get_by_role("tab", name=name, exact=True).click()
            expect(shown(page, "What the photos show")).to_have_value(preset)
            expect(shown(page, label)).to_have_value(prompt)


def test_settings_travel_in_the_link(visit: Visit) -> None:
    query = (
        "protect.method=udp&protect.budget=16&protect.prompt=a+painting+in+the+style+of+sks&protect.seed=5"
        "&attack.arms=clean%2Cprotected&attack.pictures=3&attack.model=sd15&attack.sampling_steps=30"
    )
    page = visit(f"{query}&protect.rounds=900000&attack.recipe=nonsense")  # what no control takes is left out
    page.wait_for_timeout(500)  # changes settle, and tell their estimates
    calls = "performance.getEntriesByType('resource').filter(each => /run.predict|queue.join/.test(each.name)).length"
    assert 1 <= page.evaluate(calls) <= 7  # one for the page, and not one for each control that the link moves
    page.get_by_text("Advanced").locator("visible=true").click()
    expect(shown(page, "Prompt")).to_have_value("a painting in the style of sks")
    expect(shown(page, "What the photos show")).to_have_value("A style of painting")
    expect(shown(page, "number input for Budget")).to_have_value("16")
    expect(shown(page, "Seed")).to_have_value("5")
    button(page, "Copy a link to these settings").click()
    expect(shown(page, "Link")).to_have_value(re.compile("protect.method=udp.*attack.pictures=3"))
    copied, sent = (parse_qs(urlsplit(link).query) for link in (shown(page, "Link").input_value(), f"?{query}"))
    assert copied == sent
    page.get_by_role("tab", name="Attack", exact=True).click()
    page.get_by_text("Advanced").locator("visible=true").click()
    expect(shown(page, "number input for Sampling steps")).to_have_value("30")  # the link's, not the model's own
    expect(shown(page, "number input for Guidance scale")).to_have_value(
        "7.5"
    )  # the model's, which the link names alone
    shown(page, "Model").click()
    page.get_by_role("option", name="Embedded model, 128 px").click()
    expect(shown(page, "number input for Sampling steps")).to_have_value("20")  # picked by hand, they follow the model
    shown(page, "Model").click()
    page.get_by_role("option", name="Stable Diffusion 1.5").click()
    expect(shown(page, "number input for Guidance scale")).to_have_value("7.5")
