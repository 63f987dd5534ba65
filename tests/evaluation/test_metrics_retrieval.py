"""Ranks and retrieval metrics against rankings sorted out item by item, whole and in blocks."""

import tracemalloc
from statistics import mean, median

import numpy as np
import pytest

from metrics.retrieval import (
    bootstrap_intervals,
    both_directions,
    direction_ranks,
    direction_ranks_in_blocks,
    match_ranks,
    metrics_by_direction,
    ranking_metrics,
    retrieval_metrics,
)

RECALL_AT = (1, 2, 5, 20)


def oracle_ranks(row: list[float], relevant: set[int]) -> list[int]:
    """The whole list in order: by falling score and, where scores tie, irrelevant items first."""
    order = sorted(range(len(row)), key=lambda item: (-row[item], item in relevant))
    return [place + 1 for place, item in enumerate(order) if item in relevant]


def oracle_metrics(ranks: list[list[int]]) -> dict[str, float]:
    precisions = []
    for of_query in ranks:
        total = 0.0
        for rank in of_query:
            if rank <= 10:
                total += sum(other <= rank for other in of_query) / rank
        precisions.append(total / min(len(of_query), 10))
    metrics = {f"R@{k}": 100 * mean(any(rank <= k for rank in of_query) for of_query in ranks) for k in RECALL_AT}
    metrics["mAP@10"] = 100 * mean(precisions)
    metrics["MRR"] = 100 * mean(1 / min(of_query) for of_query in ranks)
    return {**metrics, "median_rank": median(min(of_query) for of_query in ranks)}


def random_scores(rows: int, columns: int, levels: int | None, dtype: str = "float32") -> np.ndarray:
    """Scores (rows, columns); with `levels`, only so many different ones, so that most tie."""
    generator = np.random.default_rng(rows * columns)
    if levels is None:
        return generator.standard_normal((rows, columns)).astype(dtype)
    return generator.integers(levels, size=(rows, columns)).astype(dtype)


def random_lists(count: int, items: int, most: int, least: int = 1) -> list[list[int]]:
    """`count` lists of `least` to `most` different items, in no order."""
    generator = np.random.default_rng(count)
    most = min(most, items)
    return [generator.permutation(items)[: generator.integers(least, most + 1)].tolist() for _ in range(count)]


def same(found: list[np.ndarray], expected: list[list[int]]) -> bool:
    return [ranks.tolist() for ranks in found] == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (23, 40), (131, 60)])
@pytest.mark.parametrize("levels", [1, 3, None])
@pytest.mark.parametrize("most", [1, 4, 25])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_several_relevant_items(shape: tuple[int, int], levels: int | None, most: int, dtype: str) -> None:
    scores, relevant = random_scores(*shape, levels, dtype), random_lists(*shape, most)
    expected = [oracle_ranks(row, set(items)) for row, items in zip(scores.tolist(), relevant, strict=True)]
    assert same(match_ranks(scores, relevant), expected)
    assert retrieval_metrics(scores, relevant, RECALL_AT) == pytest.approx(oracle_metrics(expected))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, relevant = random_scores(50, 30, 4), random_lists(50, 30, 5)
    expected = retrieval_metrics(scores, relevant)
    for cells in (1, 31, 70, 400):
        monkeypatch.setattr("metrics.retrieval.ranking._CELLS_AT_ONCE", cells)
        assert retrieval_metrics(scores, relevant) == expected


def test_forms_of_relevance() -> None:
    """The diagonal, one index a query, lists of one, arrays, and an item named twice all say the same."""
    scores = random_scores(12, 12, None)
    expected = [oracle_ranks(row, {query}) for query, row in enumerate(scores.tolist())]
    for relevant in (None, range(12), np.arange(12), np.arange(12)[:, None], [[item, item] for item in range(12)]):
        assert same(match_ranks(scores, relevant), expected)


def test_ties_count_against_the_model() -> None:
    assert same(match_ranks([[1, 1, 1, 1, 1]], [[0, 3]]), [[4, 5]])
    assert same(match_ranks([[2, 1, 1, 1, 0]], [[0, 3]]), [[1, 4]])
    flat = retrieval_metrics(np.zeros((101, 101)))
    assert flat["R@100"] == flat["mAP@10"] == 0
    assert flat["median_rank"] == 101


