"""How a score follows the length of a track whose content stays the same: its first minute, once and over and over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from datasets import Dataset

from dataset_scripts.structure import crop_caption

from ..embeddings import EmbeddingCache
from ..scorers import Scorer
from ..scorers.collap import CollapScorer, MeanPoolingScorer
from .base import ProbeResult, markdown_table
from .pairs import TIE
from .tracks import draw_rows, encode_texts, plain_rows, track_samples

CONTENT_SECONDS = 60.0  # two windows of 30 s, so that every repetition is heard in the same windows
LOOPS = (1, 2, 4)
TRACKS = 24


@dataclass(frozen=True)
class LengthCurve:
    """How one scorer's score of a track and its caption follows the track's length.

    Args:
        scorer: its name.
        scores: mean over the tracks, by `LengthResult.seconds`.
        slope: of the least-squares lines through the tracks' scores, mean over the tracks, per minute; in percent of
            the mean magnitude at the first length. An even score has 0.
        correlation: Pearson's r of score and length over all tracks and lengths; 0 where no score depends on length.
        ratio: mean magnitude of the scores at the last length by that at the first.
    """

    scorer: str
    scores: tuple[float, ...]
    slope: float
    correlation: float
    ratio: float


@dataclass(frozen=True)
class LengthResult(ProbeResult):
    probe: ClassVar[str] = "length"

    tracks: int
    seed: int
    seconds: tuple[float, ...]
    curves: tuple[LengthCurve, ...]

    def table(self) -> str:
        header = ["Score", *(f"{seconds:g} s" for seconds in self.seconds), "% per minute", "r", "last / first"]
        return markdown_table(
            header,
            [
                [c.scorer, *(f"{score:.4f}" for score in c.scores), c.slope, f"{c.correlation:.2f}", f"{c.ratio:.2f}"]
                for c in self.curves
            ],
        )


def run(
    scorer: Scorer,
    rows: Dataset,
    *,
    seed: int = 0,
    tracks: int | None = TRACKS,
    variants: Sequence[Scorer] | None = None,
    content_seconds: float = CONTENT_SECONDS,
    loops: Sequence[int] = LOOPS,
) -> LengthResult:
    """Scores the first seconds of tracks, repeated several times, against what the captions say of these seconds.

    Args:
        rows: of the dataset schema; tracks shorter than `content_seconds` are left out.
        tracks: how many tracks, drawn by the seed.
        variants: scorers that read the encodings of `scorer`; each gets a curve of its own. By default CoLLAP's score
            with the other normalisation, see `other_normalization`.
        content_seconds: how much of a track is repeated; best a whole number of the scorer's windows.
        loops: how often, rising.

    Raises:
        ValueError: there are fewer than two lengths, or no track is long enough.
    """
    lengths = sorted(set(loops))
    if len(lengths) < 2 or lengths[0] < 1:
        raise ValueError(f"the length probe compares two positive numbers of repetitions or more, not {list(loops)}.")
    long_enough = [i for i, duration in enumerate(rows["duration"]) if duration >= content_seconds]
    if not long_enough:
        raise ValueError(f"the length probe needs a track of {content_seconds:g} s or more, and there is none.")
    rows = draw_rows(rows.select(long_enough), tracks, seed=seed)
    captions = [crop_caption(row, 0.0, content_seconds) for row in plain_rows(rows)]
    texts = encode_texts(scorer, captions)

    scorers = [scorer, *(other_normalization(scorer) if variants is None else variants)]
    scores = torch.empty(len(scorers), len(rows), len(lengths), dtype=torch.float64)
    for index, samples in enumerate(track_samples(scorer, rows, "Encoding repeated tracks")):
        content = samples[: round(content_seconds * scorer.sampling_rate)]
        for column, times in enumerate(lengths):
            track = scorer.encode_track(np.tile(content, times))
            for line, each in enumerate(scorers):
                scores[line, index, column] = each.score([track], [texts[index]])[0, 0]
    seconds = np.array(lengths) * content_seconds
    return LengthResult(
        tracks=len(rows),
        seed=seed,
        seconds=tuple(seconds.tolist()),
        curves=tuple(
            _curve(each.name, table.numpy(), seconds / 60) for each, table in zip(scorers, scores, strict=True)
        ),
    )


def other_normalization(scorer: Scorer) -> list[Scorer]:
    """CoLLAP's score with "paper" normalisation where it has "mean", and the other way round; none of scorers that
    have no terms to normalise."""
    bare = scorer.scorer if isinstance(scorer, EmbeddingCache) else scorer
    if not isinstance(bare, CollapScorer) or isinstance(bare, MeanPoolingScorer) or not bare.model.config.weighs_frames:
        return []
    other = "mean" if bare.model.config.normalization == "paper" else "paper"
    return [bare.with_settings(name=f"{bare.name}, {other} normalisation", normalization=other)]


def _curve(name: str, scores: np.ndarray, minutes: np.ndarray) -> LengthCurve:
    """From scores (tracks, lengths)."""
    magnitudes = np.abs(scores).mean(0)  # (lengths,)
    # A change in the last bits is none, whatever its correlation with length.
    even = np.abs(scores - scores[:, :1]).max() <= TIE * np.abs(scores).max()
    slope = np.polyfit(minutes, scores.T, 1)[0].mean()
    return LengthCurve(
        scorer=name,
        scores=tuple(scores.mean(0).tolist()),
        slope=0.0 if even else float(100 * slope / magnitudes[0]),
        correlation=0.0 if even else float(np.corrcoef(scores.ravel(), np.tile(minutes, len(scores)))[0, 1]),
        ratio=1.0 if even else float(magnitudes[-1] / magnitudes[0]),
    )
