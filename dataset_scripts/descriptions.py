"""What music language models write about a song, read into the dataset schema.

A model is asked for a paragraph on the whole song and for its sections with their times, and answers in forms of its
own. `description_times.py` reads the spans, `description_layout.py` and `description_json.py` find the sections,
`description_labels.py` their labels; here they are brought to seconds and checked. Nothing of a description is lost:
see `ParsedDescription`.
"""

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from .description_json import read_json
from .description_layout import Entry, Layout, read_layout
from .description_times import Unit, bare_unit, in_seconds

# What is shorter, in seconds, is no section; 32-bit times of the longest tracks still tell its ends apart.
MIN_SECTION = 0.1
# Holes, overlaps and ends after the track's come from rounding if no longer than this: seconds, or a share of it.
_SLACK, _SLACK_SHARE = 1.0, 0.01
# Openings that speak of the task: "Sure!", "Here is the description:", "Based on the music analysis below, ...".
_ABOUT_TEXT = r"\b(?:description|analysis|caption|breakdown|summary|overview|information)\b"
_BOILERPLATE = re.compile(
    r"\s*((?:sure|certainly|of course|okay|absolutely)\s*[.!,:]|"
    rf"(?:here(?:'s|’s| is| are)|below is|the following is)\b[^.:]*(?::|{_ABOUT_TEXT}[^.:]*\.)(?=\s|$)|"
    rf"(?:based on|according to|given|from)\s+(?:the|this|your)\s+[^.,:]*{_ABOUT_TEXT}[^.,:]*[,:]|"
    rf"(?:this|the)\s+(?:\w+\s+){{0,3}}{_ABOUT_TEXT}\s+(?:\w+\s+)?(?:below|above)\b[^.:]*[.:](?=\s|$))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class DescribedSection:
    """What is heard from `start` to `end`, in seconds; the text has no times and stands on one line."""

    start: float
    end: float
    label: str
    caption: str


@dataclass(frozen=True, slots=True)
class ParsedDescription:
    """A description and its parts.

    Every word of the description is in `caption`, in order. Every word that is not part of a span ("From 0:00 to 0:30",
    "Time: 0-18%") or a number of a list is in one of the parts too, and the parts are in the order of writing as long
    as the sections were written in the order of time and nothing was left over.

    - `caption`: the whole text as written, see `clean_text`; of an answer in JSON what `format_caption` makes of it.
    - `global_caption`: what is said of the whole song, on one line; "" if nothing is.
    - `sections`: sorted by time, within the duration, each at least `MIN_SECTION` long.
    - `leftovers`: text that belongs to neither: headings of the whole, openings that speak of the task and not of the
      song, passages whose span cannot be (with that span), and remarks after the last section.
    - `flags`: what was amiss or had to be guessed, sorted:

      | flag | meaning |
      | --- | --- |
      | empty | there is no text |
      | json | the answer was JSON |
      | boilerplate | the opening speaks of the task |
      | no-sections | no spans were found, or none that can be |
      | no-global-caption | nothing is said of the whole song |
      | global-caption-last | what is said of the whole song came after the sections |
      | text-after-sections | remarks after the sections are left over |
      | bare-numbers | the unit of the spans is a guess, see `bare_unit` |
      | ends-inferred | only starts are written: a section ends where the next one starts |
      | reversed-span | a start after its end; the two were changed over |
      | past-the-end | a section ends after the track, and was cut, or starts after it, and is left over |
      | empty-span | a section with no length to speak of is left over |
      | out-of-order | sections were not in the order of time |
      | gap, overlap | sections do not join: by more than a second and than 1% of the track |
      | no-label, no-text | a section has a span and nothing else of this kind |
    """

    caption: str
    global_caption: str
    sections: tuple[DescribedSection, ...]
    leftovers: tuple[str, ...]
    flags: tuple[str, ...]

    def columns(self) -> dict[str, Any]:
        """The columns `caption`, `global_caption` and `structure` of a row."""
        structure = [asdict(section) for section in self.sections]
        return {"caption": self.caption, "global_caption": self.global_caption, "structure": structure}


def parse_description(text: str, duration: float) -> ParsedDescription:
    """Reads the description of a song that lasts `duration` seconds.

    Spans may be in percent, seconds, minutes, m:ss or h:mm:ss, or numbers whose unit `bare_unit` decides; sections may
    be headings with lists or text below, single lines, sentences ("From 0:00 to 0:30, ..."), or objects in JSON.

    Raises:
        ValueError: the duration is not a positive number. No text is refused.
    """
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"a description needs the duration of its track in seconds, got {duration:g}.")
    text = clean_text(text)
    flags = set() if text else {"empty"}
    layout = read_json(text)
    if is_json := layout is not None:
        flags.add("json")
    layout = layout or read_layout(text)
    boilerplate, overall = _without_boilerplate(layout.opening)
    leftovers = [*boilerplate, *layout.headings]
    if boilerplate:
        flags.add("boilerplate")
    sections, unplaced = _place(layout, duration, flags)
    leftovers += unplaced
    if layout.closing and not overall:
        overall = layout.closing
        flags.add("global-caption-last")
    elif layout.closing:
        leftovers.append(layout.closing)
        flags.add("text-after-sections")
    if not overall:
        flags.add("no-global-caption")
    if not sections:
        flags.add("no-sections")
    caption = "\n".join([format_caption(overall, sections), *leftovers]).strip() if is_json else text
    return ParsedDescription(caption, overall, tuple(sections), tuple(leftovers), tuple(sorted(flags)))


