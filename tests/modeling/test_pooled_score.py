"""Scores of tracks whose steps are means over several of the model's: the same where a track stands still in each."""

from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from modeling_collap import CollapModel, CollapTextFeatures

POOL, SIZE = 5, 24
# At 50 steps a second: kernels of 25 steps, strides of 10, structure steps of 20, each a multiple of POOL.
STEPS = {"seconds_per_kernel": 0.5, "seconds_per_stride": 0.2, "seconds_per_structure_step": 0.4}
LENGTHS = torch.tensor([31, 12, 4, 1])  # in means; the last two are shorter than a kernel


def scorer(**options: Any) -> CollapModel:
    return tiny.model(**{**STEPS, "gamma_structure": 0.7, "attention_temperature": 8.0, **options})


def means() -> Tensor:
    """(4, 31, D), NaN past the end of a track."""
    features = torch.randn(4, 31, SIZE, generator=torch.Generator().manual_seed(1))
    for track, length in zip(features, LENGTHS.tolist(), strict=True):
        track[length:] = torch.nan
    return features


def texts() -> CollapTextFeatures:
    generator = torch.Generator().manual_seed(2)
    places = torch.tensor([[0.1, 0.5, 0.8], [0.3, 0.9, -1.0]])
    embeds = torch.randn(2, SIZE, generator=generator), torch.randn(2, 3, SIZE, generator=generator)
    return CollapTextFeatures(*embeds, places, torch.rand(2, 3, generator=generator) * 30)


@pytest.mark.parametrize("normalization", ["mean", "paper"])
@pytest.mark.parametrize("gamma_structure", [0.0, 0.7])
@torch.inference_mode()
def test_means_score_as_the_steps_that_they_stand_for(normalization: str, gamma_structure: float) -> None:
    gammas = {"gamma_structure": gamma_structure, "gamma_kernel": 0.8, "gamma_temporal": 0.3, "whole_text_weight": 0.4}
    model = scorer(normalization=normalization, **gammas)
    in_full = model.score(means().repeat_interleave(POOL, 1), LENGTHS * POOL, texts())
    pooled = model.score(means(), LENGTHS, texts(), pool=POOL)
    assert type(pooled) is type(in_full)
    for name, expected in in_full._asdict().items():
        torch.testing.assert_close(getattr(pooled, name), expected, msg=lambda text, name=name: f"{name}: {text}")


@torch.inference_mode()
def test_steps_that_change_slowly_score_almost_the_same() -> None:
    """A song's steps move on from where they are: their means lose little, and longer means lose more."""
    model = scorer()
    walk = torch.randn(2, 600, SIZE, generator=torch.Generator().manual_seed(3)).cumsum(1)
    lengths = torch.tensor([600, 400])
    expected = model.score(walk, lengths, texts()).fused
    errors = []
    for pool in (2, 5, 10):
        units = torch.nn.functional.normalize(walk, dim=-1).unflatten(1, (-1, pool)).mean(2)
        errors.append(float((model.score(units, lengths // pool, texts(), pool=pool).fused - expected).abs().max()))
    assert errors == sorted(errors)
    assert errors[-1] < 0.02


def test_one_step_for_each_is_the_plain_score() -> None:
    model = scorer()
    plain, pooled = (model.score(means(), LENGTHS, texts(), **options) for options in ({}, {"pool": 1}))
    for a, b in zip(plain, pooled, strict=True):
        assert torch.equal(a, b)


def test_lengths_that_it_does_not_divide_are_rounded() -> None:
    model = scorer(seconds_per_structure_step=0.02)
    assert model.framing() == (25, 10, 1)
    assert model.framing(4) == (6, 2, 1)
    assert model.framing(10) == (2, 1, 1)


@pytest.mark.parametrize("pool", [-1, 0, 11])
def test_pools_that_do_not_fit_are_refused(pool: int) -> None:
    with pytest.raises(ValueError, match=r"pool must lie within 1 and the 10 steps .*stride \(0.2 s\)"):
        scorer().score(means(), LENGTHS, texts(), pool=pool)
