"""Songs with their sections in another order: only the order changes, and nothing else gives it away."""

import itertools
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from dataset_scripts.permutation import (
    ORDINALS,
    CaptionLayout,
    permute_audio,
    permute_row,
    permute_structure,
    random_orders,
    reversed_order,
)
from dataset_scripts.songbook import arrange, write_caption, write_song
from dataset_scripts.songbook.caption import LAYOUTS
from dataset_scripts.songbook.caption import ORDINALS as SONGBOOK_ORDINALS
from processing_collap import load_audio
from tests import tiny

RATE = 8000


def song(*sections: tuple[str, float, str], head: float = 0.0, tail: float = 0.0) -> dict[str, Any]:
    """A row of (label, seconds, text), in the songbook's default layout."""
    structure, position = [], head
    for label, seconds, text in sections:
        structure.append({"start": position, "end": position + seconds, "label": label, "caption": text})
        position += seconds
    row = {
        "id": "song",
        "duration": position + tail,
        "global_caption": "A song in C major.",
        "structure": structure,
        "caption": "",
    }
    return {**row, "caption": CaptionLayout().write(row)}


@cache
def songbook_row(seed: int) -> dict[str, Any]:
    """A row of the songbook without audio."""
    arrangement = arrange(write_song(seed), seed)
    caption = write_caption(arrangement)
    return {
        "id": arrangement.id,
        "duration": arrangement.composition.duration,
        "caption": caption.caption,
        "global_caption": caption.global_caption,
        "structure": [
            {"start": p.start, "end": p.end, "label": p.label, "caption": p.caption} for p in caption.passages
        ],
    }


FOUR = song(("intro", 10, "Piano."), ("verse", 30, "Quiet."), ("chorus", 20, "Loud."), ("verse", 25, "Flute."))


def test_stamps_are_laid_out_anew_and_labels_counted_anew() -> None:
    assert FOUR["caption"].splitlines()[1:] == [
        "**0:00-0:10:** Intro. Piano.",
        "**0:10-0:40:** First verse. Quiet.",
        "**0:40-1:00:** Chorus. Loud.",
        "**1:00-1:25:** Second verse. Flute.",
    ]
    assert permute_row(FOUR, (3, 2, 1, 0))["caption"].splitlines() == [
        "A song in C major.",
        "**0:00-0:25:** First verse. Flute.",
        "**0:25-0:45:** Chorus. Loud.",
        "**0:45-1:15:** Second verse. Quiet.",
        "**1:15-1:25:** Intro. Piano.",
    ]


def test_captions_of_the_songbook_are_read_in_all_its_layouts() -> None:
    for header, clock, numbered in itertools.product(LAYOUTS, ("minutes", "seconds", "percent"), (True, False)):
        layout = CaptionLayout(header, clock, numbered)
        assert CaptionLayout.of({**FOUR, "caption": layout.write(FOUR)}) == layout
    for seed in range(6):
        row = songbook_row(seed)
        assert permute_row(row, range(len(row["structure"])))["caption"] == row["caption"]
    assert ORDINALS == SONGBOOK_ORDINALS


def test_stamps_may_be_rounded_otherwise() -> None:
    """The seconds of a row are float32: half a percent may be rounded up there and down here."""
    layout = CaptionLayout("[{span}] {label}:", "percent", True)
    written = layout.write(FOUR)
    assert "[0-12%]" in written
    assert CaptionLayout.of({**FOUR, "caption": written.replace("[0-12%]", "[0-13%]")}) == layout


def test_nothing_but_the_order_tells_a_permuted_caption() -> None:
    for seed in range(6):
        row = songbook_row(seed)
        for order in random_orders(row, 3, seed=0):
            permuted = permute_row(row, order)
            layout = CaptionLayout.of(row)
            assert CaptionLayout.of(permuted) == layout
            words = [sorted(re.sub(r"\d+", "0", layout.write(each)).split()) for each in (row, permuted)]
            assert words[0] == words[1]  # the same words as often, stamps aside
            assert permuted["caption"].splitlines()[0] == row["global_caption"]
            turns = re.findall(r"(First|Second|Third) verse", permuted["caption"])
            assert turns == list(ORDINALS[: len(turns)])
            assert permuted["structure"][-1]["end"] == pytest.approx(row["structure"][-1]["end"])


def test_captions_without_times_and_without_headers() -> None:
    layout, permuted = CaptionLayout.of(FOUR), permute_row(FOUR, (3, 2, 1, 0))
    assert layout.without_times().write(permuted).splitlines()[1:3] == ["First verse: Flute.", "Chorus: Loud."]
    assert layout.without_headers().write(permuted).splitlines()[1:3] == ["Flute.", "Loud."]


def test_a_caption_of_another_kind_gets_the_default_layout() -> None:
    row = {**FOUR, "caption": "Some words of its own."}
    assert CaptionLayout.of(row) == CaptionLayout()
    unlabelled = song(("", 10, "Piano."), ("", 10, "Flute."))
    assert permute_row(unlabelled, (1, 0))["caption"].endswith("**0:10-0:20:** Second section. Piano.")


