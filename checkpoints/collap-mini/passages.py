"""The passages of a text: what it says piece by piece, and where each piece stands."""

import re
from itertools import pairwise
from typing import NamedTuple

# More lines or sentences than this speak of no sections any more, and every passage costs.
MAX_PASSAGES = 16


class Passage(NamedTuple):
    """A piece of a text: its characters `start` to `end`, and its place in the text (or track), from 0 to 1."""

    start: int
    end: int
    place: float


# A line such as "**0:17-0:47:** First verse", "[1:05 - 1:30] Chorus", "0-18% - Intro" or "- **16-31:** Verse".
_TIME = r"(\d+(?::\d\d){0,2}(?:\.\d+)?)"
_STAMPED_LINE = re.compile(
    rf"^[\s*\-•\[(]*{_TIME}\s*(?:s|sec|%)?\s*(?:-|–|—|to)\s*{_TIME}(?=\s*(%)|[\s:\])s*]|$)", re.MULTILINE
)
_LINE = re.compile(r"[^\n]*\S[^\n]*")
# Sentences, and what a sentence says happens next.
_NEXT = re.compile(r"(?<=[.!?;])\s+(?=\S)|,\s+(?=(?:and\s+)?then\b)", re.IGNORECASE)


def split_passages(text: str) -> list[Passage]:
    """The passages of a text in their order.

    A text with time stamps at the start of at least two lines has a passage from each stamp to the next, placed at the
    middle of its times: relative to the last of them, or to 100 if they are in percent. What stands before the first
    stamp is a passage too. A text
    without has one a line, or, if it is one line, one a sentence, and "then" within a sentence starts another; where
    these are more than `MAX_PASSAGES`, neighbours are taken together. They are placed evenly. A place is thus always
    relative, and says nothing of how long the track is.
    """
    lines = list(_STAMPED_LINE.finditer(text))
    stamps = [(match.start(), _seconds(match[1]), _seconds(match[2])) for match in lines]
    stamps = [stamp for stamp in stamps if stamp[1] < stamp[2]]
    if len(stamps) > 1:
        last = max(end for _, _, end in stamps)
        return _stamped(text, stamps, max(last, 100.0) if all(match[3] for match in lines) else last)
    spans = [match.span() for match in _LINE.finditer(text)]
    if len(spans) == 1:
        spans = _sentences(text, *spans[0])
    spans = _merged(spans)
    return [Passage(start, end, (i + 0.5) / len(spans)) for i, (start, end) in enumerate(spans)]


def without_stamp(line: str) -> str:
    """A line without the time stamp at its start, and without the signs that set the stamp off."""
    stamp = _STAMPED_LINE.match(line)
    return line if stamp is None else re.sub(r"^[\s*%:\])s\-–]+", "", line[stamp.end() :])


def _stamped(text: str, stamps: list[tuple[int, float, float]], last: float) -> list[Passage]:
    edges = [start for start, _, _ in stamps] + [len(text)]
    passages = [Passage(edges[i], edges[i + 1], (start + end) / (2 * last)) for i, (_, start, end) in enumerate(stamps)]
    if text[: edges[0]].strip():
        passages.insert(0, Passage(0, edges[0], 0.5 / (len(stamps) + 1)))
    return passages


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    edges = [start, *(match.end() for match in _NEXT.finditer(text, start, end)), end]
    return [(a, b) for a, b in pairwise(edges) if text[a:b].strip()]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most `MAX_PASSAGES` spans, each of about as many neighbours."""
    count = min(len(spans), MAX_PASSAGES)
    edges = [i * len(spans) // count for i in range(count + 1)]
    return [(spans[a][0], spans[b - 1][1]) for a, b in pairwise(edges)]


def _seconds(time: str) -> float:
    """Seconds of h:mm:ss, mm:ss or plain seconds; percent as they are."""
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total
