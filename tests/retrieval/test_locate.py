"""Where a text holds in a track, on features made so that the answer is known."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation_collap.spans import _largest_sum
from modeling_collap import attention_maps
from retrieval_collap.localisation import locate

TEXT = F.one_hot(torch.tensor(0), 8).float()
OPTIONS = {"kernel_size": 20, "stride": 5, "steps_per_second": 10.0}


def track(steps: int, *planted: tuple[int, int, float]) -> Tensor:
    """(T, 8) features whose cosine with `TEXT` is about the given value from step to step, and near 0 elsewhere."""
    features = 0.1 * torch.randn(steps, 8, generator=torch.Generator().manual_seed(0))
    features[:, 1] += 1.0
    for first, last, cosine in planted:
        features[first:last] = torch.tensor([cosine, (1 - cosine**2) ** 0.5, 0, 0, 0, 0, 0, 0])
    return features


def test_finds_a_planted_span_to_the_step() -> None:
    location = locate(track(300, (100, 145, 0.9)), TEXT, **OPTIONS)
    assert (location.best.start, location.best.end) == (10.0, 14.5)
    assert location.best.score == pytest.approx(0.9, abs=1e-5)
    assert 100 <= int(location.attention.argmax()) < 145


def test_spans_come_best_first_and_apart() -> None:
    location = locate(track(400, (50, 80, 0.7), (200, 240, 0.9), (300, 330, 0.8)), TEXT, **OPTIONS)
    assert [(span.start, span.end) for span in location.spans] == [(20.0, 24.0), (30.0, 33.0), (5.0, 8.0)]
    assert len(locate(track(400, (50, 80, 0.7), (200, 240, 0.9)), TEXT, **OPTIONS, max_spans=1).spans) == 1


def test_what_stays_below_half_of_the_peak_is_no_span() -> None:
    location = locate(track(400, (50, 90, 0.2), (200, 240, 0.9)), TEXT, **OPTIONS)
    assert [(span.start, span.end) for span in location.spans] == [(20.0, 24.0)]


def test_a_match_shorter_than_a_kernel_gets_a_kernel() -> None:
    best = locate(track(300, (100, 105, 0.9)), TEXT, **OPTIONS).best
    assert best.end - best.start == pytest.approx(2.0)
    assert best.start <= 10.0
    assert best.end >= 10.5


def test_a_track_of_one_kernel_or_less_is_one_span() -> None:
    for steps in (1, 7, 20):
        location = locate(track(steps), TEXT, **OPTIONS)
        assert [(span.start, span.end) for span in location.spans] == [(0.0, steps / 10)]
        assert location.attention.tolist() == pytest.approx([1.0] * steps)


def test_a_track_that_matches_alike_everywhere_is_one_span() -> None:
    features = TEXT.repeat(203, 1)
    location = locate(features, TEXT, **OPTIONS, duration=20.25)
    assert [(span.start, span.end) for span in location.spans] == [(0.0, 20.25)]
    assert location.attention.tolist() == pytest.approx([1.0] * 203)


def test_spans_stay_inside_the_duration() -> None:
    location = locate(track(300, (250, 300, 0.9)), TEXT, **OPTIONS, duration=29.93)
    assert (location.best.start, location.best.end) == (25.0, 29.93)


@pytest.mark.parametrize(("kernel_size", "stride"), [(20, 5), (20, 20), (6, 9)])
def test_attention_is_the_mean_over_the_frames_that_cover_a_step(kernel_size: int, stride: int) -> None:
    features, temperature = track(97, (30, 60, 0.8)), 5.0
    options = {"kernel_size": kernel_size, "stride": stride, "attention_temperature": temperature}
    attention = locate(features, TEXT, **options, steps_per_second=10.0).attention
    maps = attention_maps(features, TEXT, **options)
    frames = len(maps.temporal)
    expected: list[float] = []
    for step in range(97):
        covering = [
            float(maps.temporal[v, step - v * stride]) for v in range(frames) if 0 <= step - v * stride < kernel_size
        ]
        expected.append(frames * sum(covering) / len(covering) if covering else expected[-1])
    assert attention.tolist() == pytest.approx(expected, rel=1e-5)


def test_largest_sum_is_that_of_all_spans_tried() -> None:
    generator = torch.Generator().manual_seed(3)
    for steps, min_length in ((12, 1), (30, 4), (9, 9)):
        values = torch.randn(steps, generator=generator, dtype=torch.float64)
        sums = F.pad(values.cumsum(0), (1, 0))
        spans = [(a, b) for a in range(steps) for b in range(a + min_length, steps + 1)]
        best = max(spans, key=lambda span: float(values[span[0] : span[1]].sum()))
        total, first, last = _largest_sum(sums, min_length)
        assert (first, last) == best
        assert total == pytest.approx(float(values[first:last].sum()))


def test_max_spans_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_spans"):
        locate(track(30), TEXT, **OPTIONS, max_spans=0)


def test_the_room_exports_the_function_and_no_module_of_its_name() -> None:
    import retrieval_collap

    assert retrieval_collap.TrackLibrary.locate.__doc__  # loads the module that holds it first
    assert retrieval_collap.locate is locate