def test_orders_are_distinct_seeded_and_never_the_true_one() -> None:
    orders = random_orders(FOUR, 9, seed=3)
    assert len(set(orders)) == 9
    assert (0, 1, 2, 3) not in orders
    assert orders == random_orders(FOUR, 9, seed=3) != random_orders(FOUR, 9, seed=4)
    assert len(random_orders(FOUR, 99, seed=0)) == 23
    assert reversed_order(FOUR) == (3, 2, 1, 0)


def test_sections_that_tell_the_same_are_not_told_apart() -> None:
    same = song(("verse", 10, "Loud."), ("verse", 20, "Loud."), ("verse", 15, "Loud."))
    assert random_orders(same, 9, seed=0) == []
    assert reversed_order(same) is None
    mirrored = song(("verse", 10, "Loud."), ("chorus", 20, "Soft."), ("verse", 15, "Loud."))
    assert reversed_order(mirrored) is None
    told = {tuple(mirrored["structure"][i]["caption"] for i in order) for order in random_orders(mirrored, 9, seed=0)}
    assert told == {("Soft.", "Loud.", "Loud."), ("Loud.", "Loud.", "Soft.")}
    assert random_orders({**FOUR, "structure": []}, 9, seed=0) == []
    assert reversed_order({**FOUR, "structure": None}) is None


def test_gaps_travel_with_the_section_before_them() -> None:
    row = song(("a", 10, "A."), ("b", 10, "B."), ("c", 10, "C."), head=2.0)
    row["structure"][0]["end"] = 9.0
    spans = [(s["label"], s["start"], s["end"]) for s in permute_structure(row, (1, 0, 2))]
    assert spans == [("b", 2.0, 12.0), ("a", 12.0, 19.0), ("c", 22.0, 32.0)]
    assert permute_structure(row, (0, 1, 2)) == row["structure"]


def levels(row: dict[str, Any]) -> np.ndarray:
    """Audio of a constant level a section, (samples,): 1, 2, 3 and so on; 0 before and behind."""
    samples = np.zeros(round(row["duration"] * RATE), dtype=np.float32)
    for level, section in enumerate(row["structure"], start=1):
        samples[round(section["start"] * RATE) : round(section["end"] * RATE)] = level
    return samples


def test_audio_follows_the_structure() -> None:
    row = song(("a", 1.0, "A."), ("b", 2.0, "B."), ("c", 1.5, "C."), head=0.5, tail=0.25)
    order = (2, 0, 1)
    samples = levels(row)
    permuted = permute_audio(samples, RATE, row, order)
    assert permuted.shape == samples.shape
    assert permuted.dtype == np.float32
    for index, section in zip(order, permute_structure(row, order), strict=True):
        inside = permuted[round((section["start"] + 0.01) * RATE) : round((section["end"] - 0.01) * RATE)]
        assert np.all(inside == index + 1)
    assert np.all(permuted[: round(0.49 * RATE)] == 0)
    assert np.all(permuted[-round(0.24 * RATE) :] == 0)


def test_joins_are_crossfaded() -> None:
    row = song(("a", 1.0, "A."), ("b", 1.0, "B."))
    permuted = permute_audio(levels(row), RATE, row, (1, 0), crossfade_seconds=0.1)
    join = permuted[round(0.95 * RATE) : round(1.05 * RATE)]
    # The last 50 ms of section b, whose level is 2, run out; what lies before section a is silence, then comes level 1.
    assert np.abs(np.diff(permuted)).max() < 0.6
    assert join[0] == pytest.approx(2.0, abs=0.01)
    assert join[-1] == pytest.approx(1.0, abs=0.01)


def test_the_true_order_gives_the_audio_back() -> None:
    row = song(("a", 1.0, "A."), ("b", 0.007, "B."), ("c", 1.5, "C."), head=0.5, tail=0.25)
    samples = np.random.default_rng(0).uniform(-1, 1, (2, round(row["duration"] * RATE))).astype(np.float32)
    np.testing.assert_allclose(permute_audio(samples, RATE, row, (0, 1, 2)), samples, atol=1e-6)


def test_a_permuted_row_is_a_row() -> None:
    row = tiny.row(0)
    permuted = permute_row(row, (1, 0))
    before, after = (load_audio(each["audio"]["bytes"]).numpy() for each in (row, permuted))
    assert len(after) == len(before)
    half = len(before) // 2
    np.testing.assert_allclose(after[:-half][:-200], before[half:][:-200], atol=1e-4)
    assert permuted["id"] != row["id"]
    assert [section["label"] for section in permuted["structure"]] == ["chorus", "verse"]
    assert permuted.keys() == row.keys()
    assert row["structure"][0]["label"] == "verse"  # untouched


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 2, 2), (1, 2, 3, 4)])
def test_an_order_of_other_sections_is_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="song has 4 sections"):
        permute_row(FOUR, order)


def test_sections_out_of_time_and_audio_that_is_too_short_are_refused() -> None:
    row = {**FOUR, "structure": FOUR["structure"][::-1]}
    with pytest.raises(ValueError, match="follow one another"):
        permute_structure(row, (0, 1, 2, 3))
    with pytest.raises(ValueError, match="the sections end at 85"):
        permute_audio(np.zeros(10 * RATE, np.float32), RATE, FOUR, (3, 2, 1, 0))
