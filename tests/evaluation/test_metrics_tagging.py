"""Accuracy and areas under curves against pairs and thresholds counted one by one."""

import numpy as np
import pytest

from metrics.tagging import accuracy, classification_metrics, tag_metrics, tagging_metrics


def oracle_roc_auc(scores: list[float], present: list[int]) -> float:
    """Share of pairs (a track with the tag, one without) in the right order; a tie is half."""
    pairs = [
        (a, b)
        for a, has in zip(scores, present, strict=True)
        if has
        for b, no in zip(scores, present, strict=True)
        if not no
    ]
    return 100 * sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


def oracle_pr_auc(scores: list[float], present: list[int]) -> float:
    """Precision at every threshold, weighted with the recall it adds."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [has for score, has in zip(scores, present, strict=True) if score >= threshold]
        area += (sum(taken) / sum(present) - recall) * sum(taken) / len(taken)
        recall = sum(taken) / sum(present)
    return 100 * area


@pytest.mark.parametrize("levels", [3, None])
def test_areas(levels: int | None) -> None:
    generator = np.random.default_rng(1)
    scores = generator.standard_normal((60, 7)) if levels is None else generator.integers(levels, size=(60, 7))
    tags = generator.integers(2, size=(60, 7))
    tags[:, 2], tags[:, 5] = 0, 1  # on no track, on all: no curve
    by_tag, metrics = tag_metrics(scores, tags), tagging_metrics(scores, tags)
    usable = [tag for tag in range(7) if tag not in (2, 5)]
    roc_auc = [oracle_roc_auc(scores[:, tag].tolist(), tags[:, tag].tolist()) for tag in usable]
    pr_auc = [oracle_pr_auc(scores[:, tag].tolist(), tags[:, tag].tolist()) for tag in usable]
    assert by_tag.roc_auc[usable] == pytest.approx(roc_auc)
    assert by_tag.pr_auc[usable] == pytest.approx(pr_auc)
    assert np.isnan(by_tag.roc_auc[[2, 5]]).all()
    assert np.isnan(by_tag.pr_auc[[2, 5]]).all()
    assert metrics == pytest.approx({"ROC-AUC": np.mean(roc_auc), "PR-AUC": np.mean(pr_auc), "tags": 5})
    assert tagging_metrics(scores, tags.astype(bool)) == metrics


def test_accuracy_counts_ties_as_misses() -> None:
    scores = [[0.9, 0.1, 0.1], [0.2, 0.2, 0.1], [0.1, 0.3, 0.2], [0.0, 0.1, 0.4]]
    assert accuracy(scores, [0, 0, 2, 2]) == 50
    assert accuracy(np.zeros((3, 2)), [0, 1, 0]) == 0


def test_classes_are_tags_too() -> None:
    generator = np.random.default_rng(2)
    scores, classes = generator.standard_normal((40, 4)), generator.integers(4, size=40)
    metrics = classification_metrics(scores, classes)
    right = sum(max(range(4), key=row.__getitem__) == own for row, own in zip(scores.tolist(), classes, strict=True))
    assert metrics.pop("accuracy") == pytest.approx(100 * right / 40)
    assert metrics == tagging_metrics(scores, classes[:, None] == np.arange(4))


@pytest.mark.parametrize(
    ("scores", "classes", "message"),
    [
        (np.ones(3), [0, 0, 0], "are a matrix"),
        (np.ones((0, 3)), [], "not empty"),
        (np.full((2, 2), np.nan), [0, 1], "not finite"),
        (np.ones((2, 2)), [0], "2 tracks need as many class indices"),
        (np.ones((2, 2)), [0.0, 1.0], "class indices, not float64"),
        (np.ones((2, 2)), [0, 2], "class indices go from 0 to 1"),
        (np.ones((2, 2)), [-1, 1], "class indices go from 0 to 1"),
    ],
)
def test_classes_that_do_not_fit_raise(scores: np.ndarray, classes: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_metrics(scores, classes)


@pytest.mark.parametrize(
    ("tags", "message"),
    [([[1, 0]], "tags of the same shape"), ([[1, 2], [0, 0]], "tags are 0 or 1"), ([[1, 0], [1, 0]], "no curve")],
)
def test_tags_that_do_not_fit_raise(tags: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tagging_metrics(np.ones((2, 2)), tags)
