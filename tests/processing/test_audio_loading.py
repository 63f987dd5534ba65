"""Every form in which a track may arrive gives the same waveform; what cannot be used is named."""

import io

import datasets
import numpy as np
import pytest
import torch
import torchaudio
from torchcodec.decoders import AudioDecoder

from processing_collap import load_audio
from processing_collap.audio_loading import load_tracks

RATE = 16000


def tracks(audio, sampling_rate=None, max_seconds=100.0):
    return load_tracks(audio, sampling_rate, sampling_rate=RATE, min_samples=100, max_seconds=max_seconds)


def track(audio, sampling_rate=None):
    (waveform,) = tracks(audio, sampling_rate)
    return waveform


@pytest.fixture
def stereo(sound):
    return np.stack([sound(1, 44100, seed=1), sound(1, 44100, seed=2)])  # (2, samples)


@pytest.fixture
def stereo_file(stereo, wav_bytes, tmp_path):
    path = tmp_path / "stereo.wav"
    path.write_bytes(wav_bytes(stereo, 44100))
    return path


def test_samples_come_back_as_they_are(sound):
    waveform = track(sound(1), RATE)
    assert waveform.dtype == torch.float32
    assert torch.equal(waveform, torch.from_numpy(sound(1)))


def test_array_tensor_and_list_agree(sound):
    samples = sound(0.1)
    forms = [
        samples,
        torch.from_numpy(samples),
        samples.tolist(),
        samples[None],
        samples[:, None],
        samples.astype(float),
    ]
    for form in forms:
        assert torch.equal(track(form, RATE), torch.from_numpy(samples))


def test_lists_are_batches(sound):
    a, b = sound(0.1, seed=1), sound(0.2, seed=2)
    for batch in ([a, b], (torch.from_numpy(a), b), [a.tolist(), b.tolist()]):
        assert [len(waveform) for waveform in tracks(batch, RATE)] == [1600, 3200]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_float_tensors_of_any_width(sound, dtype):
    samples = torch.from_numpy(sound(0.1)).to(dtype)
    assert torch.equal(track(samples, RATE), samples.float())


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<i4"])
def test_integer_pcm_is_scaled(dtype):
    width = np.dtype(dtype).itemsize
    samples = np.tile(np.array([-(2 ** (8 * width - 1)), 0, 2 ** (8 * width - 2)], dtype=dtype), 100)
    assert track(samples, RATE).unique().tolist() == [-1.0, 0.0, 0.5]


def test_eight_bit_pcm_has_its_silence_at_128():
    samples = np.tile(np.array([0, 128, 192], dtype=np.uint8), 100)
    assert track(samples, RATE).unique().tolist() == [-1.0, 0.0, 0.5]


def test_input_is_not_changed(sound):
    samples = sound(0.1)
    track(samples, RATE).fill_(0)
    np.testing.assert_array_equal(samples, sound(0.1))


