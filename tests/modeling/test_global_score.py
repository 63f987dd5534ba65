"""One vector of the track against one of the text."""

import torch
from torch import Tensor

from modeling_collap import global_scores, mean_steps

LENGTHS = torch.tensor([9, 4, 1])


def features() -> Tensor:
    """(3, 9, 24), NaN past the end of a track."""
    steps = torch.randn(3, 9, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for track, length in zip(steps, LENGTHS.tolist(), strict=True):
        track[length:] = torch.nan
    return steps


def texts(count: int = 2) -> Tensor:
    return torch.randn(count, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_in_loops() -> None:
    expected = torch.zeros(3, 2, dtype=torch.float64)
    for n, track in enumerate(features()):
        mean = sum(step / step.norm() for step in track[: LENGTHS[n]]) / LENGTHS[n]
        for m, text in enumerate(texts()):
            expected[n, m] = (mean / mean.norm()) @ (text / text.norm())
    torch.testing.assert_close(global_scores(features(), LENGTHS, texts()), expected)


def test_gradients() -> None:
    steps = features().nan_to_num(0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, t: global_scores(u, LENGTHS, t), (steps, texts().requires_grad_()))


def test_no_track_or_padding_beside_it_moves_a_score() -> None:
    together = global_scores(features(), LENGTHS, texts())
    for n, length in enumerate(LENGTHS.tolist()):
        alone = global_scores(features()[n : n + 1, :length], LENGTHS[n : n + 1], texts())
        torch.testing.assert_close(alone[0], together[n])


def test_half_precision_is_reckoned_in_float32() -> None:
    steps = features().nan_to_num(0.0).to(torch.bfloat16)
    assert mean_steps(steps, LENGTHS).dtype == torch.float32
    scores = global_scores(steps, LENGTHS, texts().to(torch.bfloat16))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.double(), global_scores(features(), LENGTHS, texts()), atol=0.02, rtol=0)


def test_long_tracks_are_added_up_in_blocks() -> None:
    steps = torch.randn(1, 2500, 24, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = torch.nn.functional.normalize(steps[0, :2300], dim=-1).mean(0)
    torch.testing.assert_close(mean_steps(steps, torch.tensor([2300]))[0], expected)
