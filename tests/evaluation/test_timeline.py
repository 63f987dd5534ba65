"""The geometry of the pictures."""

import re

import pytest
import torch

from evaluation_collap.timeline import clock, draw_timeline

STEPS_PER_SECOND = 10.0


def points(curve: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", curve)]


def test_the_highest_value_is_at_the_top_at_its_time() -> None:
    attention = torch.full((2000,), 0.5)
    attention[1500:1505] = 2.0
    picture = draw_timeline(attention, STEPS_PER_SECOND, duration=200.0)
    x, y = min(points(picture.curve), key=lambda point: point[1])
    assert y == 0.0
    assert x == pytest.approx(75.1, abs=0.3)
    assert (picture.lowest, picture.highest) == (0.5, 2.0)
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in points(picture.curve))


def test_a_level_profile_and_a_single_step_can_be_drawn() -> None:
    for steps in (1, 50):
        picture = draw_timeline(torch.ones(steps), STEPS_PER_SECOND, duration=steps / STEPS_PER_SECOND)
        assert all(y == 100 for _, y in points(picture.curve))


@pytest.mark.parametrize("duration", [0.4, 7.0, 61.0, 200.0, 1190.0])
def test_marks_are_few_and_inside(duration: float) -> None:
    picture = draw_timeline(torch.rand(10), STEPS_PER_SECOND, duration)
    assert 1 <= len(picture.marks) <= 9
    assert all(0 <= place <= 100 for _, place in picture.marks)
    assert picture.percent(duration) == 100


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.4, 59.6, 125.0)] == ["0:00", "0:59", "1:00", "2:05"]
