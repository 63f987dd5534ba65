"""Texts cut into passages."""

import pytest
import tiny

from processing_collap import split_passages
from processing_collap.passages import MAX_PASSAGES, without_stamp


def pieces(text: str) -> list[tuple[str, float]]:
    return [(text[p.start : p.end].strip(), round(p.place, 3)) for p in split_passages(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", [("one", 0.5)]),
        ("First. Second! Third?", [("First.", 0.167), ("Second!", 0.5), ("Third?", 0.833)]),
        ("quiet piano, then the full band", [("quiet piano,", 0.25), ("then the full band", 0.75)]),
        ("A song, and then silence", [("A song,", 0.25), ("and then silence", 0.75)]),
        ("a line. of two sentences\n\nanother line\n", [("a line. of two sentences", 0.25), ("another line", 0.75)]),
        ("It lasts 2-3 minutes. Then it ends.", [("It lasts 2-3 minutes.", 0.25), ("Then it ends.", 0.75)]),
        # FUTGA's layouts: percent with a heading, and bullets that belong to it
        (
            "Calm.\n**0-20% - Intro:** soft\n- a harp\n**20-100%:** loud",
            [("Calm.", 0.167), ("**0-20% - Intro:** soft\n- a harp", 0.1), ("**20-100%:** loud", 0.6)],
        ),
        # percent are of the track even where the text ends early, with either sign or both
        ("**0-20%:** a\n**20-40%:** b", [("**0-20%:** a", 0.1), ("**20-40%:** b", 0.3)]),
        ("0%-10% a\n10% - 30 % b", [("0%-10% a", 0.05), ("10% - 30 % b", 0.2)]),
        ("**0:00-1:00:** a\n**1:00-4:00:** b", [("**0:00-1:00:** a", 0.125), ("**1:00-4:00:** b", 0.625)]),
        ("[0:00 - 0:30] a\n[0:30 – 1:00] b", [("[0:00 - 0:30] a", 0.25), ("[0:30 – 1:00] b", 0.75)]),
        # behind a heading, in either brackets
        (
            "Calm.\nIntro (0-16 s): a\n**First pre-chorus** [16-64 s]: b",
            [("Calm.", 0.167), ("Intro (0-16 s): a", 0.125), ("**First pre-chorus** [16-64 s]: b", 0.625)],
        ),
        ("Verse (0:00-1:00): a\nEnd (1:00-4:00): b", [("Verse (0:00-1:00): a", 0.125), ("End (1:00-4:00): b", 0.625)]),
        ("Verse (0-20%): a\nVerse 2 (20-40%): b", [("Verse (0-20%): a", 0.1), ("Verse 2 (20-40%): b", 0.3)]),
        # but not among what a line says
        ("A choir (2-3 voices)\nA solo (1-2 bars)", [("A choir (2-3 voices)", 0.25), ("A solo (1-2 bars)", 0.75)]),
        (
            "A solo (1-2): a\nA choir of 3 or more (2-3): b",
            [("A solo (1-2): a", 0.25), ("A choir of 3 or more (2-3): b", 0.75)],
        ),
        # one stamp alone is no time line, nor are times that run backwards
        ("0:00-0:30: a\nb", [("0:00-0:30: a", 0.25), ("b", 0.75)]),
        ("30-20 a\n20-10 b", [("30-20 a", 0.25), ("20-10 b", 0.75)]),
    ],
)
def test_pieces_and_their_places(text: str, expected: list) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Calm.\n**0:00-1:00:** a\n**1:00-4:00:** b", [None, 30.0, 150.0]),
        ("[0-16 s] a\n[16-64 s] b", [8.0, 40.0]),
        ("Verse (0:20-1:00): a\nOutro (1:02:00-1:03:00): b", [40.0, 3750.0]),
        ("**0-20%:** a\n**20-100%:** b", [None, None]),
        ("0-20%: a\n20-40 s: b", [None, None]),  # which is meant?
        ("a\nb", [None, None]),
    ],
)
def test_seconds_where_the_stamps_tell(text: str, expected: list) -> None:
    assert [passage.seconds for passage in split_passages(text)] == expected


def test_many_sentences_are_taken_together() -> None:
    text = "One sentence. " * 40
    found = split_passages(text)
    assert len(found) == MAX_PASSAGES
    assert "".join(text[p.start : p.end] for p in found).count("sentence") == 40


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("**0:17-0:47:** First verse. Soft.", "First verse. Soft."),
        ("- **0-18% - Intro:** a harp", "Intro:** a harp"),
        ("[0:00 - 0:30] a", "a"),
        ("Verse (0:17-0:47): a harp", "Verse: a harp"),
        ("**First verse [0-18%]:** a harp", "**First verse:** a harp"),
        ("no stamp at all", "no stamp at all"),
    ],
)
def test_a_line_without_its_stamp(line: str, expected: str) -> None:
    assert without_stamp(line) == expected


@pytest.mark.parametrize("backbone", ["gpt2", "roberta"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_every_token_knows_its_passage(backbone: str, side: str) -> None:
    processor = tiny.processor(backbone)
    texts = ["quiet piano\nthe full band\nan end", "one"]
    inputs = processor(text=texts, padding_side=side)
    assert inputs["passage_places"].tolist() == [pytest.approx([1 / 6, 0.5, 5 / 6]), [0.5, -1.0, -1.0]]
    for row, expected in enumerate((["quiet piano", "the full band", "an end"], ["one"])):
        for passage, words in enumerate(expected):
            tokens = inputs["input_ids"][row][inputs["passage_ids"][row] == passage]
            # A tokenizer may lose the spaces between words.
            assert processor.tokenizer.decode(tokens).replace(" ", "").strip() == words.replace(" ", "")
    assert (inputs["passage_seconds"] == -1).all()
    assert (inputs["passage_ids"][inputs["attention_mask"] == 0] == -1).all()
    arrays = processor(text=texts, padding_side=side, return_tensors="np")
    assert (arrays["passage_ids"] == inputs["passage_ids"].numpy()).all()
