"""Captions of crops: what a row's `structure` says about the seconds that were cut out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MIN_OVERLAP = 3.0  # seconds: less of a passage is too little to hear what it describes


Span = tuple[float, float]
"""First and last moment, as shares of the length of the track or crop."""


class Line(NamedTuple):
    """A line of a caption, where it is heard (`None` where that is the whole track, or not known), the tags of its
    section, and what the line says without time or heading; `None` where they are not known."""

    text: str
    span: Span | None
    tags: Sequence[str] | None = None
    caption: str | None = None


def crop_sections(row: Mapping[str, Any], start: float, end: float) -> list[Mapping[str, Any]]:
    """The sections of a row in the dataset schema whose passages speak of `start`-`end` (seconds of the track).

    A passage is kept where it overlaps the crop by `MIN_OVERLAP` seconds or by half of the crop; where none does, the
    one with the longest overlap is.

    Raises:
        ValueError: the crop is empty.
    """
    if not start < end:
        raise ValueError(f"A crop needs start < end, got {start:g}-{end:g} s.")
    overlaps = [
        (min(end, section["end"]) - max(start, section["start"]), section)
        for section in row["structure"] or ()
        if section["caption"]
    ]
    longest = max((overlap for overlap, _ in overlaps), default=0.0)
    wanted = min(MIN_OVERLAP, 0.5 * (end - start), longest)
    return [section for overlap, section in overlaps if overlap >= wanted > 0]


def section_line(section: Mapping[str, Any]) -> str:
    """What a section is and what is heard in it, without its times."""
    return f"{section['label'].capitalize()}: {section['caption']}" if section["label"] else section["caption"]


def tags_of_sections(row: Mapping[str, Any]) -> Sequence[Sequence[str] | None]:
    """The tags of every section of a row, `None` where it has none to tell."""
    return row.get("section_tags") or [None] * len(row["structure"] or ())


def crop_lines(row: Mapping[str, Any], start: float, end: float, *, keep_global: bool = True) -> list[Line]:
    """The caption of `start`-`end` (seconds from the start of the track) of a row in the dataset schema, line by line.

    Passages say what is heard and not when, so the crop's caption has no times: they would be those of the whole track.
    With `keep_global` the global caption comes first; it stands alone where no passage lies in the crop, see
    `crop_sections`.

    Raises:
        ValueError: the crop is empty.
    """
    tags = dict(zip((section["start"] for section in row["structure"] or ()), tags_of_sections(row), strict=True))
    lines = []
    for section in crop_sections(row, start, end):
        first, last = max(section["start"], start), min(section["end"], end)
        span = (first - start) / (end - start), (last - start) / (end - start)
        lines.append(Line(" ".join(section_line(section).split()), span, tags[section["start"]], section["caption"]))
    if (keep_global or not lines) and row["global_caption"]:
        lines.insert(0, Line(" ".join(row["global_caption"].split()), None, caption=row["global_caption"]))
    return lines


def crop_caption(row: Mapping[str, Any], start: float, end: float, *, keep_global: bool = True) -> str:
    """`crop_lines` as one text."""
    return "\n".join(line.text for line in crop_lines(row, start, end, keep_global=keep_global))
