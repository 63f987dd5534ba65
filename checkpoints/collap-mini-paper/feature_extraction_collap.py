"""Feature extractor of CoLLAP: a track becomes windows of Whisper log-mels and BEATs filter banks."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torchaudio.compliance import kaldi
from transformers import BatchFeature, FeatureExtractionMixin, WhisperFeatureExtractor

from .audio_loading import load_tracks

# BEATs cuts its filter bank into patches of 16 x 16: a shorter track would hold none.
_BEATS_PATCH_FRAMES = 16
# Whisper's second convolution halves the frames.
_WHISPER_STRIDE = 2


@lru_cache(maxsize=8)
def _whisper_extractor(feature_size: int, sampling_rate: int, hop_length: int, n_fft: int) -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(
        feature_size=feature_size, sampling_rate=sampling_rate, hop_length=hop_length, n_fft=n_fft
    )


class CollapFeatureExtractor(FeatureExtractionMixin):
    """Cuts tracks into consecutive windows and gives each window the features of both audio encoders.

    The defaults are those that Whisper and the released BEATs were trained on. A window's features depend on that
    window alone, so a track has the same features alone and in a batch.

    Args:
        sampling_rate: rate in hertz at which features are computed; everything else is resampled to it.
        window_seconds: length of a window; the last one of a track is shorter. A whole number of hops.
        feature_size, hop_length, n_fft: mel bins, hop and FFT size (in samples) of Whisper's log-mel spectrogram.
        fbank_mel_bins, fbank_frame_length_ms, fbank_frame_shift_ms: BEATs' Kaldi filter bank.
        fbank_mean, fbank_std: the filter bank is normalised to `(x - mean) / (2 * std)`.
        max_seconds: longest track that is accepted.
        return_whisper, return_beats: which encoders' features are computed.

    Raises:
        ValueError: a size is not positive, the window is no whole number of hops, or both branches are off.
    """

    model_input_names = ["input_features", "input_features_lengths", "fbank", "fbank_lengths"]  # noqa: RUF012

    def __init__(
        self,
        sampling_rate: int = 16000,
        window_seconds: float = 30.0,
        feature_size: int = 80,
        hop_length: int = 160,
        n_fft: int = 400,
        fbank_mel_bins: int = 128,
        fbank_frame_length_ms: float = 25.0,
        fbank_frame_shift_ms: float = 10.0,
        fbank_mean: float = 15.41663,
        fbank_std: float = 6.55582,
        max_seconds: float = 1200.0,
        return_whisper: bool = True,
        return_beats: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sampling_rate = sampling_rate
        self.window_seconds = window_seconds
        self.feature_size = feature_size
        self.hop_length = hop_length
        self.n_fft = n_fft
        self.fbank_mel_bins = fbank_mel_bins
        self.fbank_frame_length_ms = fbank_frame_length_ms
        self.fbank_frame_shift_ms = fbank_frame_shift_ms
        self.fbank_mean = fbank_mean
        self.fbank_std = fbank_std
        self.max_seconds = max_seconds
        self.return_whisper = return_whisper
        self.return_beats = return_beats

        for name, value in vars(self).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name != "fbank_mean" and value <= 0:
                raise ValueError(f"{name} must be positive, not {value}.")
        if not (return_whisper or return_beats):
            raise ValueError("return_whisper and return_beats are both off: there is nothing to extract.")
        if return_whisper and self.window_samples % hop_length:
            raise ValueError(
                f"window_seconds={window_seconds} is {self.window_samples} samples, no multiple of "
                f"hop_length={hop_length}."
            )
        if return_beats and self.fbank_frames_per_window < _BEATS_PATCH_FRAMES:
            raise ValueError(f"window_seconds={window_seconds} holds less than {_BEATS_PATCH_FRAMES} fbank frames.")

    @property
    def window_samples(self) -> int:
        """Samples in a full window."""
        return round(self.window_seconds * self.sampling_rate)

    @property
    def frames_per_window(self) -> int:
        """Log-mel frames in a full window."""
        return self.window_samples // self.hop_length

    @property
    def fbank_frames_per_window(self) -> int:
        """Filter-bank frames in a full window."""
        return self._num_fbank_frames(self.window_samples)

    @property
    def min_samples(self) -> int:
        """Samples in the shortest track that every enabled encoder can read: one time step of each."""
        frame, shift = self._fbank_frame_samples
        whisper = self.return_whisper * _WHISPER_STRIDE * self.hop_length
        beats = self.return_beats * (frame + (_BEATS_PATCH_FRAMES - 1) * shift)
        return max(whisper, beats)

    @property
    def _fbank_frame_samples(self) -> tuple[int, int]:
        """Length and shift of a filter-bank frame in samples, rounded as Kaldi does."""
        return (
            int(self.sampling_rate * self.fbank_frame_length_ms * 0.001),
            int(self.sampling_rate * self.fbank_frame_shift_ms * 0.001),
        )

    def _num_fbank_frames(self, num_samples: int) -> int:
        frame, shift = self._fbank_frame_samples
        return 0 if num_samples < frame else 1 + (num_samples - frame) // shift

    def __call__(
        self,
        audio: Any,
        sampling_rate: int | Sequence[int] | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Extract the features of one track or a list of tracks.

        Args:
            audio: one track or a list of tracks. A track is a numpy array, tensor or list of samples, a path, encoded
                bytes, a torchcodec decoder or a `datasets` Audio dict. Samples are `(samples,)`, `(channels, samples)`
                or `(samples, channels)`, with at most 8 channels, downmixed by their mean; floats in [-1, 1], or uint8,
                int16 or int32 PCM.
            sampling_rate: rate of the samples in hertz, one for all or one per track. Required, except for sources that
                carry their own rate, which is then the one used.
            return_tensors: "pt" or "np".

        Returns:
            `BatchFeature` for `N` tracks and `K` windows, the most of any track; what is padded is zero:

            - `input_features` `(N, K, feature_size, frames_per_window)` float32;
            - `input_features_lengths` `(N, K)` int64, the log-mel frames that hold audio;
            - `fbank` `(N, K, fbank_frames_per_window, fbank_mel_bins)` float32;
            - `fbank_lengths` `(N, K)` int64; a last window shorter than one frame has length 0.

        Raises:
            FileNotFoundError: a file does not exist.
            ValueError: a track cannot be used; the message names it and says why. No feature is computed before.
        """
        tracks = load_tracks(
            audio,
            sampling_rate,
            sampling_rate=self.sampling_rate,
            min_samples=self.min_samples,
            max_seconds=self.max_seconds,
        )
        windows = [track.split(self.window_samples) for track in tracks]
        features: dict[str, torch.Tensor] = {}
        if self.return_whisper:
            features.update(self._log_mels(windows))
        if self.return_beats:
            features.update(self._fbanks(windows))
        return BatchFeature(features, tensor_type=return_tensors)

    def _log_mels(self, windows: list[tuple[torch.Tensor, ...]]) -> dict[str, torch.Tensor]:
        extractor = _whisper_extractor(self.feature_size, self.sampling_rate, self.hop_length, self.n_fft)
        shape = (len(windows), max(map(len, windows)))
        features = torch.zeros(*shape, self.feature_size, self.frames_per_window)  # (N, K, mels, frames)
        lengths = torch.zeros(shape, dtype=torch.int64)  # (N, K)
        # One window at a time, straight into its place: a 20-minute track needs no second copy of its features.
        for n, track in enumerate(windows):
            for k, window in enumerate(track):
                log_mel = extractor(
                    window.numpy(),
                    sampling_rate=self.sampling_rate,
                    max_length=self.window_samples,
                    return_tensors="pt",
                )
                features[n, k] = log_mel["input_features"][0]  # (mels, frames)
                lengths[n, k] = -(-len(window) // self.hop_length)
        return {"input_features": features, "input_features_lengths": lengths}

    def _fbanks(self, windows: list[tuple[torch.Tensor, ...]]) -> dict[str, torch.Tensor]:
        shape = (len(windows), max(map(len, windows)))
        features = torch.zeros(*shape, self.fbank_frames_per_window, self.fbank_mel_bins)  # (N, K, frames, mels)
        lengths = torch.zeros(shape, dtype=torch.int64)  # (N, K)
        for n, track in enumerate(windows):
            for k, window in enumerate(track):
                length = self._num_fbank_frames(len(window))
                if length:
                    features[n, k, :length] = self._fbank(window)
                    lengths[n, k] = length
        return {"fbank": features, "fbank_lengths": lengths}

    def _fbank(self, window: torch.Tensor) -> torch.Tensor:
        """Normalised filter bank `(frames, mels)` of a window `(samples,)`, as in BEATs (arXiv 2212.09058)."""
        fbank = kaldi.fbank(
            window.unsqueeze(0) * 2**15,  # Kaldi expects the range of 16-bit samples
            num_mel_bins=self.fbank_mel_bins,
            sample_frequency=self.sampling_rate,
            frame_length=self.fbank_frame_length_ms,
            frame_shift=self.fbank_frame_shift_ms,
            dither=0.0,
        )
        return (fbank - self.fbank_mean) / (2 * self.fbank_std)


CollapFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
