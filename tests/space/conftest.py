"""A tiny library of three short songs, the app over it in a process of its own, and browsers that visit it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import tiny
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, expect, sync_playwright
from rich.console import Console
from visits import PATIENCE_MS, ROOT, SECONDS, SONGS, RunningApp, Visitor, run_app, write_song

from dataset_scripts.structure import section_line

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model with its processor, as a folder."""
    folder = tmp_path_factory.mktemp("model") / "tiny-collap"
    tiny.model().save_pretrained(folder)
    tiny.processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_library(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A library of three songs of two sections each, built as the app's own."""
    from space_collap.build_library import build_library
    from space_collap.library_entries import Entry
    from space_collap.results import Section

    entries = []
    for number, title in enumerate(SONGS):
        sections = [
            {"start": 0.0, "end": SECONDS / 2, "label": "verse", "caption": f"A calm verse of {title.lower()}."},
            {"start": SECONDS / 2, "end": SECONDS, "label": "chorus", "caption": f"A loud chorus of {title.lower()}."},
        ]
        entries.append(
            Entry(
                id=f"song-{number}",
                title=title,
                name=f"song-{number}.mp3",
                licence="CC0-1.0",
                source="tones",
                write=partial(write_song, number=number),
                caption="\n".join(map(section_line, sections)),
                sections=tuple(Section(**section) for section in sections),
            )
        )
    output = tmp_path_factory.mktemp("library") / "library"
    return build_library(entries, str(tiny_checkpoint), output, Console(quiet=True), workers=0)


@pytest.fixture(scope="session")
def running_app(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path, tiny_library: Path
) -> Iterator[RunningApp]:
    """`python space/app.py` over the tiny library, for all tests; connections to other machines are refused."""
    folder = tmp_path_factory.mktemp("app")
    environment = {**os.environ, "COLLAP_MODEL": str(tiny_checkpoint), "COLLAP_LIBRARY": str(tiny_library)}
    with run_app(ROOT / "space" / "app.py", folder, environment) as app:
        yield app


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, for all tests."""
    if not Path(CHROMIUM).is_file():
        pytest.skip("no browser: Debian's Chromium is not installed (sudo apt-get install chromium)")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        # Its microphone hears beeps, and asks nobody for leave.
        microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *microphone])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def window(chromium: Browser) -> BrowserContext:
    """A browser window that keeps what it has loaded, for visits that need none of their own."""
    return chromium.new_context()


@pytest.fixture
def enter(running_app: RunningApp) -> Iterator[Callable[[BrowserContext], Visitor]]:
    """Opens the app in a window.

    At the end neither the page nor the app's process may have asked for anything outside this machine, and the page may
    not have complained.
    """
    visitors: list[Visitor] = []

    def enter(context: BrowserContext) -> Visitor:
        visitor = Visitor(context.new_page())
        visitors.append(visitor)

        def said(message: ConsoleMessage) -> None:
            if message.type == "error":
                visitor.complaints.append(message.text)

        visitor.page.set_default_timeout(PATIENCE_MS)
        visitor.page.on("request", lambda request: visitor.requests.append(request.url))
        visitor.page.on("console", said)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        visitor.page.goto(running_app.url)
        visitor.page.get_by_role("tab", name="Find music").wait_for()
        return visitor

    yield enter
    for visitor in visitors:
        visitor.page.close()
        outside = [url for url in visitor.requests if not url.startswith((running_app.url, "data:", "blob:"))]
        assert not outside
        assert not visitor.complaints
    assert running_app.refusals() == ""


@pytest.fixture
def visitor(enter: Callable[[BrowserContext], Visitor], window: BrowserContext) -> Visitor:
    """A user who has opened the app."""
    return enter(window)


@pytest.fixture
def visit(chromium: Browser, enter: Callable[[BrowserContext], Visitor]) -> Callable[..., Visitor]:
    """Opens the app in a new window of its own; options are those of Playwright's `new_context`."""
    return lambda **options: enter(chromium.new_context(**options))


@pytest.fixture(scope="session")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 10:05 minutes, which is more than the app listens to."""
    path = tmp_path_factory.mktemp("long") / "symphony.mp3"
    silence = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "605", "-b:a", "8k"]
    subprocess.run(["ffmpeg", "-v", "error", *silence, str(path)], check=True)
    return path
