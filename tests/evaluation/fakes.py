"""A scorer without a network: a track is its energy over time at a few pitches, a text names them."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation_collap.scorers.base import Encoded, Scorer

RATE = 16000
# Pitches in Hz that the fake hears, and the words it knows for them.
PITCHES = {"low": 200.0, "middle": 500.0, "high": 1200.0, "shrill": 3000.0}
STEPS_PER_SECOND = 4.0


class FakeScorer(Scorer):
    """Hears how loud four pitches are in every quarter of a second, and reads how often a text names them.

    It counts what it encodes, so that tests see what a cache spares.
    """

    can_locate = True
    sampling_rate = RATE

    def __init__(self, name: str = "fake", version: str = "1"):
        self.name = name
        self.version = version
        self.tracks_encoded = 0
        self.texts_encoded = 0

    @property
    def fingerprint(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def protocol(self) -> dict[str, str]:
        return {"tracks": "whole", "texts": "whole", "score": "cosine of pitches"}

    def encode_track(self, samples: np.ndarray) -> Encoded:
        self.tracks_encoded += 1
        size = round(RATE / STEPS_PER_SECOND)
        if len(samples) < size:
            raise ValueError("the track is too short")
        steps = samples[: len(samples) // size * size].reshape(-1, size)  # (T, size)
        time = np.arange(size) / RATE
        waves = np.exp(2j * np.pi * np.outer(time, list(PITCHES.values())))  # (size, pitches)
        return {"features": torch.from_numpy(np.abs(steps @ waves)).float() / size}  # (T, pitches)

    def encode_text(self, text: str) -> Encoded:
        self.texts_encoded += 1
        words = text.lower().split()
        return {"embeds": torch.tensor([float(words.count(name)) for name in PITCHES])}

    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        heard = F.normalize(torch.stack([track["features"].mean(0) for track in tracks]), dim=-1)
        read = F.normalize(torch.stack([text["embeds"] for text in texts]), dim=-1)
        return heard @ read.T

    def relevance(self, track: Encoded, text: Encoded) -> tuple[Tensor, float]:
        return F.cosine_similarity(track["features"], text["embeds"][None], dim=1), STEPS_PER_SECOND


def sound(*pitches: str, seconds: float = 2.0) -> np.ndarray:
    """The named pitches one after another, `seconds` each: (samples,) float32 at 16 kHz."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.concatenate([0.5 * np.sin(2 * np.pi * PITCHES[name] * time) for name in pitches]).astype(np.float32)
