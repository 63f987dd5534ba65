"""Whether the graphs of an export give what the model gives, for tracks and texts of several lengths."""

import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BatchFeature

from modeling_collap import CollapModel
from processing_collap import CollapProcessor

from .onnx_runner import OnnxCollap, run_graph

TOLERANCE = 1e-4
# Tracks in windows: some and a rest, one, and less than one. Texts: of many lines, a sentence, a word.
_WINDOWS = (2.4, 1.0, 0.4)
_TEXTS = (
    "\n".join(f"**0:{i}0-0:{i}9:** a verse with guitar and drums, which grow louder, line {i}" for i in range(6)),
    "quiet piano, then the full band",
    "jazz",
)


class OnnxMismatchError(ValueError):
    """The graphs of an export do not give what the model gives."""


@dataclass(frozen=True)
class Agreement:
    """Largest differences between onnxruntime and torch; where numbers exceed 1, relative to the largest of them."""

    audio_features: float
    text_features: float
    scores: float


def sample_batches(processor: CollapProcessor) -> list[BatchFeature]:
    """Tracks of noise that swells with their texts: three of different lengths together, the longest and the shortest
    alone.
    """
    extractor = processor.feature_extractor
    generator = np.random.default_rng(0)
    tracks = []
    for windows in _WINDOWS:
        size = max(round(windows * extractor.window_samples), extractor.min_samples)
        size = min(size, int(extractor.max_seconds * extractor.sampling_rate))
        tracks.append((generator.normal(size=size) * np.linspace(0.01, 0.2, size)).astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a tokenizer may cut the long text: then that is checked
        return [
            processor(audio=tracks[some], text=list(_TEXTS[some]), sampling_rate=extractor.sampling_rate)
            for some in (slice(None), slice(0, 1), slice(-1, None))
        ]


@torch.inference_mode()
def check_agreement(
    folder: Path, model: CollapModel, processor: CollapProcessor, tolerance: float = TOLERANCE
) -> Agreement:
    """Compares what the export in `folder` gives with what the model gives, in float32 on the CPU.

    The audio graph is run on whole tracks, padding included, and a few windows at a time by `OnnxCollap`.

    Raises:
        OnnxMismatchError: a difference is above `tolerance`; the message says of what, and how large it is.
    """
    exported = OnnxCollap(folder)
    worst = {field.name: 0.0 for field in fields(Agreement)}

    def compare(what: str, ours: NDArray[Any], expected: NDArray[Any]) -> None:
        worst[what] = float(np.maximum(worst[what], _difference(ours, expected)))  # NaN stays NaN

    for inputs in sample_batches(processor):
        features, lengths = model.get_audio_features(**inputs)
        texts = model.encode_text(**inputs)
        ours = exported.get_audio_features(**inputs)
        our_texts = exported.encode_text(**inputs)
        for our_features, our_lengths in (run_graph(exported.audio, inputs, "audio"), ours):
            if our_lengths.tolist() != lengths.tolist():
                worst["audio_features"] = float("inf")
            for track, our_track, length in zip(features.numpy(), our_features, lengths.tolist(), strict=True):
                compare("audio_features", our_track[:length], track[:length])
        for name, rows in texts.present().items():
            compare("text_features", our_texts[name], rows.numpy())
        scores = exported.score(*ours, our_texts)
        for name, rows in model.score(features, lengths, texts).present().items():
            compare("scores", scores[name], rows.numpy())
    for what, difference in worst.items():
        if not difference <= tolerance:
            raise OnnxMismatchError(
                f"the ONNX graphs do not give what torch gives: their {what.replace('_', ' ')} are {difference:.1e} "
                f"apart, and at most {tolerance:.1e} is allowed"
            )
    return Agreement(**worst)


def _difference(ours: NDArray[Any], expected: NDArray[Any]) -> float:
    if ours.shape != expected.shape:
        return float("inf")
    return float(np.abs(ours - expected).max() / max(1.0, np.abs(expected).max()))
