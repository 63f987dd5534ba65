"""The passages of a text: what it says piece by piece, and where each piece stands."""

import re
from itertools import pairwise
from typing import NamedTuple

# More lines or sentences than this speak of no sections any more, and every passage costs.
MAX_PASSAGES = 16


class Passage(NamedTuple):
    """A piece of a text: its characters `start` to `end`, and its place in the text (or track), from 0 to 1.

    Where a time stamp says at how many `seconds` of the track it stands, these are there too; or else they are `None`.
    """

    start: int
    end: int
    place: float
    seconds: float | None = None


class _Stamp(NamedTuple):
    """The times of the line that begins at the character `line`, in seconds or percent."""

    line: int
    start: float
    end: float
    percent: bool

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


_TIME = r"\d+(?::\d\d){0,2}(?:\.\d+)?"
_TIMES = rf"(?P<start>{_TIME})\s*(?:s|sec|%)?\s*(?:-|–|—|to)\s*(?P<end>{_TIME})"
# A line such as "**0:17-0:47:** First verse", "[1:05 - 1:30] Chorus", "0-18% - Intro" or "- **16-31:** Verse".
_TIMES_FIRST = re.compile(rf"[\s*\-•\[(]*{_TIMES}(?=\s*(?P<percent>%)|[\s:\])s*]|$)")
# Or one with a heading of some words before: "First verse (0:17-0:47): ...", "**Intro** [0-18%]: ...".
_HEADING_FIRST = re.compile(
    r"(?P<heading>[\s*\-•]*[^\W\d_][^\s(\[:.]*\s+(?:[^\s(\[:.]+\s+){0,3})"
    rf"[(\[]\s*{_TIMES}\s*(?:(?P<percent>%)|s|sec)?\s*[)\]](?=\**\s*:)"
)
_LINE = re.compile(r"[^\n]*\S[^\n]*")
# Sentences, and what a sentence says happens next.
_NEXT = re.compile(r"(?<=[.!?;])\s+(?=\S)|,\s+(?=(?:and\s+)?then\b)", re.IGNORECASE)


def split_passages(text: str) -> list[Passage]:
    """The passages of a text in their order.

    A text with time stamps at the start of at least two lines, or there behind a heading of at most four words, has a
    passage from each stamp to the next, placed at the middle of its times: relative to the last of them, or to 100 if
    they are in percent. Times without a sign are seconds. What stands before the first stamp is a passage too.

    A text without has one a line, or, if it is one line, one a sentence, and "then" within a sentence starts another;
    where these are more than `MAX_PASSAGES`, neighbours are taken together. They are placed evenly.
    """
    lines = list(_LINE.finditer(text))
    stamps = [stamp for line in lines if (stamp := _stamp(line)) is not None]
    if len(stamps) > 1:
        return _stamped(text, stamps)
    spans = [line.span() for line in lines]
    if len(spans) == 1:
        spans = _sentences(text, *spans[0])
    spans = _merged(spans)
    return [Passage(start, end, (i + 0.5) / len(spans)) for i, (start, end) in enumerate(spans)]


def without_stamp(line: str) -> str:
    """A line without its time stamp, and without the signs that set the stamp off."""
    if stamp := _TIMES_FIRST.match(line):
        return re.sub(r"^[\s*%:\])s\-–]+", "", line[stamp.end() :])
    if stamp := _HEADING_FIRST.match(line):
        return stamp["heading"].rstrip() + line[stamp.end() :]
    return line


def _stamp(line: re.Match[str]) -> _Stamp | None:
    """The time stamp of a line; one that ends before it starts is none."""
    if not (found := _TIMES_FIRST.match(line[0]) or _HEADING_FIRST.match(line[0])):
        return None
    stamp = _Stamp(line.start(), _seconds(found["start"]), _seconds(found["end"]), bool(found["percent"]))
    return stamp if stamp.start < stamp.end else None


def _stamped(text: str, stamps: list[_Stamp]) -> list[Passage]:
    last = max(stamp.end for stamp in stamps)
    if all(stamp.percent for stamp in stamps):
        last = max(last, 100.0)
    in_seconds = not any(stamp.percent for stamp in stamps)
    edges = [*(stamp.line for stamp in stamps), len(text)]
    passages = [
        Passage(*edge, stamp.middle / last, stamp.middle if in_seconds else None)
        for edge, stamp in zip(pairwise(edges), stamps, strict=True)
    ]
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
