"""A model on a benchmark: every track against every text, and the ranks in both directions."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from tqdm.auto import tqdm

from dataset_scripts.whole_files import whole_file
from metrics.retrieval import bootstrap_intervals, direction_ranks, ranking_metrics

from .benchmarks import Benchmark
from .embeddings import EmbeddingCache, EncodedTracks
from .records import run_details
from .results import Figure, RetrievalResult
from .scorers.base import Scorer

_TRACKS_AT_ONCE = 16
# Queries whose ranks are drawn to say what random scores earn.
_CHANCE_QUERIES = 20_000

_PROTOCOL = {
    "pool": "every track is ranked against every text of the benchmark, nothing is drawn; equal recordings are one "
    "track, whose texts are all right, and equal texts are one text, whose tracks are all right",
    "ties": "an item that scores the same as a right one stands before it",
    "metrics": "R@k is the share of queries with a right item among the first k, for k below the size of the pool; "
    "mAP@10 counts every right item; MRR and the median rank look at the best right item",
    "intervals": "95% percentile bootstrap over the queries",
}


@dataclass(frozen=True)
class RunSettings:
    """How a benchmark is run.

    Args:
        cache: folder of the encodings, see `EmbeddingCache`.
        output: folder of the results.
        limit: of the rows only the first ones.
        seed: of the bootstrap and of what random scores earn; nothing else is drawn.
        resamples: of the bootstrap.
        skip_broken: leave tracks out that cannot be decoded or heard, instead of refusing.
        progress: show bars.

    Raises:
        ValueError: `limit` or `resamples` is below 1.
    """

    cache: Path
    output: Path
    limit: int | None = None
    seed: int = 0
    resamples: int = 1000
    skip_broken: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.resamples < 1 or (self.limit is not None and self.limit < 1):
            raise ValueError("--limit and --resamples must be at least 1")


def evaluate_retrieval(scorer: Scorer, benchmark: Benchmark, settings: RunSettings) -> RetrievalResult:
    """Encodes what is not in the cache, scores, ranks, and writes the result and the scores to the output folder.

    `STEM.scores.npy` are the scores (tracks, texts); `STEM.pairs.json` says which tracks and texts they are.

    Raises:
        BrokenTracksError: tracks cannot be used, and `skip_broken` is off.
        ValueError, OSError: the rows cannot be loaded, or too few are left.
    """
    start = time.monotonic()
    rows = benchmark.rows(settings.limit)
    cache = EmbeddingCache(settings.cache, scorer, progress=settings.progress)
    encoded = cache.tracks(rows, skip_broken=settings.skip_broken)
    pool = _pool(encoded)
    if len(pool.tracks) < 2 or len(pool.texts) < 2:
        raise ValueError(
            f"{benchmark.name} leaves {len(pool.tracks)} tracks and {len(pool.texts)} texts; "
            "retrieval needs at least two of each"
        )
    result = RetrievalResult(
        model={"name": scorer.name, "fingerprint": scorer.fingerprint, "settings": scorer.settings},
        benchmark={
            "name": benchmark.name,
            "title": benchmark.title,
            "captions": benchmark.captions,
            "rows": len(encoded),
            "limit": settings.limit,
            "tracks": len(pool.tracks),
            "texts": len(pool.texts),
            "texts_cut": _count_cut(scorer, pool.texts),
            "rows_sha256": _digest([list(encoded.rows["id"]), list(encoded.rows["caption"])]),
            "audio_sha256": _digest(encoded.digests),
        },
        protocol={**scorer.protocol, "captions": benchmark.captions, **_PROTOCOL},
        metrics={},
        broken={track.id: track.reason for track in encoded.broken},
        run={
            "seed": settings.seed,
            "resamples": settings.resamples,
            "tracks_encoded": cache.tracks_encoded,
        },
    )
    scores = _write_scores(cache, encoded, pool, settings.output / f"{result.stem}.scores.npy", settings.progress)
    _write_json(settings.output / f"{result.stem}.pairs.json", pool.description(encoded))
    result.metrics.update(_metrics(scores, pool, benchmark.recall_at, settings))
    result.run.update(run_details(scorer.device, time.monotonic() - start))
    result.write(settings.output)
    return result


@dataclass(frozen=True)
class _Pool:
    """What is ranked: the first row of each track, the texts, and of each text the tracks that it is right for."""

    tracks: tuple[int, ...]
    texts: tuple[str, ...]
    tracks_of_text: tuple[tuple[int, ...], ...]

    def description(self, encoded: EncodedTracks) -> dict[str, Any]:
        ids = list(encoded.rows["id"])
        return {
            "tracks": [ids[row] for row in self.tracks],
            "texts": list(self.texts),
            "tracks_of_text": [list(tracks) for tracks in self.tracks_of_text],
        }


def _pool(encoded: EncodedTracks) -> _Pool:
    tracks: dict[str, int] = {}
    first_rows: list[int] = []
    tracks_of_text: dict[str, dict[int, None]] = {}
    for row, (digest, caption) in enumerate(zip(encoded.digests, encoded.rows["caption"], strict=True)):
        if digest not in tracks:
            tracks[digest] = len(first_rows)
            first_rows.append(row)
        tracks_of_text.setdefault(caption, {})[tracks[digest]] = None
    return _Pool(tuple(first_rows), tuple(tracks_of_text), tuple(map(tuple, tracks_of_text.values())))


def _write_scores(cache: EmbeddingCache, encoded: EncodedTracks, pool: _Pool, path: Path, progress: bool) -> np.ndarray:
    """Scores (tracks, texts), on disk: neither they nor the encodings of the tracks need to fit into memory."""
    texts = cache.texts(pool.texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        scores = open_memmap(temporary, mode="w+", dtype=np.float32, shape=(len(pool.tracks), len(texts)))
        with tqdm(total=len(scores), desc=f"Scoring with {cache.name}", disable=not progress) as bar:
            for first in range(0, len(scores), _TRACKS_AT_ONCE):
                group = [encoded[row] for row in pool.tracks[first : first + _TRACKS_AT_ONCE]]
                scores[first : first + len(group)] = cache.score(group, texts).numpy()
                bar.update(len(group))
        scores.flush()
    return np.load(path, mmap_mode="r")


def _metrics(
    scores: np.ndarray, pool: _Pool, recall_at: Sequence[int], settings: RunSettings
) -> dict[str, dict[str, Figure]]:
    metrics = {}
    for direction, ranks in direction_ranks(scores, pool.tracks_of_text).items():
        items = scores.shape[0] if direction == "text_to_audio" else scores.shape[1]
        ks = [k for k in recall_at if k < items]
        intervals = bootstrap_intervals(ranks, ks, settings.resamples, seed=settings.seed)
        chance = ranking_metrics(_random_ranks([len(of_query) for of_query in ranks], items, settings.seed), ks)
        metrics[direction] = {
            name: Figure(value, *intervals[name], chance[name]) for name, value in ranking_metrics(ranks, ks).items()
        }
    return metrics


def _random_ranks(right_items: Sequence[int], items: int, seed: int) -> list[np.ndarray]:
    """Ranks that random scores give to queries with so many right items each, all queries drawn equally often."""
    generator = np.random.default_rng(seed)
    draws = -(-_CHANCE_QUERIES // len(right_items))
    return [
        np.sort(generator.choice(items, size=count, replace=False)) + 1 for _ in range(draws) for count in right_items
    ]


def _count_cut(scorer: Scorer, texts: Sequence[str]) -> int | None:
    """Texts that are longer than the model reads, as far as it knows."""
    cut = [scorer.is_cut(text) for text in texts]
    return None if None in cut else sum(map(bool, cut))


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _write_json(path: Path, content: Any) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
