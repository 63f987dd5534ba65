"""Retrieval metrics from scores: the ranks of the relevant items, with ties counted against the model.

Everything goes through the ranks: `match_ranks` counts them, `ranking_metrics` and `bootstrap_intervals` sum them up.
A query ranks items by falling score. Where scores tie, every irrelevant item stands before every relevant one, so a
model that scores all items the same earns the worst ranks.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RECALL_AT = (1, 5, 20, 100)
_CELLS_AT_ONCE = 4_000_000  # of a score matrix that is held already: temporaries of some tens of megabytes

Relevant = Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer]
Ranks = Sequence[NDArray[np.integer]]  # of each query: the ranks of its relevant items, rising, the first rank is 1


def match_ranks(scores: ArrayLike, relevant: Relevant | None = None) -> list[NDArray[np.int64]]:
    """Ranks of every relevant item of every query.

    An item's rank is 1 plus the number of items before it: irrelevant items that score as high or higher, and the
    relevant items above it. Relevant items that tie with one another take successive ranks.

    Args:
        scores: (queries, items), higher is better; anything numpy reads.
        relevant: for each query the index of its relevant item or a sequence of several (one named twice counts once);
            None: item i belongs to query i.

    Returns:
        For each query the rising ranks of its relevant items, counted from 1. Memory beyond the scores: some tens of
        megabytes at most, plus some tens of bytes for each relevant item.

    Raises:
        ValueError: if the scores are no matrix, are empty or hold a value that is not finite, or if a query has no
            relevant item or one that is not among the items.
    """
    matrix = _score_matrix(scores, square=relevant is None)
    queries, items = relevant_pairs(relevant, *matrix.shape)
    missing = np.setdiff1d(np.arange(len(matrix)), queries)
    if len(missing):
        raise ValueError(f"query {missing[0]} has no relevant item, so it has no rank.")
    return _ranks(matrix, queries, items)


def retrieval_metrics(
    scores: ArrayLike, relevant: Relevant | None = None, recall_at: Sequence[int] = RECALL_AT
) -> dict[str, float]:
    """`ranking_metrics` of `match_ranks`: the metrics of one score matrix (queries, items)."""
    return ranking_metrics(match_ranks(scores, relevant), recall_at)


def direction_ranks(scores: ArrayLike, track_of_text: Relevant | None = None) -> dict[str, list[NDArray[np.int64]]]:
    """Ranks as `match_ranks` gives them, of texts among tracks ("text_to_audio") and the reverse ("audio_to_text").

    Args:
        scores: (tracks, texts).
        track_of_text: for each text the index of its track, or of the several tracks that it fits. A track may have
            several texts. None: text i belongs to track i. A track without a text, or a text with an empty list, is a
            candidate that others may wrongly find, but asks no query of its own.

    Raises:
        ValueError: as `match_ranks`, or if no text has a track.
    """
    matrix = _score_matrix(scores, square=track_of_text is None)
    texts, tracks = relevant_pairs(track_of_text, matrix.shape[1], matrix.shape[0])
    return {"text_to_audio": _ranks(matrix.T, texts, tracks), "audio_to_text": _ranks(matrix, tracks, texts)}


def both_directions(
    scores: ArrayLike, track_of_text: Relevant | None = None, recall_at: Sequence[int] = RECALL_AT
) -> dict[str, float]:
    """`ranking_metrics` of both `direction_ranks`, each name after its direction: `text_to_audio_R@1` and so on."""
    return metrics_by_direction(direction_ranks(scores, track_of_text), recall_at)


def metrics_by_direction(ranks: Mapping[str, Ranks], recall_at: Sequence[int] = RECALL_AT) -> dict[str, float]:
    """`ranking_metrics` of the ranks of each direction, each name after its direction."""
    return {
        f"{direction}_{name}": value
        for direction, of_queries in ranks.items()
        for name, value in ranking_metrics(of_queries, recall_at).items()
    }


def ranking_metrics(ranks: Ranks, recall_at: Sequence[int] = RECALL_AT) -> dict[str, float]:
    """Metrics of ranked queries.

    Args:
        ranks: of each query the ranks of its relevant items, as `match_ranks` returns them.
        recall_at: the k of R@k.

    Returns:
        All but the median rank in percent:

        - `R@k`: queries with at least one relevant item among the first k. With several relevant items the best counts,
          as is usual for captions; the share of the relevant items that was found is not looked at.
        - `mAP@10`: mean over the queries of the average precision at 10, which uses every relevant item: the sum of
          precision at the rank of each relevant item among the first ten, divided by min(relevant items, 10). With one
          relevant item it is 1 / rank, or 0 past rank 10.
        - `MRR`: mean of 1 / rank of the best relevant item.
        - `median_rank`: median of the rank of the best relevant item, counted from 1.

    Raises:
        ValueError: if there are no queries, a query has no ranks, ranks are not distinct positive integers, or a k is
            below 1.
    """
    return _summary(*_of_queries(ranks, recall_at))


def bootstrap_intervals(
    ranks: Ranks,
    recall_at: Sequence[int] = RECALL_AT,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of `ranking_metrics`: how far the numbers hang on the queries that were drawn.

    Queries are drawn with replacement, the items stay as they are. Queries count as independent: for several captions
    of one track the true interval is somewhat wider.

    Args:
        ranks: of each query the ranks of its relevant items, as `match_ranks` returns them.
        recall_at: the k of R@k.
        resamples: how often the queries are drawn anew.
        confidence: share of the resampled metrics inside the interval.
        seed: of the draws; the same seed gives the same intervals.

    Returns:
        (low, high) for each name of `ranking_metrics`, in its units.

    Raises:
        ValueError: as `ranking_metrics`, or if resamples is below 1 or confidence is not between 0 and 1.
    """
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"a bootstrap needs resamples >= 1 and 0 < confidence < 1, not {resamples} and {confidence}.")
    shares, best = _of_queries(ranks, recall_at)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        queries = generator.integers(len(best), size=len(best))
        drawn.append(_summary({name: values[queries] for name, values in shares.items()}, best[queries]))
    outside = (1 - confidence) / 2
    intervals = {}
    for name in drawn[0]:
        low, high = np.quantile([metrics[name] for metrics in drawn], (outside, 1 - outside))
        intervals[name] = (float(low), float(high))
    return intervals


