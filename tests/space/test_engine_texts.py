"""Texts and labels: their limits, and descriptions with their sections in another order."""

import pytest
from space_collap.limits import MAX_CHARACTERS, SpaceError, checked_labels, checked_text
from space_collap.swapping import swap_sections

from dataset_scripts.songbook.arranger import arrange
from dataset_scripts.songbook.caption import write_caption
from dataset_scripts.songbook.songwriter import write_song


@pytest.mark.parametrize("text", ["", " ", "\n\t \u00a0"])
def test_a_text_needs_words(text: str) -> None:
    with pytest.raises(SpaceError, match="The second description is empty"):
        checked_text(text, "the second description")


def test_a_text_has_a_limit() -> None:
    assert len(checked_text("a" * MAX_CHARACTERS)) == MAX_CHARACTERS
    with pytest.raises(SpaceError, match="10,001 characters; at most 10,000"):
        checked_text("a" * (MAX_CHARACTERS + 1))


def test_half_characters_do_no_harm() -> None:
    assert checked_text("a \ud83d b") == "a ? b"


def test_labels_once_each_and_without_space() -> None:
    assert checked_labels([" rock", "jazz ", "", "rock", " "]) == ("rock", "jazz")
    assert checked_labels([f"label {n}" for n in range(50)])[-1] == "label 49"
    with pytest.raises(SpaceError, match="51 labels; at most 50"):
        checked_labels([f"label {n}" for n in range(51)])
    with pytest.raises(SpaceError, match="101 characters; at most 100"):
        checked_labels(["a" * 101])


TIMED = """A song about a river.
**0:00-0:10 - Intro:** A piano alone.
**0:10-0:40 - Verse:** Drums enter.
**0:40-1:00 - Outro:** The piano again."""
SWAPPED = """A song about a river.
**0:00-0:20 - Outro:** The piano again.
**0:20-0:50 - Verse:** Drums enter.
**0:50-1:00 - Intro:** A piano alone."""


def test_times_are_laid_out_anew() -> None:
    assert swap_sections(TIMED) == SWAPPED
    assert swap_sections(SWAPPED) == TIMED


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("0-25%: soft strings\n25-100%: loud brass", "0-75%: loud brass\n75-100%: soft strings"),
        ("Intro: strings.\nVerse: brass.\n", "Verse: brass.\nIntro: strings."),
        (
            "It begins softly. Drums enter, then it is loud. It ends.",
            "It ends. Drums enter, then it is loud. It begins softly.",
        ),
    ],
)
def test_other_layouts(text: str, swapped: str) -> None:
    assert swap_sections(text).replace("**", "") == swapped


@pytest.mark.parametrize("seed", range(6))
def test_captions_of_the_songbook_swap_and_swap_back(seed: int) -> None:
    """Whichever clock and layout the caption is in, every word of it stays."""
    caption = write_caption(arrange(write_song(seed), 0)).caption
    swapped = swap_sections(caption)
    assert swapped != caption
    assert swapped.splitlines()[0] == caption.splitlines()[0]
    bodies = [line.partition(". ")[2] or line for line in caption.splitlines()[1:]]
    assert [line.partition(". ")[2] or line for line in swapped.splitlines()[1:]] != bodies
    assert swap_sections(swapped).splitlines()[-1].split()[-5:] == caption.splitlines()[-1].split()[-5:]
    assert sorted(word for word in swapped.split() if word.isalpha()) == sorted(
        word for word in caption.split() if word.isalpha()
    )


@pytest.mark.parametrize(
    "text", ["a slow piano ballad", "Drums.", "drums\ndrums", "A song in which drums enter, then leave"]
)
def test_one_section_has_no_other_order(text: str) -> None:
    with pytest.raises(SpaceError, match="no order to swap"):
        swap_sections(text)
