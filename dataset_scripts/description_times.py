"""Time spans as language models write them, and what they are in seconds."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Unit = Literal["percent", "seconds", "minutes", "clock", "edge", "bare"]

_NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
_UNITS = {
    "percent": r"%|per\s?cent\b",
    "seconds": r"s(?:ec(?:ond)?s?)?\b\.?(?!\w)",
    "minutes": r"m(?:in(?:ute)?s?)?\b\.?(?!\w)",
}
_CLOCK = (
    r"\d{1,3}(?::\d{2}){1,2}(?:\.\d{1,6})?(?:\s?(?:s|secs?|seconds|mins?|minutes)\b)?|"
    r"\d{1,3}\s?m(?:in(?:ute)?s?)?\s?\d{1,2}(?:\.\d{1,6})?\s?s(?:ec(?:ond)?s?)?\b"
)
_EDGE = r"(?:the\s+)?(?:start|beginning|end)\b(?:\s+of\s+the\s+(?:song|track|piece|music))?"
_TO = r"(?:-{1,2}>?|[–—−‒~→]|\b(?:to|until|till|through|(?(lead)and|to))\b)"


def _time(side: str) -> str:
    units = "|".join(_UNITS.values())
    number = rf"(?P<number{side}>{_NUMBER})\s*(?P<unit{side}>{units})?"
    return rf"(?:(?P<clock{side}>{_CLOCK})|{number}|(?P<edge{side}>{_EDGE}))"


# "0-18%", "0:17 – 0:47", "12.5 s - 30 s", "From 0:00 to 0:30", "2:30-end". What may stand around is the caller's; the
# group is atomic, so that what must follow cannot cut a time short.
SPAN = rf"(?>(?:\b(?P<lead>from|between)\s+)?{_time('1')}\s*{_TO}\s*{_time('2')})"
# The moment at which something starts: "0:45". A number alone would be that of a list.
MOMENT = rf"(?P<moment>{_CLOCK})"


@dataclass(frozen=True, slots=True)
class Time:
    """A time as written: seconds if the unit is a clock's, 0 or 1 (the end of the track) if it is an edge."""

    value: float
    unit: Unit


@dataclass(frozen=True, slots=True)
class Span:
    start: Time
    end: Time


def read_span(match: re.Match[str]) -> Span:
    """The span that a pattern with `SPAN` in it has found; a number without unit takes that of the other one."""
    start, end = _read(match, "1"), _read(match, "2")
    if start.unit == "bare" and end.unit in ("percent", "seconds", "minutes"):
        start = Time(start.value, end.unit)
    elif end.unit == "bare" and start.unit in ("percent", "seconds", "minutes"):
        end = Time(end.value, start.unit)
    elif "clock" in (start.unit, end.unit):  # "0:30-45"
        start, end = (Time(time.value, "seconds") if time.unit == "bare" else time for time in (start, end))
    return Span(start, end)


def read_time(text: str) -> Time | None:
    """The one time that a text is."""
    match = re.fullmatch(_time("1"), text.strip(), re.IGNORECASE)
    return _read(match, "1") if match else None


def _read(match: re.Match[str], side: str) -> Time:
    if clock := match[f"clock{side}"]:
        return Time(clock_seconds(clock), "clock")
    if edge := match[f"edge{side}"]:
        return Time(float("end" in edge.lower().split()), "edge")
    return read_number(float(match[f"number{side}"]), match[f"unit{side}"])


def read_number(value: float, unit: str | None) -> Time:
    """A number and its unit in words or signs."""
    for name, pattern in _UNITS.items():
        if unit and re.fullmatch(pattern, unit, re.IGNORECASE):
            return Time(value, name)  # type: ignore[arg-type]
    return Time(value, "bare")


def clock_seconds(text: str) -> float:
    """Seconds of h:mm:ss, mm:ss or "1m30s"."""
    total = 0.0
    for part in re.findall(r"\d+(?:\.\d+)?", text):
        total = 60 * total + float(part)
    return total


def bare_unit(spans: Sequence[Span], duration: float) -> Unit:
    """What numbers without a unit are counted in: "percent" or "seconds".

    Where other spans of the text have one of these units, theirs; percent before seconds. Otherwise the last number
    decides, as spans are written to cover the track: percent if it is nearer to 100, seconds if it is nearer to the
    duration, each as a share of the one and the other; percent if it is as near to both. Percent goes no higher than
    110, however long the track. So 0-16, 16-31, ... 84-100 are percent, and of a track of 240 s 0-20, ... 220-239
    are seconds.
    """
    times = [time for span in spans for time in (span.start, span.end)]
    units = {time.unit for time in times}
    if "percent" in units:
        return "percent"
    if units & {"seconds", "minutes", "clock"}:
        return "seconds"
    last = max((time.value for time in times if time.unit == "bare"), default=0.0)
    if last > 110:
        return "seconds"
    return "percent" if abs(last - 100) / 100 <= abs(last - duration) / duration else "seconds"


def in_seconds(time: Time, bare: Unit, duration: float) -> float:
    """Seconds from the start, to the millisecond; the end of the track, up to half a millisecond, is the duration."""
    unit = bare if time.unit == "bare" else time.unit
    scale = {"percent": duration / 100, "minutes": 60.0, "edge": duration}.get(unit, 1.0)
    seconds = time.value * scale
    if math.isclose(seconds, duration, abs_tol=5e-4):
        return float(duration)
    return round(seconds, 3)
