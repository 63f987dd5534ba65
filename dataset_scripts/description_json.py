"""Descriptions as JSON: the objects that have a span are sections, all other text is on the whole song."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from .description_labels import one_line
from .description_layout import Entry, Layout
from .description_times import SPAN, Span, Time, read_number, read_span, read_time

_FENCED = re.compile(r"(?P<before>.*?)```(?:json)?\s*\n?(?P<json>[\[{].*?)```(?P<after>.*)", re.IGNORECASE | re.DOTALL)
_START, _END = ("start", "starttime", "from", "begin"), ("end", "endtime", "to", "stop")
_WHEN = ("time", "times", "timestamp", "timestamps", "timerange", "timespan", "span", "range", "interval")
_LABEL = ("label", "section", "name", "function", "title", "segment", "part", "type")
# Keys that say no more than the place of their value in the schema.
_TEXT = ("caption", "description", "text", "content", "global", "globalcaption", "globaldescription", "overall")
_LISTS = ("sections", "segments", "structure", "parts", "timeline")

Pairs = list[tuple[str, Any]]


class _Object(list[tuple[str, Any]]):
    """A JSON object with all of its pairs, also those of one key."""


def read_json(text: str) -> Layout | None:
    """The sections of an answer in JSON, fenced or alone; `None` if it is none, or has no object with a span.

    A span is a pair of keys such as "start" and "end", one key such as "time", or the key of the object itself. Keys
    that are not known are kept before their value, as in "mood: calm".
    """
    fenced = _FENCED.fullmatch(text)
    before, body, after = fenced.group("before", "json", "after") if fenced else ("", text, "")
    if not body.lstrip().startswith(("{", "[")):
        return None
    try:
        answer = json.loads(body, object_pairs_hook=_Object)
        layout = Layout()
        opening = list(_walk(answer, "", layout))
    except (ValueError, RecursionError):
        return None
    if not layout.entries:
        return None
    layout.opening = one_line([*before.split("\n"), *opening])
    layout.closing = one_line(after.split("\n"))
    return layout


def _walk(value: Any, key: str, layout: Layout) -> Iterator[str]:
    """Adds the sections in `value` to the layout, and gives the other text."""
    span = _span_of(key) if key else None
    if isinstance(value, _Object):
        pairs, own = list(value), _take_span(value)
        if own or span:
            layout.entries.append(_entry(own[0] if own else span, own[1] if own else pairs))  # type: ignore[arg-type]
            return
        for name, child in pairs:
            yield from _walk(child, name, layout)
    elif isinstance(value, list):
        for child in value:
            yield from _walk(child, key if not isinstance(child, (_Object, list)) else "", layout)
    elif span:
        layout.entries.append(_entry(span, [("caption", value)]))
    else:
        yield _said(key, value)


def _entry(span: Span, pairs: Pairs) -> Entry:
    labels = [str(value) for key, value in pairs if _bare(key) in _LABEL and isinstance(value, str)]
    rest = [(key, value) for key, value in pairs if not (_bare(key) in _LABEL and isinstance(value, str))]
    text = one_line([part for key, value in rest for part in _flat(key, value)])
    label = one_line([": ".join(labels)])
    return Entry(span, label, text, ": ".join(part for part in (label, text) if part))


def _flat(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, _Object):
        for name, child in value:
            yield from _flat(name, child)
    elif isinstance(value, list):
        yield _said(key, ", ".join(part for child in value for part in _flat("", child)))
    else:
        yield _said(key, value)


def _said(key: str, value: Any) -> str:
    """A value in words, after its key if that says something."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{key}: {text}" if key and _bare(key) not in (*_TEXT, *_LISTS) else text


def _take_span(pairs: Pairs) -> tuple[Span, Pairs] | None:
    """The span of an object and its other pairs."""
    for i, (key, value) in enumerate(pairs):
        if _bare(key) in _WHEN and (span := _span_of(value)):
            return span, pairs[:i] + pairs[i + 1 :]
    found: dict[tuple[str, ...], tuple[int, Time]] = {}
    for i, (key, value) in enumerate(pairs):
        for names in (_START, _END):
            time = _time_of(key, value) if _bare(key) in names else None
            if time and names not in found:
                found[names] = i, time
    if len(found) < 2:
        return None
    places = {i for i, _ in found.values()}
    return Span(found[_START][1], found[_END][1]), [pair for i, pair in enumerate(pairs) if i not in places]


def _span_of(value: Any) -> Span | None:
    """The span that a string is, or a list of two times."""
    if isinstance(value, str):
        match = re.fullmatch(rf"[\s\[(]*{SPAN}[\s\])]*", value, re.IGNORECASE)
        return read_span(match) if match else None
    if isinstance(value, list) and len(value) == 2 and not isinstance(value, _Object):
        start, end = (_time_of("", part) for part in value)
        return Span(start, end) if start and end else None
    return None


def _time_of(key: str, value: Any) -> Time | None:
    """A number or a string, in the unit that the key names if it names one."""
    if isinstance(value, str):
        time = read_time(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            time = Time(float(value), "bare")
        except OverflowError:
            return None
    else:
        return None
    if time is None or not math.isfinite(time.value) or time.value < 0:
        return None
    unit = re.search(r"percent|pct|sec|min", key.lower())
    if unit and time.unit == "bare":
        return read_number(time.value, {"percent": "%", "pct": "%", "sec": "s", "min": "min"}[unit[0]])
    return time


def _bare(key: str) -> str:
    """A key without case, signs and unit."""
    key = re.sub(r"(?:_s|[\s_]*(?:sec(?:ond)?s?|pct|percent(?:age)?|min(?:ute)?s?))$", "", key.lower())
    return re.sub(r"[^a-z]", "", key)
