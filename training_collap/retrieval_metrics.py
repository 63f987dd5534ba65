"""Retrieval metrics of torch score matrices; the maths is that of `metrics.retrieval.ranking`."""

import numpy as np
import torch
from torch import Tensor

from metrics.retrieval import ranking
from metrics.retrieval.ranking import RECALL_AT


def retrieval_metrics(scores: Tensor, recall_at: tuple[int, ...] = RECALL_AT) -> dict[str, float]:
    """`metrics.retrieval.ranking.retrieval_metrics` of square scores (queries, items), item i belonging to query i."""
    return ranking.retrieval_metrics(_array(scores), recall_at=recall_at)


def both_directions(scores: Tensor) -> dict[str, float]:
    """`metrics.retrieval.ranking.both_directions` of square scores (tracks, texts), text i belonging to track i."""
    return ranking.both_directions(_array(scores))


def _array(scores: Tensor) -> np.ndarray:
    """Scores on any device, in any precision (numpy has no bfloat16), as an array; no two scores become equal."""
    return scores.detach().to("cpu", torch.promote_types(scores.dtype, torch.float32)).numpy()
