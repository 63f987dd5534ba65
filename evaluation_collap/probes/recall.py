"""Retrieval metrics of a square score matrix, in both directions."""

import numpy as np
from torch import Tensor

from metrics.retrieval import direction_ranks
from metrics.retrieval.ranking import metrics_by_direction

RECALL_AT = (1, 5, 10)


def retrieval_both_ways(scores: Tensor) -> dict[str, float]:
    """Metrics of scores (tracks, texts), where text i belongs to track i and ties count against the model.

    Returns:
        `text_to_audio_R@1` and so on: `metrics.retrieval.ranking_metrics` of both directions, and `..._mean_rank`.
    """
    ranks = direction_ranks(scores.numpy())
    mean_ranks = {f"{name}_mean_rank": float(np.mean(np.concatenate(found))) for name, found in ranks.items()}
    return {**metrics_by_direction(ranks, RECALL_AT), **mean_ranks}
