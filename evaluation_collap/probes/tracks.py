"""Rows of the dataset schema on their way into a scorer, with progress bars."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Audio, Dataset
from torch import Tensor
from tqdm.auto import tqdm

from ..embeddings import EmbeddingCache, load_samples
from ..scorers import Encoded, Scorer


def draw_rows(rows: Dataset, count: int | None, *, seed: int) -> Dataset:
    """At most `count` of the rows, drawn by the seed, in their old order; all of them where `count` is None.

    Raises:
        ValueError: there are no rows, or `count` is not positive.
    """
    if not len(rows):
        raise ValueError("a probe needs at least one track, and the dataset is empty.")
    if count is not None and count < 1:
        raise ValueError(f"a probe needs at least one track, not {count}.")
    if count is None or count >= len(rows):
        return rows
    return rows.select(sorted(np.random.default_rng(seed).choice(len(rows), count, replace=False).tolist()))


def plain_rows(rows: Dataset) -> list[dict[str, Any]]:
    """Everything but the audio."""
    return list(rows.remove_columns("audio"))


def encode_tracks(scorer: Scorer, rows: Dataset) -> Sequence[Encoded]:
    """Encodings of all rows: in memory, or read from disk one by one where the scorer is an `EmbeddingCache`."""
    if isinstance(scorer, EmbeddingCache):
        return scorer.tracks(rows)
    return [scorer.encode_track(samples) for samples in track_samples(scorer, rows, "Encoding tracks")]


def encode_texts(scorer: Scorer, texts: Sequence[str], description: str = "Encoding texts") -> list[Encoded]:
    """Encodings of texts; those that occur several times are encoded once."""
    distinct = {text: scorer.encode_text(text) for text in tqdm(dict.fromkeys(texts), description, leave=False)}
    return [distinct[text] for text in texts]


def track_samples(scorer: Scorer, rows: Dataset, description: str) -> Iterator[np.ndarray]:
    """Decoded tracks one by one, (samples,) each at the scorer's sampling rate."""
    encoded = rows.select_columns("audio").cast_column("audio", Audio(decode=False))
    for row in tqdm(encoded, description, leave=False):
        yield load_samples(row["audio"], scorer.sampling_rate)


def score_altered(
    scorer: Scorer,
    rows: Dataset,
    texts: Sequence[Encoded],
    alter: Callable[[int, np.ndarray], np.ndarray],
    description: str,
) -> Tensor:
    """Scores (tracks, texts) of tracks whose samples are altered first; no more than one encoding is held at a time.

    Args:
        alter: from a row's index and its samples to other samples, both (samples,) at the scorer's sampling rate.
    """
    scores = [
        scorer.score([scorer.encode_track(alter(index, samples))], texts)
        for index, samples in enumerate(track_samples(scorer, rows, description))
    ]
    return torch.cat(scores)  # (N, M)
