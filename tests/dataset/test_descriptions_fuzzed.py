"""Descriptions in no form at all, and captions in the house's own: no word is lost, and sections stay in the track."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataset_scripts.descriptions import (
    MIN_SECTION,
    DescribedSection,
    ParsedDescription,
    clean_text,
    format_caption,
    parse_description,
)
from processing_collap.passages import split_passages

# Words that mean nothing and can be told from each other, and all that models put around them.
WORDS = [f"k{a}m{b}r" for a in "aeiou" for b in "aeiou"]
# fmt: off
PIECES = [
    "0-18%", "0:00-0:30", "0:30 – 1:10", "60-40", "0-16", "16-100", "120-200 s", "1:00:00-1:30:00", "0-1 min", "7-7",
    "From 0:10 to 0:20,", "between 5 and 9 seconds", "[0:40]", "(1:20-1:40)", "2:30-end", "**0-18% - ", "**31-47:**",
    "Time: ", "then", "to", "%", "**", ":", ":**", "*", "__", "`", "```", "[", "]", "(", ")", "|", "#", "## ", ">",
    "---", ".", "!", ",", "{", "}", "- ", "1. ", "2) ", "• ", "Intro", "Verse 2", "Chorus", "Section 1:", "Overall,",
    "Global description:", "Here is the analysis:", "Based on the music analysis below,", "```json\n",
    '{"start": 0, "end": 9, "label": "', '"}', "\\n", "\n", "\n", "\n", "\n\n", " ", " ", " ", "\t", "\x0b", "\u2028",
]
# fmt: on


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """Marks, spans and line breaks in any order, and between them words, each once and in their order."""
    words = iter(WORDS)
    parts = []
    for piece in draw(st.lists(st.sampled_from([*PIECES, *[None] * 30]), max_size=40)):
        word = next(words, "") if piece is None else None
        parts.append(f" {word} " if word else piece or "")
    return "".join(parts)


def words_in(*texts: str) -> list[str]:
    return [word for text in texts for word in re.findall("k[aeiou]m[aeiou]r", text)]


def parts_of(parsed: ParsedDescription) -> list[str]:
    sections = [text for section in parsed.sections for text in (section.label, section.caption)]
    return [parsed.global_caption, *sections, *parsed.leftovers]


def check_sections(parsed: ParsedDescription, duration: float) -> None:
    for section in parsed.sections:
        assert 0 <= section.start < section.end <= duration
        assert section.end - section.start >= MIN_SECTION
        assert "\n" not in section.caption + section.label
    assert all((a.start, a.end) <= (b.start, b.end) for a, b in pairwise(parsed.sections))


DURATIONS = st.floats(min_value=1e-3, max_value=1e5)


@settings(max_examples=300, deadline=None)
@given(descriptions(), DURATIONS)
@example("**0-18% - kamar\n** kamer\n\n### kamir\n0:10-0:20\nkamor", 60.0)
def test_no_word_is_lost(text: str, duration: float) -> None:
    parsed = parse_description(text, duration)
    check_sections(parsed, duration)
    parts = parts_of(parsed)
    assert sorted(words_in(*parts)) == words_in(text) == words_in(clean_text(text))
    for part in parts:
        assert words_in(part) == sorted(words_in(part))
    if not parsed.leftovers and not {"out-of-order", "global-caption-last"} & set(parsed.flags):
        assert words_in(*parts) == words_in(text)
    if "json" in parsed.flags:
        assert sorted(words_in(parsed.caption)) == words_in(text)
    else:
        assert parsed.caption == clean_text(text)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200), DURATIONS)
def test_no_text_is_refused(text: str, duration: float) -> None:
    parsed = parse_description(text, duration)
    check_sections(parsed, duration)
    assert parsed.caption == clean_text(text) or "json" in parsed.flags
    assert parse_description(parsed.caption, duration).caption == parsed.caption


SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(
    lambda words: f"{' '.join(words)}.".capitalize()
)


@st.composite
def contiguous(draw: st.DrawFn) -> list[DescribedSection]:
    edges = sorted(draw(st.sets(st.integers(0, 7200), min_size=3, max_size=12)))
    labels = st.sampled_from(["Intro", "Verse 2", "Section 1: Verse", "Cover Song", "Pre-Chorus/Hook"])
    return [DescribedSection(float(a), float(b), draw(labels), draw(SENTENCES)) for a, b in pairwise(edges)]


@settings(max_examples=60, deadline=None)
@given(SENTENCES | st.just(""), contiguous())
def test_layout_is_read_back(overall: str, sections: list[DescribedSection]) -> None:
    caption = format_caption(overall, sections)
    parsed = parse_description(caption, sections[-1].end)
    assert (parsed.caption, parsed.global_caption, parsed.sections) == (caption, overall, tuple(sections))
    assert parsed.leftovers == ()


@settings(max_examples=60, deadline=None)
@given(SENTENCES | st.just(""), contiguous())
def test_layout_is_split_into_its_passages(overall: str, sections: list[DescribedSection]) -> None:
    caption = format_caption(overall, sections)
    passages = [caption[passage.start : passage.end].strip() for passage in split_passages(caption)]
    assert passages == caption.split("\n")
    assert len(passages) == len(sections) + bool(overall)
    places = [passage.place for passage in split_passages(caption)[bool(overall) :]]
    last = sections[-1].end
    assert places == pytest.approx([(section.start + section.end) / (2 * last) for section in sections])


def test_layout_of_short_sections() -> None:
    sections = [DescribedSection(59.96, 60.1, "Hit", "Drums."), DescribedSection(3600.0, 3661.4, "", "Silence.")]
    caption = format_caption("Calm\nand long.", sections)
    assert caption == "Calm and long.\n**1:00.0-1:00.1 - Hit:** Drums.\n**1:00:00-1:01:01:** Silence."
    assert [passage.start for passage in split_passages(caption)] == [0, 15, 47]
