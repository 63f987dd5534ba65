"""What a training example says: the caption of a track or a crop, its wording varied, and where each line is heard."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dataset_scripts.structure import Line, Span, tags_of_sections
from processing_collap import split_passages
from processing_collap.passages import without_stamp

_UNSTAMPED_SHARE = 0.5
_SHORTENED_SHARE = 0.25
_ONE_LINE_SHARE = 0.25
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


class SpannedCaption(NamedTuple):
    """A caption, and the line that each of its passages is, see `processing_collap.split_passages`.

    There are no lines where the text has other passages.
    """

    text: str
    lines: list[Line]


def track_lines(row: Mapping[str, Any]) -> list[Line]:
    """The caption of a whole track, a row in the dataset schema, line by line.

    Where the last lines are as many as the row has sections, as in FUTGA's layout, they are taken for theirs.
    """
    texts = [line for line in row["caption"].splitlines() if line.strip()]
    sections = row["structure"] or ()
    # One global line at most: where there are more, which lines belong to which section is not known.
    opening = len(texts) - len(sections)
    if opening not in (0, 1):
        return [Line(text, None) for text in texts]
    length = row["duration"]
    spans: list[Span | None] = [(section["start"] / length, section["end"] / length) for section in sections]
    whole = [None] * opening
    captions = [*[row.get("global_caption") or None] * opening, *(section["caption"] or None for section in sections)]
    return [
        Line(*line) for line in zip(texts, [*whole, *spans], [*whole, *tags_of_sections(row)], captions, strict=True)
    ]


def as_caption(lines: list[Line]) -> SpannedCaption:
    """The lines as one text; they stay with it only where it has a passage for each."""
    text = "\n".join(line.text for line in lines)
    return SpannedCaption(text, lines if len(split_passages(text)) == len(lines) else [])


def varied(lines: list[Line], rng: np.random.Generator) -> SpannedCaption:
    """The lines as people might have written them: with their time stamps or without, all of them or a few, one below
    the other or as running text."""
    shortened, stamped, one_line = rng.random(3) < (_SHORTENED_SHARE, 1 - _UNSTAMPED_SHARE, _ONE_LINE_SHARE)
    if shortened:
        kept = np.sort(rng.permutation(len(lines))[: rng.integers(1, len(lines) + 1)])
        lines = [lines[i] for i in kept]
    # Order negatives take times relative to the last of them, which need not be among the lines any more.
    if shortened or not stamped:
        lines = [line._replace(text=without_stamp(line.text)) for line in lines]
        if one_line:
            return SpannedCaption(" ".join(line.text for line in lines), [])
    return as_caption(lines)


def beginning(lines: list[Line], rng: np.random.Generator) -> SpannedCaption:
    """The lines without their time stamps up to the end of some sentence, mostly an early one.

    Of n sentences it keeps 1 to n, so that each doubling is as likely. No line stays with it, for the last is cut.
    """
    text = "\n".join(without_stamp(line.text) for line in lines)
    ends = [match.end() for match in _SENTENCE_END.finditer(text)] or [len(text)]
    kept = int((len(ends) + 1) ** rng.random())
    return SpannedCaption(text[: ends[kept - 1]], [])
