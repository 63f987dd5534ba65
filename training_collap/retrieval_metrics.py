"""Retrieval metrics of a square score matrix, with ties counted against the model."""

import torch
from torch import Tensor

RECALL_AT = (1, 5, 20, 100)


def retrieval_metrics(scores: Tensor, recall_at: tuple[int, ...] = RECALL_AT) -> dict[str, float]:
    """Recall, mAP@10 and median rank of the matching item, where item i belongs to query i.

    Args:
        scores: (queries, items), one row a query; square.
        recall_at: the k of R@k.

    Returns:
        `R@k` and `mAP@10` in percent, `median_rank` counted from 1. An item that ties with the match stands before it,
        so equal scores never help. With one match a query, the average precision at 10 is 1 / rank, or 0 past rank 10.

    Raises:
        ValueError: if the matrix is not square, is empty, or holds a value that is not finite.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or scores.numel() == 0:
        raise ValueError(f"retrieval metrics need a square score matrix that is not empty, not {tuple(scores.shape)}.")
    if not bool(torch.isfinite(scores).all()):
        raise ValueError("the score matrix holds values that are not finite.")
    ranks = (scores >= scores.diagonal()[:, None]).sum(1).double()  # (queries,)
    metrics = {f"R@{k}": 100 * float((ranks <= k).double().mean()) for k in recall_at}
    metrics["mAP@10"] = 100 * float(torch.where(ranks <= 10, 1 / ranks, 0.0).mean())
    metrics["median_rank"] = float(ranks.quantile(0.5))
    return metrics


def both_directions(scores: Tensor) -> dict[str, float]:
    """`retrieval_metrics` of text-to-audio and audio-to-text, from scores (tracks, texts)."""
    directions = {"text_to_audio": scores.T, "audio_to_text": scores}
    return {
        f"{direction}_{name}": value
        for direction, matrix in directions.items()
        for name, value in retrieval_metrics(matrix).items()
    }
