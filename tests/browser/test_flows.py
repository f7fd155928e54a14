"""What visitors do, in a real browser."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import SECONDS

Visit = Callable[..., Page]
LONG = "protect.rounds=100&protect.pgd_steps=50&protect.draws=1"
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
    button(page, "Attack these photos").click()
    button(page, "Attack").click()
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator(".arm:visible h3")).to_have_text(["Before fine-tuning", "Clean", "Random noise", "Protected"])


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
