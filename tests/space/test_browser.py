"""The app in a real browser: every tab, uploads, errors, keys, phones, and two users at once.

After each test it is checked that no page asked for anything outside this machine, or complained; see `enter`.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from space_collap.find_tab import EXAMPLES
from visits import SECONDS, SONGS, Visitor, write_song

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True}


def find(visitor: Visitor, text: str) -> Locator:
    """Ask for music; returns the cards of the tracks."""
    visitor.page.get_by_label("What should be heard?").fill(text)
    visitor.page.get_by_role("button", name="Find music").click()
    cards = visitor.page.locator("#found article")
    expect(cards).to_have_count(len(SONGS))
    return cards


def described(visitor: Visitor) -> Locator:
    """Press the button; returns the answer."""
    visitor.page.get_by_role("button", name="Describe", exact=True).click()
    return visitor.page.locator("#described .answer")


def toast(page: Page) -> Locator:
    return page.get_by_test_id("toast-body")


def boxes(elements: Locator) -> list[dict[str, float]]:
    """Where elements are, all at one moment."""
    return elements.evaluate_all("elements => elements.map(element => element.getBoundingClientRect().toJSON())")


def seconds_of(player: Locator) -> float:
    return player.evaluate("player => player.currentTime")


def expect_playing_from(page: Page, player: Locator, seconds: float) -> None:
    """The player plays, and not from elsewhere: a second is what a busy machine may take to look."""
    handle = player.element_handle()
    page.wait_for_function("([player, from]) => !player.paused && player.currentTime > from", arg=[handle, seconds])
    assert seconds_of(player) < seconds + 3


def test_find_music(visitor: Visitor) -> None:
    text = visitor.page.get_by_label("What should be heard?")
    visitor.page.get_by_role("button", name="A quiet piece").click()
    expect(text).to_have_value(EXAMPLES["A quiet piece"])
    expect(visitor.page.locator("#found article")).to_have_count(0)  # an example waits for the button
    cards = find(visitor, "high tones over a calm verse")
    assert sorted(title.split(maxsplit=1)[1] for title in cards.locator("h3").all_inner_texts()) == sorted(SONGS)
    scores = [float(words.split()[-1]) for words in cards.locator(".soft", has_text="score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    first = cards.first
    expect(first.locator("svg.timeline svg text")).to_have_text(["verse", "chorus"])
    expect(first.locator("rect.span.first")).to_have_count(1)
    assert first.get_by_role("button").count() == first.locator("rect.span").count() >= 1


def test_a_span_and_a_place_in_the_picture_play_from_there(visitor: Visitor) -> None:
    cards = find(visitor, "a loud chorus")
    card, other = cards.nth(0), cards.nth(1)
    player = card.locator("audio")
    assert player.evaluate("player => player.readyState") == 0  # nothing is read before it is asked for
    button = card.locator("[data-seek]").first
    start = float(button.get_attribute("data-seek") or "nan")
    button.click()
    expect_playing_from(visitor.page, player, start)

    picture = card.locator("svg.timeline")
    box = picture.bounding_box()
    assert box is not None
    picture.click(position={"x": 0.75 * box["width"], "y": 60})
    expect_playing_from(visitor.page, player, 0.75 * SECONDS - 0.1)
    playhead = card.locator(".playhead")
    expect(playhead).to_have_attribute("visibility", "visible")
    expect(playhead).to_have_attribute("x1", re.compile(r"^(7[4-9]|[89]\d)"))

    other.locator("[data-seek]").first.click()  # one sounds at a time
    visitor.page.wait_for_function("player => player.paused", arg=player.element_handle())
    audio = [url for url in visitor.requests if "/file=" in url]
    assert audio
    assert all("song-" in url for url in audio)


def test_keys_alone_find_and_play(visitor: Visitor) -> None:
    page = visitor.page
    text = page.get_by_label("What should be heard?")
    text.focus()
    page.keyboard.type("calm tones")
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#found article")).to_have_count(len(SONGS))
    focused = page.locator(":focus")
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused.count() and focused.get_attribute("data-seek"):
            break
    start = float(focused.get_attribute("data-seek") or "nan")
    assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    player = page.locator("#found article").first.locator("audio")
    expect_playing_from(page, player, start)
    player.evaluate("player => { player.pause(); player.currentTime = 0; }")
    page.keyboard.press("Space")
    expect_playing_from(page, player, start)

    page.get_by_role("tab", name="Compare").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("First description")).to_be_visible()


def test_describe_a_song_of_the_library(visitor: Visitor) -> None:
    visitor.open_tab("Describe a track")
    visitor.page.get_by_label("Your own labels").fill("calm, loud\nwith drums,,")
    answer = described(visitor)
    expect(answer.locator(".tags li")).to_have_count(3)
    assert set(answer.locator(".tags .label").all_inner_texts()) == {"calm", "loud", "with drums"}
    shares = [int(words.rstrip("%")) for words in answer.locator(".tags .share").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=2)
    expect(answer.locator("article")).to_have_count(len(SONGS))
    expect(answer.locator("article").first.locator("svg.timeline svg text")).to_have_text(["verse", "chorus"])
    button = answer.locator("article").nth(1).locator("[data-seek]").first  # all pictures share the one player
    start = float(button.get_attribute("data-seek") or "nan")
    button.click()
    expect_playing_from(visitor.page, answer.locator("audio"), start)
    expect(answer.locator(".playhead").first).to_have_attribute("visibility", "visible")


def test_describe_an_upload(visitor: Visitor, tmp_path: Path) -> None:
    write_song(tmp_path / "my own song.mp3", number=1, seconds=4.0)
    visitor.open_tab("Describe a track")
    visitor.page.get_by_test_id("file-upload").first.set_input_files(tmp_path / "my own song.mp3")
    expect(visitor.page.get_by_role("tabpanel").get_by_label("A song of the library").first).to_have_value("")
    answer = described(visitor)
    expect(answer.locator(".listen h3")).to_have_text("my own song")
    expect(answer.locator("article")).to_have_count(len(SONGS))
    answer.locator("[data-seek]").first.click()
    expect_playing_from(visitor.page, answer.locator("audio"), 0.0)


def test_describe_a_recording(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open_tab("Describe a track")
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#timestamp, .timer, time", has_text=re.compile(r"0?0:0[2-9]")).first).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    answer = described(visitor)
    expect(answer.locator("article")).to_have_count(len(SONGS))


def test_errors_are_told_and_the_app_goes_on(visitor: Visitor, long_file: Path, tmp_path: Path) -> None:
    page = visitor.page
    page.get_by_role("button", name="Find music").click()
    expect(toast(page)).to_contain_text("is empty: write what should be heard")
    page.get_by_test_id("toast-close").click()
    expect(toast(page)).to_have_count(0)

    visitor.open_tab("Describe a track")
    upload = page.get_by_test_id("file-upload").first
    upload.set_input_files(long_file)
    described(visitor)
    expect(toast(page)).to_contain_text("lasts more than the limit of 10:00 minutes: 10:05")
    page.get_by_test_id("toast-close").click()
    page.locator("[data-testid^=waveform]").get_by_label("Clear").click()

    (tmp_path / "shopping list.wav").write_text("bread, milk and 2 < 3 apples\n" * 20)
    upload.set_input_files(tmp_path / "shopping list.wav")
    described(visitor)
    expect(toast(page)).to_contain_text("“shopping list.wav” cannot be read as audio")
    assert len(find_after_error(visitor)) == len(SONGS)


def find_after_error(visitor: Visitor) -> list[Locator]:
    visitor.open_tab("Find music")
    return find(visitor, "a calm verse").all()


def test_compare_with_swapped_sections(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open_tab("Compare")
    page.get_by_role("button", name="Take the song's own description").click()
    first, second = page.get_by_label("First description"), page.get_by_label("Second description")
    expect(first).to_have_value(re.compile("^Verse: A calm verse.*\nChorus: A loud chorus"))
    page.get_by_role("button", name="Swap the sections of the first").click()
    expect(second).to_have_value(re.compile("^Chorus: A loud chorus.*\nVerse: A calm verse"))
    page.get_by_role("button", name="Compare", exact=True).click()
    cards = page.locator("#compared article")
    expect(cards).to_have_count(2)
    left, right = boxes(cards)
    assert left["top"] == right["top"]
    assert left["right"] <= right["left"]
    expect(page.locator("#compared .verdict")).to_contain_text(re.compile("fits better, by|score the same"))


def test_texts_are_shown_as_they_are(visitor: Visitor) -> None:
    page = visitor.page
    text = "<img src=x onerror=alert(1)> ${1+1} {{value}} & 2 < 3"
    visitor.open_tab("Compare")
    page.get_by_label("First description").fill(text)
    page.get_by_label("Second description").fill("a verse")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("#compared article details p").first).to_have_text(text)


def test_two_users_at_once(visit: Callable[..., Visitor]) -> None:
    users = {name: visit() for name in ("Ann", "Ben")}
    for name, user in users.items():
        user.open_tab("Compare")
        user.page.get_by_label("First description").fill(f"{name} hears a calm verse")
        user.page.get_by_label("Second description").fill(f"{name} hears a loud chorus")
    for user in users.values():
        user.page.get_by_role("button", name="Compare", exact=True).click()
    for name, user in users.items():
        texts = user.page.locator("#compared details p")
        expect(texts).to_have_text([f"{name} hears a calm verse", f"{name} hears a loud chorus"])


def test_a_phone_shows_everything_without_scrolling_sideways(visit: Callable[..., Visitor]) -> None:
    visitor = visit(**PHONE)
    page = visitor.page
    find(visitor, "a calm verse")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert len({tab["top"] for tab in boxes(page.get_by_role("tab"))}) == 1
    for name in ("Describe a track", "Compare"):
        visitor.open_tab(name)
        assert page.evaluate("document.documentElement.scrollWidth") == 375
    page.get_by_label("First description").fill("a calm verse")
    page.get_by_label("Second description").fill("a loud chorus")
    page.get_by_role("button", name="Compare", exact=True).click()
    cards = page.locator("#compared article")
    expect(cards).to_have_count(2)
    above, below = boxes(cards)
    assert above["bottom"] <= below["top"]
    assert page.evaluate("document.documentElement.scrollWidth") == 375


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_dark(visit: Callable[..., Visitor], scheme: str) -> None:
    visitor = visit(color_scheme=scheme)
    card = find(visitor, "a calm verse").first
    shown = {
        name: luminance(card.locator(selector).first.evaluate(f"element => getComputedStyle(element).{style}"))
        for name, selector, style in (
            ("title", "h3", "color"),
            ("score", ".soft", "color"),
            ("button", ".spans button", "color"),
            ("label", "svg.timeline text", "fill"),
        )
    }
    paper = luminance(card.evaluate("element => getComputedStyle(element).backgroundColor"))
    assert (paper > 0.5) == (scheme == "light")
    # 4.5:1 is what WCAG asks of small text.
    assert {name for name, ink in shown.items() if contrast(ink, paper) < 4.5} == set()


def luminance(color: str) -> float:
    """Of a CSS colour `rgb(r, g, b)`, as WCAG defines it."""
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", color)[:3])
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: float, second: float) -> float:
    lighter, darker = max(first, second), min(first, second)
    return (lighter + 0.05) / (darker + 0.05)
