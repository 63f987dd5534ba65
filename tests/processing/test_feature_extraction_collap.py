"""The feature extractor against its sources, its shapes and lengths, and its independence of the batch."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import WhisperFeatureExtractor

from processing_collap import CollapFeatureExtractor, feature_extraction_collap

RATE = 16000


@pytest.fixture(scope="module")
def extractor():
    return CollapFeatureExtractor()


@pytest.mark.parametrize("case", ["single0", "single1"])
def test_fbank_equals_the_original_beats(extractor, oracles, case):
    reference = load_file(oracles / "beats_tiny_oracle.safetensors")
    expected = reference[f"{case}.fbank"][0]
    outputs = extractor(reference[f"{case}.waveform"][0], sampling_rate=RATE)
    assert outputs["fbank_lengths"].tolist() == [[len(expected)]]
    torch.testing.assert_close(outputs["fbank"][0, 0, : len(expected)], expected, atol=2e-4, rtol=0)
    assert not outputs["fbank"][0, 0, len(expected) :].any()


def test_log_mel_equals_whisper_exactly(extractor, sound):
    whisper = WhisperFeatureExtractor()
    track = sound(37.3)
    outputs = extractor(track, sampling_rate=RATE)
    for k, window in enumerate((track[: 30 * RATE], track[30 * RATE :])):
        expected = whisper(window, sampling_rate=RATE, return_tensors="pt")["input_features"][0]
        assert torch.equal(outputs["input_features"][0, k], expected)


def test_shapes_and_lengths(extractor, sound):
    outputs = extractor([sound(65), sound(1), sound(30)], sampling_rate=RATE)
    assert outputs["input_features"].shape == (3, 3, 80, 3000)
    assert outputs["fbank"].shape == (3, 3, 2998, 128)
    assert outputs["input_features"].dtype == outputs["fbank"].dtype == torch.float32
    assert outputs["input_features_lengths"].dtype == outputs["fbank_lengths"].dtype == torch.int64
    assert outputs["input_features_lengths"].tolist() == [[3000, 3000, 500], [100, 0, 0], [3000, 0, 0]]
    assert outputs["fbank_lengths"].tolist() == [[2998, 2998, 498], [98, 0, 0], [2998, 0, 0]]
    assert not outputs["input_features"][1:, 1:].any()
    assert not outputs["fbank"][1:, 1:].any()


def test_small_models_frame_rate(sound):
    extractor = CollapFeatureExtractor(
        hop_length=640, n_fft=1024, fbank_frame_length_ms=64.0, fbank_frame_shift_ms=40.0
    )
    outputs = extractor(sound(31), sampling_rate=RATE)
    assert outputs["input_features"].shape == (1, 2, 80, 750)
    assert outputs["fbank"].shape == (1, 2, 749, 128)
    assert outputs["input_features_lengths"].tolist() == [[750, 25]]
    assert outputs["fbank_lengths"].tolist() == [[749, 24]]
    assert outputs["fbank"].isfinite().all()


def test_alone_and_in_a_batch_the_same(extractor, sound):
    tracks = [sound(1.7, seed=1), sound(33, seed=2), sound(30, seed=3)]
    together = extractor(tracks, sampling_rate=RATE)
    for n, track in enumerate(tracks):
        alone = extractor(track, sampling_rate=RATE)
        windows = alone["fbank"].shape[1]
        for name in alone:
            assert torch.equal(alone[name][0], together[name][n, :windows]), name


def test_same_input_same_features(extractor, sound):
    first, second = (extractor(sound(2, 44100), sampling_rate=44100) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("extra", "mel", "fbank"), [(1, 1, 0), (159, 1, 0), (161, 2, 0), (399, 3, 0), (400, 3, 1)])
def test_tail_shorter_than_a_frame(extractor, sound, extra, mel, fbank):
    outputs = extractor(sound(30 + extra / RATE), sampling_rate=RATE)
    assert outputs["input_features_lengths"].tolist() == [[3000, mel]]
    assert outputs["fbank_lengths"].tolist() == [[2998, fbank]]
    assert all(outputs[name].isfinite().all() for name in outputs)


@pytest.mark.parametrize("enabled", ["whisper", "beats"])
def test_one_branch_alone(sound, enabled):
    outputs = CollapFeatureExtractor(return_whisper=enabled == "whisper", return_beats=enabled == "beats")(
        sound(1), sampling_rate=RATE
    )
    name = {"whisper": "input_features", "beats": "fbank"}[enabled]
    assert set(outputs) == {name, f"{name}_lengths"}


def test_silence_is_finite(extractor):
    outputs = extractor(np.zeros(RATE, dtype=np.float32), sampling_rate=RATE)
    assert all(outputs[name].isfinite().all() for name in outputs)


@pytest.mark.slow
def test_twenty_minutes(extractor, sound):
    outputs = extractor(np.tile(sound(60, 8000), 20), sampling_rate=8000)
    assert outputs["input_features_lengths"].tolist() == [[3000] * 40]
    assert outputs["fbank_lengths"].tolist() == [[2998] * 40]


def test_length_limits(sound):
    extractor = CollapFeatureExtractor(window_seconds=1.0, max_seconds=3.0)
    assert extractor(sound(3), sampling_rate=RATE)["fbank"].shape[1] == 3
    with pytest.raises(ValueError, match=r"audio 2 of 2 is longer than the limit of 3 s"):
        extractor([sound(1), sound(3.01)], sampling_rate=RATE)
    shortest = 400 + 15 * 160
    assert extractor(np.ones(shortest, dtype=np.float32), sampling_rate=RATE)["fbank_lengths"].item() == 16
    with pytest.raises(ValueError, match=r"audio 1 of 1 lasts 0\.\d+ s; the shortest that can be read is 0\.175 s"):
        extractor(np.ones(shortest - 1, dtype=np.float32), sampling_rate=RATE)


def test_errors_come_before_any_feature_work(sound, monkeypatch):
    extractor = CollapFeatureExtractor()

    def refuse(*args, **kwargs):
        raise AssertionError("features were computed")

    monkeypatch.setattr(feature_extraction_collap.kaldi, "fbank", refuse)
    monkeypatch.setattr(feature_extraction_collap, "_whisper_extractor", refuse)
    with pytest.raises(AssertionError, match="features were computed"):
        extractor(sound(1), sampling_rate=RATE)
    with pytest.raises(ValueError, match="audio 2 of 2 holds NaN"):
        extractor([sound(1), np.full(RATE, np.nan, dtype=np.float32)], sampling_rate=RATE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window_seconds": 0}, "window_seconds must be positive"),
        ({"hop_length": -160}, "hop_length must be positive"),
        ({"window_seconds": 10.001}, "no multiple of hop_length=160"),
        ({"window_seconds": 0.1}, "less than 16 fbank frames"),
        ({"return_whisper": False, "return_beats": False}, "both off"),
    ],
)
def test_impossible_settings_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        CollapFeatureExtractor(**fields)


def test_round_trip_keeps_every_field(tmp_path):
    extractor = CollapFeatureExtractor(window_seconds=10.0, hop_length=640, n_fft=1024, return_beats=False)
    extractor.save_pretrained(tmp_path)
    assert CollapFeatureExtractor.from_pretrained(tmp_path).to_dict() == extractor.to_dict()
