"""What a training example says: the caption of a track or a crop, its wording varied, and where each line is heard."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dataset_scripts.structure import crop_sections, section_line
from processing_collap import split_passages
from processing_collap.passages import without_stamp

Span = tuple[float, float]
"""First and last moment, as shares of the length of the track or crop."""

_UNSTAMPED_SHARE = 0.5
_SHORTENED_SHARE = 0.25
_ONE_LINE_SHARE = 0.25


class Line(NamedTuple):
    """A line of a caption, and where it is heard; `None` where that is the whole track, or not known."""

    text: str
    span: Span | None


class SpannedCaption(NamedTuple):
    """A caption and one span for each of its passages, see `processing_collap.split_passages`."""

    text: str
    spans: list[Span | None]


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
    return [Line(text, span) for text, span in zip(texts, [*[None] * opening, *spans], strict=True)]


def crop_lines(row: Mapping[str, Any], start: float, end: float, *, keep_global: bool) -> list[Line]:
    """The caption of `start`-`end` (seconds), line by line; its text is `crop_caption`'s."""
    lines = []
    for section in crop_sections(row, start, end):
        first, last = max(section["start"], start), min(section["end"], end)
        span = (first - start) / (end - start), (last - start) / (end - start)
        lines.append(Line(" ".join(section_line(section).split()), span))
    if (keep_global or not lines) and row["global_caption"]:
        lines.insert(0, Line(" ".join(row["global_caption"].split()), None))
    return lines


def as_caption(lines: list[Line]) -> SpannedCaption:
    """The lines as one text."""
    return _with_spans("\n".join(line.text for line in lines), [line.span for line in lines])


def varied(lines: list[Line], rng: np.random.Generator) -> SpannedCaption:
    """The lines as people might have written them: with their time stamps or without, all of them or a few, one below
    the other or as running text."""
    if rng.random() < _SHORTENED_SHARE:
        kept = np.sort(rng.permutation(len(lines))[: rng.integers(1, len(lines) + 1)])
        lines = [lines[i] for i in kept]
    unstamped, one_line = rng.random() < _UNSTAMPED_SHARE, rng.random() < _ONE_LINE_SHARE
    if unstamped:
        lines = [Line(without_stamp(line.text), line.span) for line in lines]
        if one_line:
            return SpannedCaption(" ".join(line.text for line in lines), [])
    return as_caption(lines)


def _with_spans(text: str, spans: list[Span | None]) -> SpannedCaption:
    """Spans only where the text has a passage for each line."""
    return SpannedCaption(text, spans if len(split_passages(text)) == len(spans) else [])
