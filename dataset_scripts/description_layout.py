"""Descriptions as text: which lines are the headers of sections, what a header says, and what stands under it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .description_labels import is_short, names_function, one_line, plain, split_label, trimmed
from .description_times import MOMENT, SPAN, Span, Time, clock_seconds, read_span

_QUANTITY = re.compile(r"\b(?:tempo|bpm|bars?|measures?|beats?|hz|volume|range|key|pitch)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:(?:section|segment|part|phase)\s*)?(?:\d{1,2}|[A-Z])", re.IGNORECASE)
_MARKS = " \t>#*_•·|`+–—-[("
_LIST_NUMBER = re.compile(r"^\d{1,2}(?:[.)]|:(?=\s))(?=[\s*\[(])")
_TIME_WORD = re.compile(r"^(?:time(?:\s?stamps?|\s?range|\s?span)?|timing|span|duration)\s*[:*_]+\s*", re.IGNORECASE)
_OPENER = re.compile(r"(?:then|next|finally|and|lastly),?\s+(?=\S)", re.IGNORECASE)
_STAMP = re.compile(rf"{SPAN}(?P<rest>(?!\s*(?:[–—-]|to\b)\s*\d).*)", re.IGNORECASE)
_MOMENT = re.compile(rf"{MOMENT}(?P<rest>(?!\w|:\d).*)", re.IGNORECASE)
# What closes the span after a label: the end of the line, a colon or dash, or a bracket before another sentence.
_CLOSED = r"[\s*_`]*(?:$|[:|*]|[\])][\s*_`]*(?:$|[:.,|]|[–—-]\s|(?-i:[A-Z\"'“]))|[–—-]\s)"
_LABELLED = re.compile(
    rf"(?P<label>.{{1,80}}?)(?P<join>[\s*_`]*[\[(|]|[\s*_`]*:|\s+[–—-]|\s)[\s*_`\[(]*{SPAN}"
    rf"(?P<rest>(?:{_CLOSED}|\s*\().*)",
    re.IGNORECASE,
)
_DELIMITED = re.compile(r"\s*(?:[:\])*_|`]|[–—-]\s)")
# A paragraph that lost its line breaks, and sentences that open with a span.
_BOLD_HEADER = re.compile(rf"(?<=\S)[ \t]++(?=\*\*\s*(?:{SPAN})[^*\n]{{0,80}}\*\*)", re.IGNORECASE)
_SPAN_SENTENCE = re.compile(rf"(?<=[.!?])[ \t]++(?=(?:{_OPENER.pattern})?[\[(]?{SPAN})", re.IGNORECASE)
_HEADING = re.compile(r"\s*#+\s.*|\s*(?:\d{1,2}[.)]\s*)?\*\*[^*]+\*\*\s*:?\s*")
_BULLET = re.compile(r"\s*(?:[-*•·+–—]|\d{1,2}[.)])\s")
_CLOSING = re.compile(
    r"(?:overall|in (?:summary|conclusion|short|total|essence)|to (?:sum up|summari[sz]e|conclude)|altogether|"
    r"all in all|as a whole|taken together|summary|conclusion)\b",
    re.IGNORECASE,
)
# Headings of the whole and of the list of sections, not of one.
_TITLE = re.compile(
    r"(?:(?:global|overall|general|full|whole|music(?:al)?|song|track|detailed|functional|time-?stamped|temporal)[\s-]+)*"
    r"(?:descriptions?|captions?|summary|overview|analysis|impression|structure|sections|segments|breakdown|timeline|"
    r"global|overall|general|music|song|track)(?:\s+(?:description|breakdown|analysis|structure))?",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Entry:
    """A section as written: `text` is what is said of it, `raw` all of it with its span."""

    span: Span
    label: str
    text: str
    raw: str


@dataclass(slots=True)
class Layout:
    """A description taken apart. Pieces of text stand on one line each, without markup, in the order of writing."""

    opening: str = ""
    headings: list[str] = field(default_factory=list)  # of the whole, before the first section
    entries: list[Entry] = field(default_factory=list)
    closing: str = ""
    inferred: bool = False  # only starts are written, ends are those of the next


@dataclass(frozen=True, slots=True)
class _Header:
    span: Span
    before: str  # a label
    opener: str  # a word such as "then"
    rest: str
    bold: bool  # the span stands in an open pair of **


def read_layout(text: str) -> Layout:
    """The sections of a text, told by lines that open with a span, or with a label and a span.

    Where fewer than two lines do, sentences are looked at that open with a span, and then lines that open with one
    clock time. Without any all of the text is the opening.
    """
    lines = _BOLD_HEADER.sub("\n", text).split("\n")
    headers = [_header(line) for line in lines]
    if _count(headers) < 2:
        sentences = [part for line in lines for part in _SPAN_SENTENCE.sub("\n", line).split("\n")]
        found = [_header(line) for line in sentences]
        if _count(found) > _count(headers):
            lines, headers = sentences, found
    inferred = False
    if not _count(headers):
        headers = _moments(lines)
        inferred = _count(headers) > 0
    edges = [i for i, header in enumerate(headers) if header is not None]
    if not edges:
        return Layout(opening=one_line(lines))
    return _take_apart(lines, headers, edges, inferred)


def _count(headers: Sequence[_Header | None]) -> int:
    return sum(header is not None for header in headers)


def _header(line: str) -> _Header | None:
    text = _unmarked(line)
    text = _TIME_WORD.sub("", text).lstrip(_MARKS) if _TIME_WORD.match(text) else text
    opener = _OPENER.match(text)
    if match := _STAMP.match(text, opener.end() if opener else 0):
        marked = set(line[: len(line) - len(text)]) & set("*[(#|`")
        span = read_span(match)
        if _is_stamp(span, match, bool(marked)):
            said = opener[0].strip(" ,") if opener else ""
            return _Header(span, "", said, match["rest"], _opens_bold(line, match))
    if match := _LABELLED.match(text):
        span, label = read_span(match), trimmed(match["label"])
        closed = re.match(_CLOSED, match["rest"]) or _NUMBERED.fullmatch(label)
        if closed and _is_label(label) and _fits_label(span, label, match["join"]):
            return _Header(span, label, "", match["rest"], _opens_bold(line, match))
    return None


def _unmarked(line: str) -> str:
    """A line from its first word on, without bullets, brackets, emphasis and the number of a list."""
    return _LIST_NUMBER.sub("", line.lstrip(_MARKS)).lstrip(_MARKS)


def _is_stamp(span: Span, match: re.Match[str], marked: bool) -> bool:
    """Whether a span at the start of a line is one of time and not of bars, beats per minute or players."""
    units, rest = {span.start.unit, span.end.unit}, match["rest"]
    if units == {"edge"} or re.match(r"\w", rest):
        return False
    if "clock" in units or _DELIMITED.match(rest):
        return True
    if "percent" in units:
        return not re.match(r"\s*of\b", rest)
    if not rest.strip():
        return marked or "bare" not in units
    return bool(match["lead"] and ("bare" not in units or re.match(r"\s*,", rest)))


def _is_label(label: str) -> bool:
    return is_short(label) and not re.search(r"[.!?]\s|[\[({]", label)


def _fits_label(span: Span, label: str, join: str) -> bool:
    units = {span.start.unit, span.end.unit}
    if units == {"edge"}:
        return False
    if units & {"bare", "edge"} and "clock" not in units and "percent" not in units:
        in_brackets = join.strip(" *_`") in ("(", "[", "|")
        return names_function(label) or (in_brackets and not _QUANTITY.search(label))
    return True


def _opens_bold(line: str, match: re.Match[str]) -> bool:
    return line[: len(line) - len(match["rest"])].count("**") % 2 == 1


def _moments(lines: Sequence[str]) -> list[_Header | None]:
    """Headers of lines that open with the time at which a section starts, if at least two do and time goes on."""
    found = [_MOMENT.match(_unmarked(line)) for line in lines]
    starts = [clock_seconds(match["moment"]) for match in found if match]
    headers: list[_Header | None] = [None] * len(lines)
    if len(starts) < 2 or any(a >= b for a, b in pairwise(starts)):
        return headers
    ends = iter([*(Time(start, "clock") for start in starts[1:]), Time(1.0, "edge")])
    for i, match in enumerate(found):
        if match:
            span = Span(Time(clock_seconds(match["moment"]), "clock"), next(ends))
            headers[i] = _Header(span, "", "", match["rest"], _opens_bold(lines[i], match))
    return headers


def _take_apart(
    lines: Sequence[str], headers: Sequence[_Header | None], edges: Sequence[int], inferred: bool
) -> Layout:
    layout = Layout(inferred=inferred)
    opening = list(lines[: edges[0]])
    pending = _heading_above(opening, headers[edges[0]])
    for line in opening:
        _read_opening(line, layout)
    for number, (first, last) in enumerate(pairwise([*edges, len(lines)])):
        header, body = headers[first], list(lines[first + 1 : last])
        assert header is not None
        heading, pending = pending, ""
        if number + 1 < len(edges):
            pending = _heading_above(body, headers[last])
        else:
            body, layout.closing = _without_closing(body)
        raw = one_line([heading, lines[first], *body])
        layout.entries.append(_entry(header, heading, body, raw))
    return layout


def _heading_above(lines: list[str], header: _Header | None) -> str:
    """Takes the last line from `lines` if it is the heading of a section whose span stands alone below it."""
    if header is None or header.before or _after_span(header.rest.replace("*", "")):
        return ""
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if not filled:
        return ""
    line = lines[filled[-1]]
    text = trimmed(re.sub(r"^\s*\d{1,2}[.)]\s*", "", line))
    is_heading = _HEADING.fullmatch(line) or (names_function(text) and not re.search(r"[.!?,]", text))
    if not is_heading or not is_short(text) or _TITLE.fullmatch(text):
        return ""
    del lines[filled[-1] :]
    return text


def _read_opening(line: str, layout: Layout) -> None:
    """Adds a line before the first section to the headings or to the opening."""
    text = plain(line)
    title, colon, rest = text.partition(":")
    if colon and _TITLE.fullmatch(title.strip(" *_")):
        layout.headings.append(f"{title}:")
        text = rest.strip()
    elif text and _is_heading(line, text):
        layout.headings.append(text)
        text = ""
    layout.opening = " ".join([*layout.opening.split(), *text.split()])


def _is_heading(line: str, text: str) -> bool:
    of_table, of_list = text.startswith("|"), text.endswith(":") and is_short(text)
    return bool(of_table or of_list or _HEADING.fullmatch(line) or _TITLE.fullmatch(text))


def _without_closing(body: list[str]) -> tuple[list[str], str]:
    """The lines of the last section, and the text on the whole song after them."""
    for i, line in enumerate(body):
        if not _BULLET.match(line) and _CLOSING.match(plain(line)):
            return body[:i], one_line(body[i:])
    return body, ""


def _entry(header: _Header, heading: str, body: Sequence[str], raw: str) -> Entry:
    below = one_line(body)
    inside, _, outside = header.rest.partition("**") if header.bold else ("", "", header.rest)
    inside, outside = _after_span(inside), _after_span(outside.rstrip(" |"))
    before = heading or header.before
    if is_short(inside):
        label, said = trimmed(inside), outside
    elif before and not _NUMBERED.fullmatch(before):
        label, said = "", f"{inside} {outside}"
    else:
        label, said = split_label(f"{inside} {outside}", bool(below))
    label = ": ".join(part for part in (before, label) if part)
    return Entry(header.span, label, one_line([header.opener, said, below]), raw)


def _after_span(rest: str) -> str:
    """What follows a span, without the signs that set the span off; bold that opens with a word stays."""
    return re.sub(r"^(?:[\s\])_`:|,.;–—-]|\*\*(?=[\s\])_`:|,.;–—-]|$)|\*(?!\*))+", "", rest)