def _of_queries(ranks: Ranks, recall_at: Sequence[int]) -> tuple[dict[str, NDArray], NDArray]:
    """What each query earns by metric, between 0 and 1, and the rank of its best relevant item; (queries,) each."""
    counts = np.array([len(of_query) for of_query in ranks])  # (queries,)
    if not len(counts) or not counts.all():
        raise ValueError("metrics need at least one query, and of every query the rank of at least one relevant item.")
    if min(recall_at, default=1) < 1:
        raise ValueError(f"R@k needs k of 1 or more, not {min(recall_at)}.")
    flat = np.concatenate(list(ranks))  # (relevant pairs,)
    query = np.repeat(np.arange(len(counts)), counts)
    flat = flat[np.lexsort((flat, query))]
    if (
        not np.issubdtype(flat.dtype, np.integer)
        or flat.min() < 1
        or np.any((np.diff(flat) == 0) & (np.diff(query) == 0))
    ):
        raise ValueError("ranks are integers counted from 1, no two of one query the same.")
    first = np.cumsum(counts) - counts
    best = flat[first]
    found = np.arange(1, len(flat) + 1) - first[query]  # relevant items up to and with this one
    precision = np.where(flat <= 10, found / flat, 0)
    shares = {f"R@{k}": (best <= k).astype(float) for k in recall_at}
    shares["mAP@10"] = np.bincount(query, precision) / np.minimum(counts, 10)
    shares["MRR"] = 1 / best
    return shares, best


def _summary(shares: Mapping[str, NDArray], best: NDArray) -> dict[str, float]:
    metrics = {name: 100 * float(values.mean()) for name, values in shares.items()}
    return {**metrics, "median_rank": float(np.median(best))}


def relevant_pairs(relevant: Relevant | None, queries: int, items: int) -> tuple[NDArray, NDArray]:
    """The pairs (query, relevant item) as two arrays of indices, (pairs,) each, by rising query; each pair once.

    Raises:
        ValueError: if `relevant` has not one entry a query, names an item that does not exist, or names none at all.
    """
    if relevant is None:
        return np.arange(queries), np.arange(items)
    if len(relevant) != queries:
        raise ValueError(f"{len(relevant)} lists of relevant items do not fit {queries} queries.")
    lists = [np.unique(np.asarray(entry)) for entry in relevant]
    pairs_query = np.repeat(np.arange(queries), [len(entry) for entry in lists])
    filled = [entry for entry in lists if len(entry)]
    if not filled:
        raise ValueError("no query has a relevant item.")
    pairs_item = np.concatenate(filled)
    if not np.issubdtype(pairs_item.dtype, np.integer):
        raise ValueError(f"relevant items are named by their integer indices, not by {pairs_item.dtype} values.")
    outside = (pairs_item < 0) | (pairs_item >= items)
    if outside.any():
        worst = np.argmax(outside)
        raise ValueError(
            f"query {pairs_query[worst]} names item {pairs_item[worst]}, but there are items 0 to {items - 1}."
        )
    return pairs_query, pairs_item