@pytest.mark.parametrize("transposed", [False, True])
def test_stereo_is_the_mean_of_its_channels(stereo, transposed):
    waveform = track(stereo.T if transposed else stereo, 44100)
    torch.testing.assert_close(waveform, track(stereo.mean(0), 44100), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_is_torchaudios(sound, rate):
    expected = torchaudio.functional.resample(torch.from_numpy(sound(1, rate)), rate, RATE)
    assert torch.equal(track(sound(1, rate), rate), expected)


@pytest.mark.parametrize("rate", [11021, 44101])
def test_rates_without_a_small_ratio_are_resampled_in_little_memory(rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(RATE, dtype=torch.float64) / RATE).float()
    waveform = track(tone, rate)
    assert abs(len(waveform) - RATE) <= 1
    torch.testing.assert_close(waveform[200 : RATE - 200], expected[200 : RATE - 200], atol=0.02, rtol=0)


def test_one_rate_for_each_track(sound):
    waveforms = tracks([sound(1, 8000), sound(1, 48000)], [8000, 48000])
    assert [len(waveform) for waveform in waveforms] == [RATE, RATE]
    with pytest.raises(ValueError, match="3 sampling rates were given for 2 tracks"):
        tracks([sound(1), sound(1)], [RATE] * 3)


def test_files_bytes_decoders_and_dicts_equal_their_samples(stereo_file):
    pcm = AudioDecoder(str(stereo_file)).get_all_samples().data
    expected = track(pcm, 44100)
    data = stereo_file.read_bytes()
    forms = [
        *(stereo_file, str(stereo_file), data, io.BytesIO(data), AudioDecoder(data)),
        {"array": pcm.numpy(), "sampling_rate": 44100},
        {"bytes": data, "path": "not/on/disk.wav"},
        {"bytes": None, "path": str(stereo_file)},
    ]
    for form in forms:
        assert torch.equal(track(form), expected), type(form)
    assert torch.equal(load_audio(stereo_file), expected)


def test_a_sources_own_rate_is_used(stereo_file):
    assert torch.equal(track(stereo_file, 8000), track(stereo_file))


def test_datasets_audio_column(stereo_file):
    dataset = datasets.Dataset.from_dict({"audio": [str(stereo_file)] * 2})
    expected = track(stereo_file)
    for feature in (datasets.Audio(), datasets.Audio(decode=False)):
        column = dataset.cast_column("audio", feature)["audio"]
        assert torch.equal(track(column[0]), expected)
        assert [torch.equal(waveform, expected) for waveform in tracks(column)] == [True, True]


def test_slice_equals_the_part_of_the_whole(sound, wav_bytes):
    data = wav_bytes(sound(3), RATE)
    whole = load_audio(data)
    assert torch.equal(load_audio(data, start_seconds=0.5, end_seconds=1.25), whole[8000:20000])
    assert torch.equal(load_audio(data, start_seconds=2.0), whole[32000:])
    assert torch.equal(load_audio(data, end_seconds=1.0), whole[:16000])


def test_load_audio_resamples(sound, wav_bytes):
    assert load_audio(wav_bytes(sound(1), RATE), sampling_rate=8000).shape == (8000,)


@pytest.mark.parametrize("limits", [(-1, None), (2, 1), (1, 1)])
def test_impossible_slices_are_refused(stereo_file, limits):
    with pytest.raises(ValueError, match=r"stereo\.wav.*0 <= start < end"):
        load_audio(stereo_file, start_seconds=limits[0], end_seconds=limits[1])


def test_slice_behind_the_end(stereo_file):
    with pytest.raises(ValueError, match=r"stereo\.wav' is empty: it holds no audio from 7 s on"):
        load_audio(stereo_file, start_seconds=7, end_seconds=8)


def test_long_file_is_refused(sound, wav_bytes, tmp_path):
    path = tmp_path / "long.wav"
    path.write_bytes(wav_bytes(sound(3), RATE))
    with pytest.raises(ValueError, match=r"audio 1 of 1 \('.*long\.wav'\) is longer than the limit of 1\.5 s"):
        tracks(path, max_seconds=1.5)


GOOD = np.zeros(RATE, dtype=np.float32)
SPOILT = {"nan": np.where(np.arange(RATE) == 7, np.nan, GOOD), "inf": np.where(np.arange(RATE) == 7, np.inf, GOOD)}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(0), "is empty: it holds no samples"),
        (np.zeros((2, 0)), "is empty: it holds no samples"),
        ([], "is empty: it holds no samples"),
        (b"", "is empty: it holds no bytes"),
        (SPOILT["nan"], "holds NaN or infinite samples: 1, first at 7"),
        (SPOILT["inf"], "holds NaN or infinite samples: 1, first at 7"),
        (np.stack([GOOD, SPOILT["nan"]]), "holds NaN or infinite samples: 1, first at 7"),
        (np.full(RATE, 1e300), "holds NaN or infinite samples"),
        (GOOD.astype(np.int64), "samples of type int64"),
        (GOOD.astype(bool), "samples of type bool"),
        (GOOD.astype(complex), "samples of type complex128"),
        (np.zeros((100, 100)), r"has shape \(100, 100\)"),
        (np.zeros((2, 1, 100)), r"has shape \(2, 1, 100\)"),
        ([[0.0] * 5, [0.0] * 4], "channels have different lengths"),
        (np.zeros(50), "lasts 0.003 s; the shortest"),
        (b"this is no audio" * 50, "does not decode"),
        ({"path": None}, "none of 'array', 'bytes' and 'path'"),
        (object(), "object is no audio"),
    ],
)
def test_bad_tracks_are_named(bad, message):
    with pytest.raises(ValueError, match=f"^audio 2 of 3:? .*{message}"):
        tracks([GOOD, bad, GOOD], RATE)


@pytest.mark.parametrize("rate", [None, 0, -16000, 0.5, float("nan"), float("inf"), "fast", [RATE, None, RATE]])
def test_bad_sampling_rates(rate):
    with pytest.raises(ValueError, match=r"^audio [12] of 3: the sampling rate"):
        tracks([GOOD, GOOD, GOOD], rate)


def test_dict_without_its_rate_needs_one():
    with pytest.raises(ValueError, match="sampling rate is missing"):
        track({"array": GOOD})
    assert len(track({"array": GOOD}, RATE)) == RATE


def test_bad_files_are_named(wav_bytes, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"audio 2 of 2 \('.*gone\.mp3'\): there is no such file"):
        tracks([GOOD, tmp_path / "gone.mp3"], RATE)
    (tmp_path / "broken.mp3").write_bytes(b"nothing to hear" * 99)
    with pytest.raises(ValueError, match=r"audio 1 of 1 \('.*broken\.mp3'\) does not decode"):
        track(tmp_path / "broken.mp3")
    (tmp_path / "empty.wav").write_bytes(wav_bytes(np.zeros(0), RATE))
    with pytest.raises(ValueError, match=r"audio 1 of 1 \('.*empty\.wav'\) is empty"):
        track(tmp_path / "empty.wav")


def test_no_tracks_at_all():
    with pytest.raises(ValueError, match="give at least one track"):
        tracks([], RATE)


def test_real_recording(shared_data):
    path = sorted((shared_data / "macleod_real" / "audio").glob("*.opus"))[0]
    whole, part = load_audio(path, end_seconds=20.0), load_audio(path, start_seconds=10.0, end_seconds=15.0)
    assert whole.shape == (20 * RATE,)
    # Away from its edges, where the resampler sees the cut.
    torch.testing.assert_close(part[100:-100], whole[10 * RATE : 15 * RATE][100:-100], atol=2e-4, rtol=0)
