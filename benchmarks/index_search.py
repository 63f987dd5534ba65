"""Searches of a made index against scoring every track: what they cost, and whether they find the same."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import lance
import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from modeling_collap import CollapTextFeatures
from retrieval_collap.index.rows import records_of
from retrieval_collap.index.scoring import alignment_with_texts

from .index_tracks import MadeIndex, description, steps_of

TOP = 10
# Of each text, so many of the best by compressed scores are scored in full; the exact top ten are among them.
_JUDGED = 100
_TRACKS_AT_ONCE = 512


class Cost(NamedTuple):
    """Wall-clock and processor time, which of several threads is the sum, in seconds."""

    wall: float
    processor: float


class Costs(NamedTuple):
    """Of searches one by one; of one that scores every track; and of numpy over all global vectors, one by one."""

    searches: list[Cost]
    everything: Cost
    vectors: list[Cost]


class Overlap(NamedTuple):
    """Shares of the exact top ten.

    Attributes:
        candidates: by how many candidates are scored, the share found by searching with so many.
        compressed: what is found by scoring every compressed track.
        deepest: the worst place, from 1, that one of the exact top ten has by compressed scores.
    """

    candidates: dict[int, float]
    compressed: float
    deepest: int


def costs(index: MadeIndex, queries: Sequence[int]) -> Costs:
    """Searches in turns with parts of one that scores everything, so that what else the machine does meets both."""
    vectors = _vectors(index)  # (N, D)
    parts = np.array_split(np.arange(len(index)), len(queries))
    text = description(queries[0])
    searches, shares, products = [], [], []
    for query, part in zip(track(queries, "searching"), parts, strict=True):
        vector = F.normalize(index.model.text_vectors(description(query))[0], dim=0).numpy()
        searches.append(_cost(partial(index.search, str(query))))
        shares.append(_cost(partial(_score_rows, index, part, text)))
        products.append(_cost(partial(_nearest, vectors, vector)))
    everything = Cost(*np.sum(shares, axis=0))
    return Costs(searches, everything, products)


def overlap(index: MadeIndex, queries: Sequence[int], candidates: Sequence[int]) -> Overlap:
    """How many of the ten best tracks by the score of whole, uncompressed sequences a search finds.

    All tracks are scored compressed; of each text, the `_JUDGED` best are drawn anew from their seeds and scored in
    full. `deepest` tells whether they were enough.
    """
    texts = CollapTextFeatures.cat([description(query) for query in queries])
    starts = range(0, len(index), _TRACKS_AT_ONCE)
    compressed = torch.cat(
        [_scored(index, _slice(index, start, _TRACKS_AT_ONCE), texts) for start in track(starts, "scoring all")]
    )  # (N, M)
    ids = index.store._dataset.to_table(columns=["id"])["id"].to_pylist()
    row_of = {track_id: row for row, track_id in enumerate(ids)}
    places = (-compressed).argsort(dim=0, stable=True).argsort(dim=0)  # (N, M)
    judged = (places < _JUDGED).any(1).nonzero()[:, 0].tolist()
    exact = torch.full_like(compressed, -torch.inf)
    exact[judged] = _exact(index, [int(ids[row]) for row in judged], texts)
    best = [set(column.topk(TOP).indices.tolist()) for column in exact.T]
    found: dict[int, list[float]] = {count: [] for count in candidates}
    for column, query in enumerate(queries):
        for count in candidates:
            first = [row_of[near.id] for near in index.candidates(str(query), count)]
            ranked = {first[i] for i in compressed[first, column].topk(TOP).indices.tolist()}
            found[count].append(len(best[column] & ranked) / TOP)
    by_place = [sorted(places[list(rows), column].tolist()) for column, rows in enumerate(best)]
    return Overlap(
        {count: float(np.mean(shares)) for count, shares in found.items()},
        float(np.mean([sum(place < TOP for place in row) / TOP for row in by_place])),
        max(row[-1] for row in by_place) + 1,
    )


@torch.inference_mode()
def _exact(index: MadeIndex, numbers: Sequence[int], texts: CollapTextFeatures) -> Tensor:
    """Scores (N, M) of whole sequences, at all the model's time steps."""
    rows = [index.model.score(*steps_of([number]), texts).fused for number in track(numbers, "scoring in full")]
    return torch.cat(rows).float()


def _scored(index: MadeIndex, table: Any, texts: CollapTextFeatures) -> Tensor:
    """Scores (N, M) by the index's own scoring."""
    return alignment_with_texts(index.model, index.codec, list(records_of(table)), texts)


def _score_rows(index: MadeIndex, rows: np.ndarray, texts: CollapTextFeatures) -> Tensor:
    """Scores of consecutive rows, read and scored."""
    return _scored(index, _slice(index, rows[0], len(rows)), texts)


def _nearest(vectors: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.argsort(-(vectors @ vector))[:TOP]


def _slice(index: MadeIndex, first: int, count: int) -> Any:
    """Rows of the table as it is read fastest: in its own order, sequences alone."""
    return _dataset(index).scanner(columns=["sketch", "sequence"], offset=int(first), limit=int(count)).to_table()


def _vectors(index: MadeIndex) -> np.ndarray:
    """All global vectors, (N, D) float32."""
    column = _dataset(index).to_table(columns=["vector"])["vector"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(index), -1).astype(np.float32)


def _dataset(index: MadeIndex) -> lance.LanceDataset:
    return index.store._dataset


def _cost(run: Callable[[], object]) -> Cost:
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return Cost(time.perf_counter() - wall, time.process_time() - processor)
