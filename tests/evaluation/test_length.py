"""The length probe: a sum over time grows with the track, a mean does not."""

import json
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from evaluation_collap.probes import PROBES, length, run_probe
from evaluation_collap.probes.length import other_normalization
from evaluation_collap.scorers import Encoded
from evaluation_collap.scorers.collap import CollapScorer, MeanPoolingScorer
from tests import tiny
from tests.evaluation.fakes import FakeScorer
from tests.evaluation.pitched import TUNES, songs


class Summing(FakeScorer):
    """The fake's score times the length of the track to some power."""

    def __init__(self, power: float) -> None:
        super().__init__(name=f"power {power}")
        self.power = power

    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        lengths = torch.tensor([float(len(track["features"])) for track in tracks])
        return super().score(tracks, texts) * lengths[:, None] ** self.power


def test_a_sum_grows_with_the_track_and_a_mean_does_not() -> None:
    scorer = FakeScorer()
    result = length.run(scorer, songs(TUNES), variants=[Summing(1.0), Summing(-1.0)], content_seconds=2.0)
    assert result.seconds == (2.0, 4.0, 8.0)
    assert result.tracks == 3
    assert scorer.tracks_encoded == 9  # the variants read the same encodings
    mean, total, inverse = result.curves
    assert mean.slope == mean.correlation == 0
    assert mean.ratio == pytest.approx(1)
    assert mean.scores[0] == pytest.approx(mean.scores[2], rel=1e-5)
    assert total.ratio == pytest.approx(4, rel=1e-4)
    assert total.slope == pytest.approx(100 * 60 / 2, rel=1e-4)  # another whole score every 2 s
    assert total.correlation > 0.95
    assert inverse.ratio == pytest.approx(1 / 4, rel=1e-4)
    assert inverse.correlation < -0.9
    assert json.loads(result.to_json())["curves"][1]["scorer"] == "power 1.0"
    assert "| power 1.0 |" in result.table()


def test_collap_is_shown_with_both_normalisations() -> None:
    scorer = CollapScorer(tiny.model(), tiny.processor(), name="tiny")
    result = length.run(scorer, tiny.rows(3), content_seconds=tiny.WINDOW_SECONDS, loops=(1, 2, 4))
    mean, paper = result.curves
    assert (mean.scorer, paper.scorer) == ("tiny", "tiny, paper normalisation")
    assert 0.8 < mean.ratio < 1.2
    assert abs(math.log(paper.ratio)) > 1  # 1 / H and 1 / W: the number of frames grows, the kernel does not
    assert (
        other_normalization(MeanPoolingScorer(tiny.model(), tiny.processor())) == other_normalization(Summing(1)) == []
    )


def test_negative_scores_that_grow_more_negative_fall() -> None:
    class Opposed(Summing):
        def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
            return -super().score(tracks, texts)

    (curve,) = length.run(Opposed(1.0), songs(TUNES), content_seconds=2.0).curves
    assert curve.slope < 0
    assert curve.ratio == pytest.approx(4, rel=1e-4)


def test_tracks_that_are_too_short_and_single_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="a track of 60 s"):
        length.run(FakeScorer(), songs(TUNES))
    with pytest.raises(ValueError, match="two positive numbers"):
        length.run(FakeScorer(), songs(TUNES), content_seconds=2.0, loops=(2, 2))


def test_probes_are_run_by_name() -> None:
    assert "length" in PROBES
    options = {"content_seconds": 2.0, "seed": 4}
    assert run_probe("length", FakeScorer(), songs(TUNES), **options).to_json() == (
        length.run(FakeScorer(), songs(TUNES), **options).to_json()
    )
    with pytest.raises(ValueError, match="'pitch' is no probe"):
        run_probe("pitch", FakeScorer(), songs(TUNES))
