"""The picture of where a text fits: a profile over the seconds of a track, in percent of the picture."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

# Points of the curve; more than a screen shows would only make the page heavier.
_POINTS = 400
# Seconds between the marks of the axis, the first that leaves at most this many marks.
_MARK_STEPS = (5, 10, 15, 30, 60, 120, 300, 600)
_MOST_MARKS = 8


@dataclass(frozen=True)
class Timeline:
    """Geometry of one picture; `curve` is an SVG path in a box of 100 x 100 whose y axis points down.

    The lowest value of the profile lies at the bottom of the box and the highest at the top.
    """

    curve: str
    marks: tuple[tuple[float, float], ...]  # seconds, percent
    lowest: float
    highest: float
    duration: float

    def percent(self, seconds: float) -> float:
        return round(100 * seconds / self.duration, 3)


def draw_timeline(profile: Tensor, steps_per_second: float, duration: float) -> Timeline:
    """The picture of a profile (T,) over a track of `duration` seconds; step i starts at i / steps_per_second."""
    lowest, highest = float(profile.min()), float(profile.max())
    step = next((step for step in _MARK_STEPS if duration / step <= _MOST_MARKS), _MARK_STEPS[-1])
    marks = tuple((float(second), round(100 * second / duration, 3)) for second in range(0, int(duration) + 1, step))
    return Timeline(_curve(profile, 100 * len(profile) / steps_per_second / duration), marks, lowest, highest, duration)


def clock(seconds: float) -> str:
    """Seconds as m:ss."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _curve(values: Tensor, width: float) -> str:
    """An area from x = 0 to `width` under `values`, averaged to few points."""
    points = F.adaptive_avg_pool1d(values[None], min(_POINTS, len(values)))[0]
    points = (points - points.min()) / (points.max() - points.min()).clamp(min=1e-9)
    step = width / len(points)
    corners = [f"{step * (i + 0.5):.2f},{100 - 100 * y:.1f}" for i, y in enumerate(points.tolist())]
    return f"M0,100 L0,{corners[0].partition(',')[2]} L{' L'.join(corners)} L{width:.2f},100 Z"
