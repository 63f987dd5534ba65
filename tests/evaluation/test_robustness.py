"""The robustness probe: alterations do what they say, and retrieval suffers where it has to."""

import json

import numpy as np
import pytest

from evaluation_collap.probes import robustness
from evaluation_collap.probes.robustness import ALTERATIONS, crop, gain, mp3, noise, resampled
from tests.evaluation.fakes import FakeScorer
from tests.evaluation.pitched import songs
from tests.tiny import tone

RATE = 16000
RNG = np.random.default_rng(0)


def decibels(samples: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(samples, dtype=np.float64))))


def test_gain() -> None:
    samples = tone(1.0)
    assert decibels(gain(-12)(samples, RATE, RNG)) == pytest.approx(decibels(samples) - 12, abs=1e-3)


def test_noise_is_as_loud_as_asked_and_seeded() -> None:
    samples = tone(2.0)
    noisy = [noise(20)(samples, RATE, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert decibels(noisy[0] - samples) == pytest.approx(decibels(samples) - 20, abs=0.1)
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])
    assert noisy[0].dtype == np.float32
    assert not noise(20)(np.zeros(RATE, np.float32), RATE, RNG).any()


@pytest.mark.parametrize(("hertz", "loss"), [(1000.0, 0.0), (6000.0, 40.0)])
def test_resampling_takes_away_what_lies_above(hertz: float, loss: float) -> None:
    time = np.arange(RATE) / RATE
    samples = np.sin(2 * np.pi * hertz * time).astype(np.float32)
    left = resampled(8000)(samples, RATE, RNG)
    assert left.shape == samples.shape
    lost = decibels(samples[1000:-1000]) - decibels(left[1000:-1000])
    assert lost == pytest.approx(0, abs=0.1) if loss == 0 else lost > loss


@pytest.mark.parametrize("rate", [16000, 48000])
def test_mp3_keeps_length_and_place(rate: int) -> None:
    time = np.arange(3 * rate) / rate
    samples = (0.4 * np.sin(2 * np.pi * (300 + 200 * time) * time)).astype(np.float32)  # a sweep: shifts would show
    decoded = mp3(64)(samples, rate, RNG)
    assert decoded.shape == samples.shape
    assert decoded.dtype == np.float32
    assert np.corrcoef(decoded, samples)[0, 1] > 0.99
    assert not np.array_equal(decoded, samples)


def test_crops_are_taken_from_the_place_they_name() -> None:
    samples = np.arange(10, dtype=np.float32)
    assert crop(4, 0.0)(samples, 1, RNG).tolist() == [0, 1, 2, 3]
    assert crop(4, 0.5)(samples, 1, RNG).tolist() == [3, 4, 5, 6]
    assert crop(4, 1.0)(samples, 1, RNG).tolist() == [6, 7, 8, 9]
    assert crop(40, 0.5)(samples, 1, RNG).tolist() == samples.tolist()


def test_a_scorer_blind_to_level_does_not_mind_gain_but_minds_what_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALTERATIONS, "first 1 s", crop(1.0, 0.0))
    tunes = [("low", "middle"), ("low", "high"), ("low", "shrill")]  # alike in their first second
    result = robustness.run(FakeScorer(), songs(tunes), alterations=["gain -12 dB", "first 1 s"])
    none, quiet, short = (each.metrics for each in result.alterations)
    assert [each.alteration for each in result.alterations] == ["none", "gain -12 dB", "first 1 s"]
    assert quiet == none
    assert none["text_to_audio_R@1"] == none["audio_to_text_R@1"] == 100
    assert none["text_to_audio_mean_rank"] == 1
    assert short["audio_to_text_R@1"] < 100
    assert short["audio_to_text_mean_rank"] > 1
    assert "| first 1 s |" in result.table()
    assert json.loads(result.to_json())["alterations"][0]["alteration"] == "none"


def test_every_alteration_runs_and_the_seed_decides() -> None:
    results = [robustness.run(FakeScorer(), songs(), seed=3) for _ in range(2)]
    assert results[0] == results[1]
    assert [each.alteration for each in results[0].alterations] == ["none", *ALTERATIONS]


def test_unknown_alterations_are_refused() -> None:
    with pytest.raises(ValueError, match="'reverb' is no alteration"):
        robustness.run(FakeScorer(), songs(), alterations=["reverb"])
