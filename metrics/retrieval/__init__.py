"""Ranks and retrieval metrics; `evaluate.load("metrics/retrieval")` gives the same as an `evaluate` module."""

from .blocks import direction_ranks_in_blocks
from .ranking import (
    RECALL_AT,
    bootstrap_intervals,
    both_directions,
    direction_ranks,
    match_ranks,
    metrics_by_direction,
    ranking_metrics,
    retrieval_metrics,
)

__all__ = [
    "RECALL_AT",
    "bootstrap_intervals",
    "both_directions",
    "direction_ranks",
    "direction_ranks_in_blocks",
    "match_ranks",
    "metrics_by_direction",
    "ranking_metrics",
    "retrieval_metrics",
]
