"""Captioned tracks as training examples: whole, or crops of some windows with the captions of their sections."""

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from datasets import Audio, Dataset
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from dataset_scripts.structure import crop_lines
from processing_collap import load_audio

from .captions import as_caption, beginning, track_lines, varied


class TrackStore(Protocol):
    """What was computed of every track of a data set before training: `FeatureStore` or `EncoderStore`."""

    folder: Path

    @property
    def ids(self) -> list[str]:
        """Ids of the tracks, in the order of the rows."""

    def read(self, track: int, first: int = 0, last: int | None = None) -> dict[str, Tensor]:
        """Inputs of the model for the windows `first` up to `last` of a track, by name: each (windows, ...)."""


class CaptionedTracks(TorchDataset):
    """One track (or one crop of it) at a time, with its caption.

    A crop is a run of whole windows, so that the encoders hear in training exactly what they hear in use, and its
    caption is made from the passages that lie in it. Which crop is taken depends on seed, epoch and index alone, never
    on worker or process.

    Args:
        dataset: rows of the dataset schema; audio is decoded here, just the span that is needed.
        sampling_rate: of the decoded audio, in Hz.
        window_seconds: length of a window, in seconds.
        crop_windows: windows of a crop; `None` always takes whole tracks.
        whole_track_share: share of the examples that stay whole although crops are on.
        vary_captions: share of the examples whose captions are worded differently every time, see `captions.varied`.
        shorten_captions: share of the examples of whose captions only the beginning is read, see `captions.beginning`.
        seed: of the choice of crops and words.
        features: features of the same rows, or states of the frozen encoders, computed before; the audio is then left
            alone.

    Raises:
        ValueError: if the features are of other rows.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        sampling_rate: int = 16000,
        window_seconds: float = 30.0,
        crop_windows: int | None = None,
        whole_track_share: float = 0.0,
        vary_captions: float = 0.0,
        shorten_captions: float = 0.0,
        seed: int = 0,
        features: TrackStore | None = None,
    ):
        self.audio = dataset.select_columns("audio").cast_column("audio", Audio(decode=False))
        self.rows = dataset.remove_columns("audio")
        self.sampling_rate = sampling_rate
        self.window_seconds = window_seconds
        self.crop_windows = crop_windows
        self.whole_track_share = whole_track_share
        self.vary_captions = vary_captions
        self.shorten_captions = shorten_captions
        self.seed = seed
        # In shared memory, so that workers which outlive an epoch see the next one too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self.features = features
        if features is not None and features.ids != list(self.rows["id"]):
            raise ValueError(f"the store {features.folder} was made from other rows than these.")

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Called at the start of every epoch: new epoch, new crops."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def captions(self) -> list[str]:
        """Whole captions in order."""
        return list(self.rows["caption"])

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        crop, with_global = self._choose_crop(row["duration"], index, self.epoch)
        if crop is None:
            start, end = 0.0, row["duration"]
            lines = track_lines(row)
        else:
            start, end = (edge * self.window_seconds for edge in crop)
            end = min(end, row["duration"])
            lines = crop_lines(row, start, end, keep_global=with_global)
        words = np.random.default_rng((self.seed, self.epoch, index, 1))
        caption = varied(lines, words) if words.random() < self.vary_captions else as_caption(lines)
        if words.random() < self.shorten_captions:
            caption = beginning(lines, words)
        example: dict[str, Any] = {"id": row["id"], "caption": caption.text, "lines": caption.lines}
        if self.features is not None:
            example["features"] = self.features.read(index, *(crop or ()))
        else:
            span = {} if crop is None else {"start_seconds": start, "end_seconds": end}
            example["audio"] = self._load(index, **span)
        return example

    def _load(self, index: int, **span: float) -> np.ndarray:
        audio = self.audio[index]["audio"]
        source = audio["bytes"] if audio["bytes"] is not None else audio["path"]
        return load_audio(source, sampling_rate=self.sampling_rate, **span).numpy()

    def lengths(self, epoch: int) -> list[int]:
        """Windows of every example in an epoch, by position; batches of like length are made from them."""
        lengths = []
        for index, duration in enumerate(self.rows["duration"]):
            crop, _ = self._choose_crop(duration, index, epoch)
            lengths.append(math.ceil(duration / self.window_seconds) if crop is None else crop[1] - crop[0])
        return lengths

    def _choose_crop(self, duration: float, index: int, epoch: int) -> tuple[tuple[int, int] | None, bool]:
        """First window and the one past the last, or `None` for the whole track; whether the global caption is kept."""
        if self.crop_windows is None:
            return None, True
        rng = np.random.default_rng((self.seed, epoch, index))
        windows = math.ceil(duration / self.window_seconds)
        # A last window of a few seconds has too little to hear; it is only taken with whole tracks.
        if windows > 1 and duration - (windows - 1) * self.window_seconds < self.window_seconds / 2:
            windows -= 1
        if rng.random() < self.whole_track_share or windows <= self.crop_windows:
            return None, True
        first = int(rng.integers(windows - self.crop_windows + 1))
        return (first, first + self.crop_windows), bool(rng.random() < 0.5)
