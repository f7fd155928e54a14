"""Pictures of the app for the README: `python scripts/screenshots.py --out docs`.

Starts the app, clicks through the example subject in Chromium as a visitor would, and writes app-first.png (where
runs are kept), app-protect.png and app-attack.png, and prints how long that took; with `--first` the first of them alone.
Needs `pip install playwright` and Chromium on PATH (Debian: apt-get install chromium). With the embedded model on two
processor cores it takes some minutes; `--settings` takes the query of a link, for a faster trial.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Page, sync_playwright

from udp.ui.page import build, launch_options
from udp.ui.state.owner import Owner

WIDTH, HEIGHT = 1200, 1440
PATIENCE_MS = 30 * 60 * 1000
# A picture of a hidden tab or below the window, which loads when it is looked at, may never come.
LOADED = """Array.from(document.images).every(i => {
    const box = i.getBoundingClientRect()
    return i.complete || !box.width || box.bottom < 0 || box.top > innerHeight
})"""


def click(page: Page, name: str) -> None:
    """Press the visible button of this name."""
    page.get_by_role("button", name=name, exact=True).locator("visible=true").click()


def shoot(page: Page, heading: str, path: Path) -> None:
    """The window, scrolled to a heading, once its pictures are there."""
    page.get_by_role("heading", name=heading).locator("visible=true").evaluate("e => e.scrollIntoView()")
    page.evaluate("window.scrollBy(0, -24)")
    page.wait_for_function(LOADED)
    page.wait_for_timeout(1500)  # fades
    page.screenshot(path=path)
    print(path)


def visit(page: Page, address: str, out: Path, first: bool = False) -> None:
    """The first screen; then, unless it was all that is asked for, protect the example subject and attack it."""
    page.goto(address)
    page.get_by_role("tab", name="Protect", exact=True).wait_for()
    if page.get_by_role("tab", name="Example", exact=True).count():
        page.locator(".kept-arms:visible").wait_for()
        shoot(page, "Unlearnable photos", out / "app-first.png")
    if first:
        return
    page.get_by_role("tab", name="Protect", exact=True).click()
    start = time.monotonic()
    click(page, "Try the example subject")
    page.get_by_text("every pixel within its budget").wait_for()
    shoot(page, "Protected photos", out / "app-protect.png")
    click(page, "Next: see what an imitator gets")
    click(page, "Attack")
    page.locator(".verdict").wait_for()
    print(f"from the first click to the verdict: {time.monotonic() - start:.0f} s")
    shoot(page, "What the imitator gets", out / "app-attack.png")


def main() -> None:
    """Run the app and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--model", default="mini")
    parser.add_argument("--settings", default="", help='for example "protect.rounds=1&attack.steps=10"')
    parser.add_argument("--first", action="store_true", help="the first screen alone, without a run")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("expected Chromium on PATH, got none")
    options.out.mkdir(parents=True, exist_ok=True)
    demo = build(Owner(model=options.model))
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme="dark" if options.dark else "light",
            locale="en-US",
        )
        page.set_default_timeout(PATIENCE_MS)
        visit(page, f"{address}?{options.settings}", options.out, options.first)
        browser.close()
    demo.close()


if __name__ == "__main__":
    main()