def format_caption(global_caption: str, sections: Iterable[DescribedSection]) -> str:
    """The whole text in a layout of the songbook, which `parse_description` and `split_passages` take apart again.

    A line for the whole song, then one for each section, as "**0:17-0:47 - Verse:** The drums enter." Times are in
    whole seconds, but for sections whose start and end would be the same.
    """
    lines = [" ".join(global_caption.split())]
    for section in sections:
        digits = 0
        while digits < 3 and round(section.start, digits) >= round(section.end, digits):
            digits += 1
        span = f"{_clock(section.start, digits)}-{_clock(section.end, digits)}"
        head = f"**{span} - {section.label}:**" if section.label else f"**{span}:**"
        lines.append(" ".join(f"{head} {section.caption}".split()))
    return "\n".join(line for line in lines if line)


def clean_text(text: str) -> str:
    """A description as it is stored: words and marks as written, with line breaks, spaces and code fences put right.

    Line breaks are "\\n" (also where they came as a backslash and an n, if there are no others), control characters are
    spaces, lines end without spaces, no more than one blank line stands between two, and a code fence around all of the
    text is taken off. Half characters that no UTF-8 can hold become "?".
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = "\n".join(text.splitlines())
    if "\n" not in text:
        text = text.replace("\\n", "\n")
    text = "".join(" " if unicodedata.category(char) == "Cc" and char != "\n" else char for char in text)
    if fence := re.fullmatch(r"\s*```\w*\n(.*?)\n?```\s*", text, re.DOTALL):
        text = fence[1] if "```" not in fence[1] else text
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _without_boilerplate(opening: str) -> tuple[list[str], str]:
    """Sentences that speak of the task, and the opening without them."""
    found = []
    while match := _BOILERPLATE.match(opening):
        found.append(match[1])
        opening = opening[match.end() :].strip()
    return found, opening


def _place(layout: Layout, duration: float, flags: set[str]) -> tuple[list[DescribedSection], list[str]]:
    """The sections in seconds, sorted, and the text of those that have no place; adds to the flags."""
    spans = [entry.span for entry in layout.entries]
    if any(time.unit == "bare" for span in spans for time in (span.start, span.end)):
        flags.add("bare-numbers")
    if layout.inferred:
        flags.add("ends-inferred")
    unit = bare_unit(spans, duration)
    sections, unplaced = [], []
    for entry in layout.entries:
        section = _section(entry, unit, duration, flags)
        if section is None:
            unplaced.append(entry.raw)
        else:
            sections.append(section)
    ordered = sorted(sections, key=lambda section: (section.start, section.end))
    if ordered != sections:
        flags.add("out-of-order")
    _look_for_joints(ordered, duration, flags)
    return ordered, unplaced


def _section(entry: Entry, bare: Unit, duration: float, flags: set[str]) -> DescribedSection | None:
    start, end = (in_seconds(time, bare, duration) for time in (entry.span.start, entry.span.end))
    if start > end:
        start, end = end, start
        flags.add("reversed-span")
    if end > duration + _slack(duration) or start >= duration:
        flags.add("past-the-end")
    end = min(end, duration)
    if start < duration and end - start < MIN_SECTION:
        flags.add("empty-span")
    if end - start < MIN_SECTION:
        return None
    if not entry.label:
        flags.add("no-label")
    if not entry.text:
        flags.add("no-text")
    return DescribedSection(start, end, entry.label, entry.text)


def _look_for_joints(sections: list[DescribedSection], duration: float, flags: set[str]) -> None:
    slack = _slack(duration)
    reached = 0.0
    for section in sections:
        if section.start > reached + slack:
            flags.add("gap")
        elif section.start < reached - slack:
            flags.add("overlap")
        reached = max(reached, section.end)
    if sections and reached < duration - slack:
        flags.add("gap")


def _slack(duration: float) -> float:
    return max(_SLACK, _SLACK_SHARE * duration) + 1e-3


def _clock(seconds: float, digits: int) -> str:
    whole = round(seconds, digits)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(int(minutes), 60)
    width = 2 + (digits + 1 if digits else 0)
    tail = f"{rest:0{width}.{digits}f}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"
