"""Captions of training examples, varied, and the spans of their passages."""

from typing import Any

import numpy as np
import pytest

from dataset_scripts.structure import Span, crop_caption, crop_lines
from processing_collap import split_passages
from training_collap.captions import SpannedCaption, as_caption, beginning, track_lines, varied

ROW: dict[str, Any] = {
    "caption": "A slow song.\n**0:00-0:40:** Verse. A quiet piano.\n**0:40-1:20:** Chorus. The full band.",
    "global_caption": "A slow song.",
    "structure": [
        {"start": 0.0, "end": 40.0, "label": "verse", "caption": "A quiet piano."},
        {"start": 40.0, "end": 80.0, "label": "chorus", "caption": "The full\nband."},
    ],
    "duration": 80.0,
}


def spans(caption: SpannedCaption) -> list[Span | None]:
    return [line.span for line in caption.lines]


def tags_of(caption: SpannedCaption) -> list:
    return [line.tags for line in caption.lines]


def test_a_whole_caption_is_what_the_row_says_and_its_spans_are_the_sections() -> None:
    caption = as_caption(track_lines(ROW))
    assert caption.text == ROW["caption"]
    assert spans(caption) == [None, (0.0, 0.5), (0.5, 1.0)]


@pytest.mark.parametrize("text", ["One line about it all.", "Four\nlines\nabout\ntwo sections"])
def test_a_caption_of_another_layout_has_no_spans(text: str) -> None:
    caption = as_caption(track_lines({**ROW, "caption": text}))
    assert caption.text == text
    assert not any(spans(caption))


@pytest.mark.parametrize("keep_global", [True, False])
def test_a_crop(keep_global: bool) -> None:
    caption = as_caption(crop_lines(ROW, 30.0, 80.0, keep_global=keep_global))
    assert caption.text == crop_caption(ROW, 30.0, 80.0, keep_global=keep_global).replace("full\nband", "full band")
    assert spans(caption) == [None] * keep_global + [(0.0, pytest.approx(0.2)), (pytest.approx(0.2), 1.0)]


def test_varied_captions_keep_words_and_spans_together() -> None:
    """Over many draws every form comes up, and what a span belongs to never changes."""
    span_of = {"piano": (0.0, 0.5), "band": (0.5, 1.0)}
    seen = set()
    for seed in range(200):
        caption = varied(track_lines(ROW), np.random.default_rng(seed))
        passages = split_passages(caption.text)
        stamped, lines = "0:" in caption.text, caption.text.count("\n") + 1
        seen.add((stamped, lines))
        assert len(spans(caption)) in (0, len(passages))
        for passage, span in zip(passages, spans(caption), strict=False):
            text = caption.text[passage.start : passage.end]
            assert span == next((span_of[word] for word in span_of if word in text), None)
    assert {(True, 3), (False, 3), (False, 1), (False, 2)} <= seen
    assert (True, 2) not in seen  # the last time that is left would pass for the end of the track


def test_tags_go_with_the_lines_of_their_sections() -> None:
    row = {**ROW, "section_tags": [["instrument: piano"], ["instrument: band"]]}
    assert tags_of(as_caption(track_lines(row))) == [None, ["instrument: piano"], ["instrument: band"]]
    assert tags_of(as_caption(crop_lines(row, 45.0, 80.0, keep_global=False))) == [["instrument: band"]]
    assert tags_of(as_caption(track_lines(ROW))) == [None, None, None]
    for seed in range(50):
        caption = varied(track_lines(row), np.random.default_rng(seed))
        for line in caption.lines:
            wanted = {None: None, (0.0, 0.5): ["instrument: piano"], (0.5, 1.0): ["instrument: band"]}
            assert line.tags == wanted[line.span]


def test_what_a_line_says_goes_with_it_without_time_and_heading() -> None:
    said = ["A slow song.", "A quiet piano.", "The full\nband."]
    assert [line.caption for line in track_lines(ROW)] == said
    assert [line.caption for line in crop_lines(ROW, 0.0, 80.0)] == said
    for seed in range(50):
        for line in varied(track_lines(ROW), np.random.default_rng(seed)).lines:
            assert line.caption is not None
            assert line.caption.split()[-1] in line.text
    silent = {**ROW, "global_caption": "", "structure": [{**section, "caption": ""} for section in ROW["structure"]]}
    assert [line.caption for line in track_lines(silent)] == [None] * 3


def test_the_same_seed_gives_the_same_words() -> None:
    first, again = (varied(track_lines(ROW), np.random.default_rng(5)) for _ in range(2))
    assert first == again


def test_the_beginning_ends_with_a_sentence_and_mostly_an_early_one() -> None:
    text = "A slow song.\nVerse. A quiet piano.\nChorus. The full band."
    wholes = ["A slow song.", "A slow song.\nVerse.", "A slow song.\nVerse. A quiet piano."]
    wholes += ["A slow song.\nVerse. A quiet piano.\nChorus.", text]
    drawn = [beginning(track_lines(ROW), np.random.default_rng(seed)) for seed in range(400)]
    counts = [sum(caption.text == whole for caption in drawn) for whole in wholes]
    assert sum(counts) == len(drawn)
    # ln 2, ln 3/2, ... of ln 6
    assert counts == pytest.approx([155, 91, 64, 50, 41], abs=30)
    assert counts[0] > counts[1] > counts[4] > 0
    assert not any(caption.lines for caption in drawn)


def test_the_beginning_of_a_text_without_a_full_stop_is_all_of_it() -> None:
    lines = track_lines({**ROW, "caption": "loud drums", "structure": []})
    assert beginning(lines, np.random.default_rng(0)).text == "loud drums"
