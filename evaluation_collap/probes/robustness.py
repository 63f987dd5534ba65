"""What a score makes of tracks that are quieter, compressed, band-limited, noisy or cut."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import torch
import torchaudio.functional
from datasets import Dataset

from processing_collap import load_audio

from ..scorers import Scorer
from .base import ProbeResult, markdown_table
from .recall import retrieval_both_ways
from .tracks import draw_rows, encode_texts, encode_tracks, score_altered

CROP_SECONDS = 60.0

# From (samples,), their rate in Hz and a generator to other samples at the same rate.
Alteration = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class AlteredRecall:
    """Retrieval of tracks that are all altered in the same way; for `metrics` see `retrieval_both_ways`."""

    alteration: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class RobustnessResult(ProbeResult):
    """The first of `alterations` is "none"."""

    probe: ClassVar[str] = "robustness"

    scorer: str
    tracks: int
    seed: int
    alterations: tuple[AlteredRecall, ...]

    def table(self) -> str:
        names = [f"{direction}_{metric}" for direction in ("text_to_audio", "audio_to_text") for metric in _SHOWN]
        header = ["Tracks", *(f"{way} {metric.replace('_', ' ')}" for way in ("T2A", "A2T") for metric in _SHOWN)]
        return markdown_table(header, [[a.alteration, *(a.metrics[name] for name in names)] for a in self.alterations])


_SHOWN = ("R@1", "R@5", "mean_rank")


def run(
    scorer: Scorer,
    rows: Dataset,
    *,
    seed: int = 0,
    tracks: int | None = None,
    alterations: Sequence[str] | None = None,
) -> RobustnessResult:
    """Retrieval among the tracks as they are, and among the same tracks altered; captions stay whole.

    Args:
        rows: of the dataset schema.
        tracks: how many tracks, drawn by the seed; all by default. Each is encoded anew for each alteration.
        alterations: names of `ALTERATIONS`; all by default.

    Raises:
        ValueError: an alteration is unknown.
    """
    names = list(ALTERATIONS if alterations is None else alterations)
    if unknown := [name for name in names if name not in ALTERATIONS]:
        raise ValueError(f"{unknown[0]!r} is no alteration; there are {', '.join(ALTERATIONS)}.")
    rows = draw_rows(rows, tracks, seed=seed)
    texts = encode_texts(scorer, list(rows["caption"]))
    results = [AlteredRecall("none", retrieval_both_ways(scorer.score(encode_tracks(scorer, rows), texts)))]
    for name in names:
        alter = _seeded(ALTERATIONS[name], scorer.sampling_rate, seed)
        scores = score_altered(scorer, rows, texts, alter, f"Encoding tracks: {name}")
        results.append(AlteredRecall(name, retrieval_both_ways(scores)))
    return RobustnessResult(scorer.name, len(rows), seed, tuple(results))


def _seeded(alteration: Alteration, sampling_rate: int, seed: int) -> Callable[[int, np.ndarray], np.ndarray]:
    """The alteration of row `index`, which depends on the seed and the index alone."""
    return lambda index, samples: alteration(samples, sampling_rate, np.random.default_rng((seed, index)))


def gain(decibels: float) -> Alteration:
    factor = np.float32(10 ** (decibels / 20))
    return lambda samples, rate, rng: samples * factor


def noise(ratio_decibels: float) -> Alteration:
    """White noise this far below the mean power of the track."""

    def add(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        level = np.sqrt(power * 10 ** (-ratio_decibels / 10))
        return samples + (level * rng.standard_normal(len(samples))).astype(np.float32)

    return add


def resampled(hertz: int) -> Alteration:
    """Down to a lower rate and back: nothing above half of it is left."""

    def there_and_back(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        low = torchaudio.functional.resample(torch.from_numpy(samples), rate, hertz)
        return torchaudio.functional.resample(low, hertz, rate)[: len(samples)].numpy()

    return there_and_back


def mp3(kilobits: int) -> Alteration:
    """Encoded by FFmpeg at a constant bit rate and decoded again, as long as before."""

    def there_and_back(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "track.mp3"  # a file, for its header tells a decoder what the encoder added
            source = ["-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "pipe:0"]
            command = ["ffmpeg", "-v", "error", *source, "-b:a", f"{kilobits}k", str(file)]
            encoded = subprocess.run(command, input=samples.astype("<f4").tobytes(), capture_output=True, check=False)
            if encoded.returncode:
                raise RuntimeError(f"FFmpeg did not encode MP3: {encoded.stderr.decode().strip()}")
            decoded = load_audio(file, sampling_rate=rate).numpy()[: len(samples)]
        return np.pad(decoded, (0, len(samples) - len(decoded)))

    return there_and_back


def crop(seconds: float, place: float) -> Alteration:
    """Some seconds of the track: its start (`place` 0), middle (0.5) or end (1); all of a track that is shorter."""

    def cut(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        length = round(seconds * rate)
        start = round(place * max(0, len(samples) - length))
        return samples[start : start + length]

    return cut


ALTERATIONS: dict[str, Alteration] = {
    "gain -12 dB": gain(-12),
    "mp3 64 kb/s": mp3(64),
    "resampled to 8 kHz": resampled(8000),
    "noise at 20 dB": noise(20),
    "first 60 s": crop(CROP_SECONDS, 0.0),
    "middle 60 s": crop(CROP_SECONDS, 0.5),
}