def test_average_precision_by_hand() -> None:
    """Relevant items at ranks 1, 3 and 12 of one query: (1/1 + 2/3 + 0) / 3; twelve of twelve: all of the ten."""
    assert ranking_metrics([np.array([1, 3, 12])])["mAP@10"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert ranking_metrics([np.arange(1, 13)])["mAP@10"] == pytest.approx(100)
    assert ranking_metrics([np.array([12, 3, 1])]) == ranking_metrics([np.array([1, 3, 12])])


def expected_directions(scores: np.ndarray, tracks_of_text: list[list[int]]) -> dict[str, list[list[int]]]:
    tracks, texts = scores.shape
    texts_of_track = [{text for text in range(texts) if track in tracks_of_text[text]} for track in range(tracks)]
    by_text, by_track = scores.T.tolist(), scores.tolist()
    return {
        "text_to_audio": [oracle_ranks(by_text[t], set(own)) for t, own in enumerate(tracks_of_text) if own],
        "audio_to_text": [oracle_ranks(by_track[t], own) for t, own in enumerate(texts_of_track) if own],
    }


@pytest.mark.parametrize("shape", [(1, 5), (9, 4), (30, 75), (64, 64)])
@pytest.mark.parametrize("levels", [2, 9, None])
@pytest.mark.parametrize(("least", "most"), [(1, 1), (1, 4), (0, 30)])  # 0: texts and tracks that nothing belongs to
def test_directions_whole_and_in_blocks(shape: tuple[int, int], levels: int | None, least: int, most: int) -> None:
    scores = random_scores(*shape, levels)
    tracks_of_text = random_lists(shape[1], shape[0], most, least)
    expected = expected_directions(scores, tracks_of_text)
    whole = direction_ranks(scores, tracks_of_text)
    assert list(whole) == list(expected)
    for direction, ranks in expected.items():
        assert same(whole[direction], ranks)
    for rows in (1, 7, 64, 1000):
        blocks = direction_ranks_in_blocks(lambda start, stop: scores[start:stop], *shape, tracks_of_text, rows)
        for direction, ranks in expected.items():
            assert same(blocks[direction], ranks)
    metrics = both_directions(scores, tracks_of_text, RECALL_AT)
    assert metrics == metrics_by_direction(blocks, RECALL_AT)
    for direction, ranks in expected.items():
        for name, value in oracle_metrics(ranks).items():
            assert metrics[f"{direction}_{name}"] == pytest.approx(value)


def test_pairs_are_scored_as_their_blocks_are() -> None:
    """Products of other shapes round differently; yet each unit vector is nearest to itself in every kind of block."""
    vectors = np.random.default_rng(0).standard_normal((300, 24)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for rows in (1, 13, 300):
        ranks = direction_ranks_in_blocks(lambda s, e: vectors[s:e] @ vectors.T, 300, 300, rows_per_block=rows)
        assert same(ranks["text_to_audio"], [[1]] * 300)
        assert same(ranks["audio_to_text"], [[1]] * 300)


def test_memory_of_blocks() -> None:
    """2,000 x 3,000 scores are 24 MB; in blocks of 50 rows (0.6 MB) all of it stays below 3 MB."""
    generator = np.random.default_rng(0)
    tracks = generator.standard_normal((2000, 8)).astype("float32")
    texts = generator.standard_normal((3000, 8)).astype("float32")
    track_of_text = generator.integers(2000, size=3000)

    def peak(rows: int) -> int:
        tracemalloc.start()
        try:
            direction_ranks_in_blocks(
                lambda start, stop: tracks[start:stop] @ texts.T, 2000, 3000, track_of_text, rows_per_block=rows
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(50) < 3e6
    assert peak(2000) > 24e6  # the measure sees what is held


def test_memory_beside_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics.retrieval.ranking._CELLS_AT_ONCE", 100_000)
    scores = np.random.default_rng(0).standard_normal((1500, 1500))  # 18 MB
    tracemalloc.start()
    match_ranks(scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_bootstrap_is_seeded_and_holds_the_metric() -> None:
    ranks = match_ranks(random_scores(80, 80, None) + 2 * np.eye(80))
    metrics, intervals = ranking_metrics(ranks), bootstrap_intervals(ranks, seed=3)
    assert list(intervals) == list(metrics)
    assert all(low <= metrics[name] <= high for name, (low, high) in intervals.items())
    assert intervals == bootstrap_intervals(ranks, seed=3)
    assert intervals != bootstrap_intervals(ranks, seed=4)
    narrow = bootstrap_intervals(ranks, seed=3, confidence=0.5)
    assert narrow["R@1"][1] - narrow["R@1"][0] < intervals["R@1"][1] - intervals["R@1"][0]


def test_bootstrap_has_the_width_of_a_proportion() -> None:
    """Half of 900 queries hit: the normal interval of 95 % is 50 +- 1.96 * 50 / sqrt(900)."""
    ranks = [np.array([1]), np.array([50])] * 450
    low, high = bootstrap_intervals(ranks, recall_at=(1,), resamples=2000)["R@1"]
    assert low == pytest.approx(50 - 3.27, abs=0.5)
    assert high == pytest.approx(50 + 3.27, abs=0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_raise(value: float) -> None:
    scores = np.eye(4)
    scores[2, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        match_ranks(scores)
    with pytest.raises(ValueError, match="not finite"):
        both_directions(scores)
    with pytest.raises(ValueError, match="not finite"):
        direction_ranks_in_blocks(lambda start, stop: scores[start:stop], 4, 4, rows_per_block=2)


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        (np.ones((2, 3)), None, "square score matrix"),
        (np.ones((0, 3)), [], "not empty"),
        (np.ones(3), [0, 1, 2], "are a matrix"),
        (np.ones((2, 3)), [0], "1 lists of relevant items do not fit 2 queries"),
        (np.ones((2, 3)), [0, 3], "query 1 names item 3, but there are items 0 to 2"),
        (np.ones((2, 3)), [[0], [1, -1]], "query 1 names item -1"),
        (np.ones((2, 3)), [[0], []], "query 1 has no relevant item"),
        (np.ones((2, 3)), [[], []], "no query has a relevant item"),
        (np.ones((2, 3)), [0.5, 1], "integer indices"),
    ],
)
def test_inputs_that_do_not_fit_raise(scores: np.ndarray, relevant: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match_ranks(scores, relevant)


@pytest.mark.parametrize(
    ("ranks", "recall_at", "message"),
    [
        ([], (1,), "at least one query"),
        ([[1], []], (1,), "at least one relevant item"),
        ([[1], [0]], (1,), "counted from 1"),
        ([[1.5]], (1,), "integers"),
        ([[1], [2, 2]], (1,), "no two of one query the same"),
        ([[1]], (5, 0), "k of 1 or more"),
    ],
)
def test_ranks_that_are_none_raise(ranks: list, recall_at: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ranking_metrics([np.array(of_query) for of_query in ranks], recall_at)


@pytest.mark.parametrize("options", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 95}])
def test_bootstraps_that_cannot_be_drawn_raise(options: dict) -> None:
    with pytest.raises(ValueError, match="bootstrap"):
        bootstrap_intervals([np.array([1])], **options)


def test_blocks_that_do_not_fit_raise() -> None:
    scores = np.eye(4)
    with pytest.raises(ValueError, match="give track_of_text"):
        direction_ranks_in_blocks(lambda start, stop: scores[start:stop], 4, 5)
    with pytest.raises(ValueError, match=r"score_rows\(0, 2\) gave \(4, 4\)"):
        direction_ranks_in_blocks(lambda start, stop: scores, 4, 4, rows_per_block=2)
    with pytest.raises(ValueError, match="rows_per_block"):
        direction_ranks_in_blocks(lambda start, stop: scores[start:stop], 4, 4, rows_per_block=0)
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="other scores for the tracks from 0 on"):
        direction_ranks_in_blocks(lambda start, stop: generator.standard_normal((stop - start, 4)), 4, 4)
