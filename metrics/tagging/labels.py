"""Accuracy, ROC-AUC and PR-AUC of scores against labels, for zero-shot classification and tagging."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score


@dataclass(frozen=True)
class TagMetrics:
    """Areas under the curves of every tag, in percent, each (tags,); NaN for a tag that all tracks have, or none."""

    roc_auc: NDArray[np.float64]
    pr_auc: NDArray[np.float64]


def accuracy(scores: ArrayLike, classes: ArrayLike) -> float:
    """Share of the tracks, in percent, whose own class scores higher than every other; a tie counts as a miss.

    Args:
        scores: (tracks, classes), higher is better.
        classes: (tracks,), the index of each track's class.

    Raises:
        ValueError: if the scores are no matrix, are empty or not finite, or if the classes do not fit them.
    """
    matrix, truth = _score_matrix(scores), np.asarray(classes)
    if truth.shape != matrix.shape[:1] or not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(f"{len(matrix)} tracks need as many class indices, not {truth.dtype} of shape {truth.shape}.")
    if truth.min() < 0 or truth.max() >= matrix.shape[1]:
        raise ValueError(f"class indices go from 0 to {matrix.shape[1] - 1}, not from {truth.min()} to {truth.max()}.")
    own = np.take_along_axis(matrix, truth[:, None], axis=1)
    return 100 * float(((matrix >= own).sum(axis=1) == 1).mean())


def tag_metrics(scores: ArrayLike, tags: ArrayLike) -> TagMetrics:
    """ROC-AUC and PR-AUC of each tag over the tracks.

    PR-AUC is scikit-learn's average precision, without interpolation. Tracks that tie share one threshold.

    Args:
        scores: (tracks, tags), higher is better; tags are never compared with one another.
        tags: (tracks, tags) of 0 and 1 or of booleans.

    Raises:
        ValueError: if the scores are no matrix, are empty or not finite, or if the tags do not fit them.
    """
    matrix, truth = _score_matrix(scores), np.asarray(tags)
    if truth.shape != matrix.shape:
        raise ValueError(f"scores of shape {matrix.shape} need tags of the same shape, not {truth.shape}.")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("tags are 0 or 1.")
    roc_auc, pr_auc = np.full((2, matrix.shape[1]), np.nan)
    for tag in range(matrix.shape[1]):
        if len(np.unique(truth[:, tag])) == 2:
            roc_auc[tag] = 100 * roc_auc_score(truth[:, tag], matrix[:, tag])
            pr_auc[tag] = 100 * average_precision_score(truth[:, tag], matrix[:, tag])
    return TagMetrics(roc_auc, pr_auc)


def tagging_metrics(scores: ArrayLike, tags: ArrayLike) -> dict[str, float]:
    """Macro averages of `tag_metrics`, each tag counting the same.

    Returns:
        `ROC-AUC` and `PR-AUC` in percent over the tags that some tracks have and some have not, and `tags`, how many
        those are.

    Raises:
        ValueError: as `tag_metrics`, or if every tag is on all tracks or on none.
    """
    by_tag = tag_metrics(scores, tags)
    defined = np.isfinite(by_tag.roc_auc)
    if not defined.any():
        raise ValueError("every tag is on all tracks or on none, so no curve has an area.")
    return {
        "ROC-AUC": float(by_tag.roc_auc[defined].mean()),
        "PR-AUC": float(by_tag.pr_auc[defined].mean()),
        "tags": int(defined.sum()),
    }


def classification_metrics(scores: ArrayLike, classes: ArrayLike) -> dict[str, float]:
    """`accuracy`, and `tagging_metrics` with every class as a tag, of scores (tracks, classes)."""
    matrix = _score_matrix(scores)
    metrics = {"accuracy": accuracy(matrix, classes)}
    return {**metrics, **tagging_metrics(matrix, np.eye(matrix.shape[1], dtype=int)[np.asarray(classes)])}


def _score_matrix(scores: ArrayLike) -> NDArray:
    matrix = np.asarray(scores)
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"scores are a matrix (tracks, labels) that is not empty, not {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise ValueError("the score matrix holds values that are not finite.")
    return matrix