def check_finite(scores: NDArray) -> None:
    """Raises ValueError if a score is NaN or infinite: comparisons with NaN would silently lift or sink a rank."""
    if not np.isfinite(scores).all():
        raise ValueError("the score matrix holds values that are not finite.")


def count_at_least(scores: NDArray, lines: NDArray, targets: NDArray, axis: int) -> NDArray[np.int64]:
    """For each target, how many scores of its line reach it: (targets,).

    Args:
        scores: (rows, columns).
        lines: (targets,), rising: the row (axis 0) or column (axis 1) of each target.
        targets: (targets,), the scores to reach.
        axis: whether the lines are rows, 0, or columns, 1.
    """
    counts = np.empty(len(targets), dtype=np.int64)
    for layer in _layers(lines):
        complete = len(layer) == scores.shape[axis]  # rising lines without a gap: nothing to pick out
        chosen = scores if complete else np.take(scores, lines[layer], axis)
        reached = chosen >= np.expand_dims(targets[layer], 1 - axis)
        counts[layer] = np.count_nonzero(reached, axis=1 - axis)
    return counts


def ranks_of_counts(queries: NDArray, targets: NDArray, counts: NDArray) -> list[NDArray[np.int64]]:
    """Ranks by query from the counts of items that score at least as high as each relevant item.

    Args:
        queries, targets: (pairs,), of each relevant item its query, rising, and its score, falling within the query.
        counts: (pairs,), how many items of the query reach that score, the relevant item itself among them.
    """
    # Relevant items that tie are all in one another's counts; each of them goes back by those that follow it.
    last = np.flatnonzero(np.append((np.diff(queries) != 0) | (np.diff(targets) != 0), True))  # of each run of ties
    position = np.arange(len(queries))
    following = last[np.searchsorted(last, position)] - position
    return np.split(counts - following, np.flatnonzero(np.diff(queries)) + 1)


def order_of_pairs(queries: NDArray, targets: NDArray) -> NDArray:
    """Indices that sort pairs by rising query and, within a query, by falling score."""
    return np.lexsort((-targets, queries))


def _ranks(matrix: NDArray, queries: NDArray, items: NDArray) -> list[NDArray[np.int64]]:
    """Ranks of the relevant pairs, for each query that has one; the matrix is (queries, items)."""
    targets = matrix[queries, items]
    order = order_of_pairs(queries, targets)
    queries, targets = queries[order], targets[order]
    counts = np.empty(len(queries), dtype=np.int64)
    rows = max(1, _CELLS_AT_ONCE // matrix.shape[1])
    for start in range(0, len(matrix), rows):
        chunk, span = matrix[start : start + rows], slice(*np.searchsorted(queries, (start, start + rows)))
        check_finite(chunk)
        counts[span] = count_at_least(chunk, queries[span] - start, targets[span], axis=0)
    return ranks_of_counts(queries, targets, counts)


def _layers(lines: NDArray) -> Iterator[NDArray]:
    """Indices of the first of every line, then of the second of those that have one, and so on; `lines` rise."""
    if not len(lines):
        return
    nth = np.arange(len(lines)) - np.searchsorted(lines, lines)  # how many of its line come before
    order = np.argsort(nth, kind="stable")
    yield from np.split(order, np.cumsum(np.bincount(nth))[:-1])


def _score_matrix(scores: ArrayLike, square: bool) -> NDArray:
    matrix = np.asarray(scores)
    if square and (matrix.ndim != 2 or len(set(matrix.shape)) != 1 or not matrix.size):
        raise ValueError(
            "without lists of relevant items, retrieval metrics need a square score matrix that is not empty, "
            f"not {matrix.shape}."
        )
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"scores are a matrix (queries, items) that is not empty, not {matrix.shape}.")
    if not np.issubdtype(matrix.dtype, np.floating):
        matrix = matrix.astype(np.float64)
    return matrix
