"""The geometry of the pictures."""

import re

import pytest
import torch

from retrieval_collap.locate import Location, Span
from retrieval_collap.timeline import clock, draw_timeline


def location(attention: torch.Tensor) -> Location:
    return Location((Span(0.0, 1.0, 0.5),), attention, attention, steps_per_second=10.0)


def points(curve: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", curve)]


def test_the_highest_attention_is_at_the_top_at_its_time() -> None:
    attention = torch.full((2000,), 0.5)
    attention[1500:1505] = 2.0
    picture = draw_timeline(location(attention), duration=200.0)
    x, y = min(points(picture.curve), key=lambda point: point[1])
    assert y == 0.0
    assert x == pytest.approx(75.1, abs=0.3)
    assert (picture.lowest, picture.highest) == (0.5, 2.0)
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in points(picture.curve))


def test_a_level_attention_and_a_single_step_can_be_drawn() -> None:
    for steps in (1, 50):
        picture = draw_timeline(location(torch.ones(steps)), duration=steps / 10)
        assert all(y == 100 for _, y in points(picture.curve))


@pytest.mark.parametrize("duration", [0.4, 7.0, 61.0, 200.0, 1190.0])
def test_marks_are_few_and_inside(duration: float) -> None:
    picture = draw_timeline(location(torch.rand(10)), duration)
    assert 1 <= len(picture.marks) <= 9
    assert all(0 <= place <= 100 for _, place in picture.marks)
    assert picture.percent(duration) == 100


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.4, 59.6, 125.0)] == ["0:00", "0:59", "1:00", "2:05"]
