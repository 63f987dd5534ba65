"""A made library of any size: what encoders would return for its tracks and descriptions, drawn anew from a seed.

Tracks lie around cluster centres, the sections of a track around the track, its seconds around the section, and the
model's time steps around the second. Shares of the variance, and how it falls off over the dimensions, are like those
of 100 songbook songs encoded by collap-mini: theirs count as five to seven dimensions of one size between tracks and
between seconds, and as twelve within a second. So averaging over a second moves scores as it does there, beside what
lies between tracks: by 9, 11 and 2% of it for eqs (5), (6) and the structure term.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from modeling_collap import CollapConfig, CollapModel, CollapTextFeatures
from processing_collap import CollapProcessor
from retrieval_collap import TrackIndex
from retrieval_collap.index import IndexedTrack

MINI = Path(__file__).resolve().parents[1] / "checkpoints" / "collap-mini"
SECONDS, STEPS_PER_SECOND, DIM = 288, 5, 512
PASSAGES = 8
_CLUSTERS = 200
_KINDS = 4  # of sections: verse, chorus, bridge, solo
# Shares of the variance of a step.
_COMMON, _CLUSTER, _TRACK, _SECTION, _SECOND, _STEP = 0.13, 0.07, 0.07, 0.27, 0.29, 0.17
_TEXT = 0.3  # what a text says besides, and each of its passages once more
_SHARPNESS = 100.0  # of passages
_DECAY, _STEP_DECAY = 1.5, 1.2  # exponents of the variances over the dimensions
_NOISE_STEPS = 16384
_TRACKS_PER_COMMIT = 512


class Gammas(NamedTuple):
    """Weights of the three terms."""

    kernel: float
    temporal: float
    structure: float


SCORES = {"collap-mini": None, "paper": Gammas(0.5, 0.5, 0.0), "all": Gammas(0.5, 0.5, 1.0)}


class _Song(NamedTuple):
    kinds: np.ndarray  # (K, D)
    order: np.ndarray  # (P,), the kind of each section
    bounds: np.ndarray  # (P + 1,), in seconds


def model(score: str) -> CollapModel:
    """collap-mini's architecture with D = 512 and random weights: its score, of `SCORES`, depends on none of them."""
    torch.manual_seed(0)
    config = CollapConfig.from_pretrained(MINI)
    config.projection_dim = DIM
    if gammas := SCORES[score]:
        config.gamma_kernel, config.gamma_temporal, config.gamma_structure = gammas
    return CollapModel(config).eval()


class MadeIndex(TrackIndex):
    """An index whose texts mean something: "7" is a description of track 7."""

    def embed(self, text: str) -> CollapTextFeatures:
        return description(int(text))

    @classmethod
    def at(cls, folder: Path, score: str) -> "MadeIndex":
        """The index of a folder, made where there is none, of a model with one of `SCORES`."""
        made, processor = model(score), CollapProcessor.from_pretrained(MINI)
        return cls.open(folder, made, processor) if folder.exists() else cls.create(folder, made, processor)

    def fill(self, tracks: int) -> Iterator[int]:
        """Write the tracks that are missing; yields how many a commit brought."""
        for first in range(len(self), tracks, _TRACKS_PER_COMMIT):
            rows = [self._row(number) for number in range(first, min(first + _TRACKS_PER_COMMIT, tracks))]
            self.write(rows)
            yield len(rows)

    def _row(self, number: int) -> IndexedTrack:
        return IndexedTrack(
            id=f"{number:06d}",
            path=f"/music/artist {number // 12:05d}/{number % 12 + 1:02d} - song number {number}.flac",
            title=f"Song number {number}",
            duration=float(SECONDS),
            content_hash=f"{number:064x}",
            size=5_000_000,
            modified=1.7e9,
            tags=("rock", "indie", f"artist {number // 12:05d}"),
            **self.compress(torch.from_numpy(features(number)))._asdict(),
        )


def features(number: int) -> np.ndarray:
    """The fused sequence (T, D) of a track."""
    rng = np.random.default_rng([2, number])
    song = _song(number)
    sections = song.kinds[song.order].repeat(np.diff(song.bounds), axis=0)  # (seconds, D)
    seconds = sections + _draw(rng, _SECOND, SECONDS)
    first = int(rng.integers(_NOISE_STEPS - SECONDS * STEPS_PER_SECOND))
    noise = _noise()[first : first + SECONDS * STEPS_PER_SECOND].reshape(SECONDS, STEPS_PER_SECOND, DIM)
    return (noise + seconds[:, None]).reshape(-1, DIM)


def description(number: int) -> CollapTextFeatures:
    """A text of a track and its passages, one a section."""
    rng = np.random.default_rng([3, number])
    song = _song(number)
    lengths = np.diff(song.bounds)
    sections = song.kinds[song.order]  # (P, D)
    sections += _draw(rng, _TEXT)
    whole = np.average(sections, axis=0, weights=lengths) + _draw(rng, _TEXT)  # (D,)
    passages = sections + _draw(rng, _TEXT, PASSAGES)  # (P, D)
    places = (song.bounds[1:] + song.bounds[:-1]) / (2 * SECONDS)
    return CollapTextFeatures(
        torch.from_numpy(whole[None]).float(),
        torch.from_numpy(passages[None]),
        torch.from_numpy(places[None]).float(),
        torch.full((1, PASSAGES), _SHARPNESS),
    )


def steps_of(numbers: list[int]) -> tuple[Tensor, Tensor]:
    """Whole sequences (N, T, D) and lengths (N,), as the model returns them."""
    steps = torch.from_numpy(np.stack([features(number) for number in numbers]))
    return steps, torch.full((len(numbers),), steps.shape[1])


def _song(number: int) -> _Song:
    rng = np.random.default_rng([1, number])
    common = _draw(np.random.default_rng(0), _COMMON)
    cluster = _draw(np.random.default_rng([0, int(rng.integers(_CLUSTERS))]), _CLUSTER)
    track = common + cluster + _draw(rng, _TRACK)
    cuts = np.sort(rng.choice(np.arange(1, SECONDS // 6), PASSAGES - 1, replace=False)) * 6
    return _Song(
        track + _draw(rng, _SECTION, _KINDS), rng.integers(_KINDS, size=PASSAGES), np.array([0, *cuts, SECONDS])
    )


@lru_cache
def _noise() -> np.ndarray:
    """What steps have beside their second, drawn once, of which every track takes a run: drawing takes long."""
    return _draw(np.random.default_rng(4), _STEP, _NOISE_STEPS, decay=_STEP_DECAY)


def _draw(rng: np.random.Generator, variance: float, *shape: int, decay: float = _DECAY) -> np.ndarray:
    """(..., D) float32 of this variance over all dimensions together."""
    shares = np.arange(1, DIM + 1) ** -decay
    scale = np.sqrt(variance * shares / shares.sum()).astype(np.float32)
    return rng.standard_normal((*shape, DIM), dtype=np.float32) * scale
