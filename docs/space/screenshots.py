"""The pictures of docs/space.md: the app with collap-mini and its 24 songs, in Chromium.

`PYTHONPATH=space .venv/bin/python docs/space/screenshots.py` writes find.png, describe.png and compare.png beside this
file.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright
from space_collap.app import build_app, launch_options
from space_collap.engine import Engine
from space_collap.find_tab import EXAMPLES
from space_collap.places import find_library, find_model

from dataset_scripts.whole_files import whole_file

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / "space"
WINDOWS = {
    "find": {"viewport": {"width": 1180, "height": 1180}, "color_scheme": "light"},
    "describe": {"viewport": {"width": 1180, "height": 1180}, "color_scheme": "dark"},
    "compare": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "is_mobile": True},
}
PATIENCE_MS = 120_000


def main() -> None:
    model = find_model(HOME)
    engine = Engine.open(model, find_library(HOME, model))
    app = build_app(engine)
    _, url, _ = app.launch(**launch_options(engine), prevent_thread_lock=True, quiet=True)
    visits: dict[str, Callable[[Page], None]] = {"find": find, "describe": describe, "compare": compare}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        for name, visit in visits.items():
            picture(browser, url, name, visit)
        browser.close()
    app.close()


def picture(browser: Browser, url: str, name: str, visit: Callable[[Page], None]) -> None:
    """Open the app in a window of its own, and write what is seen after a visit."""
    context = browser.new_context(**WINDOWS[name])
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(url)
    page.get_by_role("tab", name="Find music").wait_for()
    visit(page)
    page.evaluate("document.activeElement.blur()")
    with whole_file(HERE / f"{name}.png") as temporary:
        page.screenshot(path=temporary, type="png", full_page=name == "compare", animations="disabled")
    context.close()


def find(page: Page) -> None:
    page.get_by_label("What should be heard?").fill(EXAMPLES["A quiet piece"])
    page.get_by_role("button", name="Find music").click()
    listen(page, "#found")


def describe(page: Page) -> None:
    page.get_by_role("tab", name="Describe a track").click()
    page.get_by_role("button", name="Describe", exact=True).click()
    listen(page, "#described")


def compare(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Take the song's own description").click()
    expect(page.get_by_label("First description")).not_to_have_value("")
    page.get_by_role("button", name="Swap the sections of the first").click()
    expect(page.get_by_label("Second description")).not_to_have_value("")
    page.get_by_role("button", name="Compare", exact=True).click()
    listen(page, "#compared")


def listen(page: Page, answer: str) -> None:
    """Play from the best span of an answer, stopped a little later, so that the playhead is seen."""
    span = page.locator(f"{answer} [data-seek]").first
    span.click(timeout=PATIENCE_MS)
    page.wait_for_function(
        "answer => { const player = document.querySelector(`${answer} audio`);"
        " if (player.currentTime < 1) return false; player.pause(); return true; }",
        arg=answer,
    )
    page.mouse.move(0, 0)
    page.evaluate("window.scrollTo(0, 0)")


if __name__ == "__main__":
    main()
