"""The truth against alternatives of itself: who scores higher, where equal scores are nobody's win.

Scores of a model that is blind to a difference still differ in their last bits, and which way is chance, or worse, the
order of the sums. So scores within `TIE` of one another, relative to the largest in sight, are equal. A tie is half a
win, which makes the two-way accuracy of a blind score 50%; in a ranking a tie stands before the truth, so that a blind
score never finds it first.
"""

import torch
from torch import Tensor

TIE = 1e-6


def win_shares(truth: Tensor, others: Tensor) -> Tensor:
    """1 where the truth scores higher, 0 where the other does, 1/2 where they tie.

    Args:
        truth, others: scores of any shapes that broadcast.

    Returns:
        As broadcast, float64.
    """
    margin = truth.double() - others.double()
    decided = margin.abs() > _tolerance(truth, others)
    return torch.where(decided, (margin > 0).double(), 0.5)


def rank_of_truth(truth: Tensor, others: Tensor) -> int:
    """Rank of one score () among others (K,), from 1; others that tie with it stand before it."""
    return 1 + int((others.double() >= truth.double() - _tolerance(truth, others)).sum())


def _tolerance(truth: Tensor, others: Tensor) -> float:
    return TIE * max(float(truth.abs().max()), float(others.abs().max()))
