"""From any audio a user may hold (samples, files, bytes, decoders) to a mono float waveform at one sampling rate.

All paths end in the same downmix (the mean of the channels) and the same resampler, so a file and its decoded samples
give the same waveform.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Number
from typing import Any

import numpy as np
import torch
import torchaudio.functional

# A 2-D array has its channels in the axis that is this short, and its samples in the one that is longer.
MAX_CHANNELS = 8
# torchaudio's resampling filter has about numerator * denominator taps of the reduced rate ratio: 44101 / 16000 would
# take gigabytes. Beyond this size the ratio is rounded, which shifts the pitch by less than 1e-4.
_MAX_RESAMPLING_TAPS = 4_000_000
# Decoding stops this far behind the length limit: enough to see that it is exceeded.
_LIMIT_MARGIN_SECONDS = 1.0


def load_audio(
    source: Any,
    sampling_rate: int = 16000,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> torch.Tensor:
    """Decode an audio file, or just a slice of it, to mono.

    Args:
        source: path, encoded bytes, binary file object, or torchcodec `AudioDecoder`.
        sampling_rate: rate of the result, in hertz.
        start_seconds, end_seconds: the half-open slice to decode; `None` stands for the start and the end of the file.

    Returns:
        `(samples,)` float32, the mean of the channels.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file does not decode, the slice is empty or outside it, or samples are NaN or infinite.
    """
    start = 0.0 if start_seconds is None else start_seconds
    name = _file_name(source) or "audio"
    if start < 0 or (end_seconds is not None and end_seconds <= start):
        raise ValueError(f"{name}: no slice from {start_seconds} s to {end_seconds} s; it needs 0 <= start < end.")
    sampling_rate = _check_rate(sampling_rate, name)
    samples, rate = _decode(source, name, start, end_seconds)
    return _resample(_to_mono(samples, name), rate, sampling_rate)


def load_tracks(
    audio: Any,
    source_rates: int | Sequence[int] | None,
    *,
    sampling_rate: int,
    min_samples: int,
    max_seconds: float,
) -> list[torch.Tensor]:
    """Turn one track or a list of tracks into mono waveforms; any bad track raises an error that names it.

    Args:
        audio: one track or a sequence of tracks. A track is a numpy array, tensor or list of samples, a path, encoded
            bytes, a binary file object, a torchcodec `AudioDecoder`, or a `datasets` Audio dict
            (`{"array", "sampling_rate"}` or `{"bytes", "path"}`). A flat list of numbers is one track; a list of lists
            is a list of mono tracks.
        source_rates: rate of the samples in `audio`, in hertz: one for all or one per track. Sources that carry their
            own rate use that.
        sampling_rate: rate of the result, in hertz.
        min_samples: shortest result allowed.
        max_seconds: longest track allowed.

    Returns:
        One `(samples,)` float32 waveform per track.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: no tracks; an unknown or impossible sampling rate; a track that is empty, too short, too long, of an
            unclear shape or sample type, does not decode, or holds NaN or infinite samples.
    """
    tracks = _as_tracks(audio)
    if not tracks:
        raise ValueError("audio is an empty list: give at least one track.")
    names = [_track_name(track, i, len(tracks)) for i, track in enumerate(tracks, start=1)]
    if isinstance(source_rates, Sequence | np.ndarray) and not isinstance(source_rates, str):
        if len(source_rates) != len(tracks):
            raise ValueError(f"{len(source_rates)} sampling rates were given for {len(tracks)} tracks.")
        rates: list[Any] = list(source_rates)
    else:
        rates = [source_rates] * len(tracks)

    waveforms = []
    for track, rate, name in zip(tracks, rates, names, strict=True):
        samples, rate = _read(track, rate, name, max_seconds + _LIMIT_MARGIN_SECONDS)
        if samples.shape[-1] > max_seconds * rate:
            raise ValueError(f"{name} is longer than the limit of {max_seconds:g} s (max_seconds).")
        waveform = _resample(_to_mono(samples, name), rate, sampling_rate)
        if len(waveform) < min_samples:
            raise ValueError(
                f"{name} lasts {samples.shape[-1] / rate:.3f} s; the shortest that can be read is "
                f"{min_samples / sampling_rate:.3f} s."
            )
        waveforms.append(waveform)
    return waveforms


def _as_tracks(audio: Any) -> list[Any]:
    """Tell one track from a sequence of tracks."""
    if isinstance(audio, str | bytes | bytearray | memoryview) or not isinstance(audio, Sequence):
        return [audio]
    if len(audio) and isinstance(audio[0], Number):
        return [audio]
    return list(audio)


def _file_name(source: Any) -> str | None:
    """Name of the file behind a source, where it is known."""
    if isinstance(source, Mapping):
        source = source.get("path")
    return repr(os.fspath(source)) if isinstance(source, str | os.PathLike) else None


def _track_name(track: Any, position: int, count: int) -> str:
    file_name = _file_name(track)
    return f"audio {position} of {count}" + (f" ({file_name})" if file_name else "")


def _check_rate(rate: Any, name: str) -> int:
    if rate is None:
        raise ValueError(f"{name}: the sampling rate is missing; pass sampling_rate in hertz.")
    try:
        value = float(rate)
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value > 0 and value == int(value)):
        raise ValueError(f"{name}: the sampling rate must be a positive whole number of hertz, not {rate!r}.")
    return int(value)


def _read(track: Any, rate: Any, name: str, end_seconds: float) -> tuple[np.ndarray, int]:
    """Samples `(samples,)` or `(channels, samples)` of one track as they come, and their rate."""
    if isinstance(track, Mapping):
        if track.get("array") is not None:
            track, rate = track["array"], track.get("sampling_rate", rate)
        elif track.get("bytes") is not None:
            track = track["bytes"]
        elif track.get("path") is not None:
            track = track["path"]
        else:
            raise ValueError(f"{name}: the dict holds none of 'array', 'bytes' and 'path'.")
    if isinstance(track, np.ndarray | torch.Tensor | list | tuple):
        rate = _check_rate(rate, name)
        return _channels_first(_as_array(track, name), name), rate
    return _decode(track, name, 0.0, end_seconds)


def _as_array(samples: Any, name: str) -> np.ndarray:
    if isinstance(samples, torch.Tensor):
        samples = samples.detach().cpu()
        return (samples.float() if samples.is_floating_point() else samples).numpy()  # numpy knows no bfloat16
    try:
        return np.asarray(samples)
    except ValueError:
        raise ValueError(f"{name}: the channels have different lengths.") from None


def _channels_first(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 1 or array.size == 0:
        return array
    if array.ndim == 2 and array.shape[0] <= MAX_CHANNELS:
        return array
    if array.ndim == 2 and array.shape[1] <= MAX_CHANNELS:
        return array.T
    raise ValueError(
        f"{name} has shape {array.shape}; a track is (samples,) or (channels, samples) with at most {MAX_CHANNELS} "
        "channels, and several tracks are a list."
    )


def _to_mono(samples: np.ndarray, name: str) -> np.ndarray:
    """Mean of the channels as float32 in [-1, 1], whatever the sample type: `(samples,)`."""
    if samples.size == 0:
        raise ValueError(f"{name} is empty: it holds no samples.")
    kind, width = samples.dtype.kind, samples.dtype.itemsize
    if kind == "f":
        offset, scale = 0.0, 1.0
    elif (kind, width) in {("i", 2), ("i", 4)}:
        offset, scale = 0.0, 2.0 ** (8 * width - 1)
    elif (kind, width) == ("u", 1):
        offset, scale = 128.0, 128.0  # 8-bit PCM is unsigned, with silence at 128
    else:
        raise ValueError(
            f"{name} has samples of type {samples.dtype}; give floats in [-1, 1] or uint8, int16 or int32 PCM."
        )
    with np.errstate(over="ignore", invalid="ignore"):  # reported below, by name
        mono = np.atleast_2d(samples).mean(axis=0, dtype=np.float32)
    mono -= np.float32(offset)
    mono /= np.float32(scale)
    finite = np.isfinite(mono)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ValueError(f"{name} holds NaN or infinite samples: {len(mono) - int(finite.sum())}, first at {first}.")
    return mono


def _resample(mono: np.ndarray, rate: int, target_rate: int) -> torch.Tensor:
    ratio = Fraction(rate, target_rate)
    if ratio.numerator * ratio.denominator > _MAX_RESAMPLING_TAPS:
        ratio = ratio.limit_denominator(1000)
    waveform = torch.from_numpy(mono)
    return torchaudio.functional.resample(waveform, ratio.numerator, ratio.denominator)


def _decode(source: Any, name: str, start_seconds: float, end_seconds: float | None) -> tuple[np.ndarray, int]:
    """Decode a slice at the file's own rate: `(channels, samples)` float32 and the rate."""
    if isinstance(source, str | os.PathLike):
        if not os.path.isfile(source):
            raise FileNotFoundError(f"{name}: there is no such file.")
    elif isinstance(source, bytes | bytearray | memoryview):
        source = bytes(source)
        if not source:
            raise ValueError(f"{name} is empty: it holds no bytes.")
    elif not isinstance(source, io.IOBase) and not hasattr(source, "get_samples_played_in_range"):
        raise ValueError(f"{name}: {type(source).__name__} is no audio; give samples, a path, bytes or a decoder.")

    try:  # only here, so that those who hand over samples need no FFmpeg
        from torchcodec.decoders import AudioDecoder
    except (ImportError, RuntimeError) as error:
        raise ImportError(f"{name}: decoding needs torchcodec and FFmpeg's libraries: {error}") from error
    try:
        decoder = source if hasattr(source, "get_samples_played_in_range") else AudioDecoder(source)
        decoded = decoder.get_samples_played_in_range(start_seconds, end_seconds)
    except Exception as error:  # torchcodec raises several kinds, none of which names the file
        if "No audio frames were decoded" in str(error):
            raise ValueError(f"{name} is empty: it holds no audio from {start_seconds:g} s on.") from error
        cause = str(error).rpartition(".cpp:")[2].partition(", ")[2] or str(error)
        raise ValueError(f"{name} does not decode: {cause}") from error
    return decoded.data.numpy(), decoded.sample_rate
