"""Retrieval metrics as an `evaluate` module: `evaluate.load("metrics/retrieval")`."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .ranking import RECALL_AT, bootstrap_intervals, match_ranks, ranking_metrics

_DESCRIPTION = """
Recall at k, mAP at 10, MRR and median rank of retrieval. A query may have several relevant items; ties in score count
against the model.
"""

_INPUTS = """
Args:
    predictions: one entry a query. By default its scores with all items, higher is better. With the configuration
        "ranks", the ranks of its relevant items, counted from 1, as `match_ranks` gives them.
    references: for each query the list of the indices of its relevant items; none with the configuration "ranks".
    recall_at: the k of R@k; default (1, 5, 20, 100).
    resamples: draws of a bootstrap over the queries; 0, the default, leaves the intervals out.
    confidence: of the intervals; default 0.95.
    seed: of the draws; default 0.

Returns:
    "R@k", "mAP@10" and "MRR" in percent and "median_rank"; with resamples also "intervals": {name: [low, high]}.

Examples:
    >>> retrieval = evaluate.load("metrics/retrieval")
    >>> results = retrieval.compute(
    ...     predictions=[[0.9, 0.1, 0.4], [0.3, 0.3, 0.3]], references=[[0, 2], [1]], recall_at=[1, 3]
    ... )
    >>> {name: round(value, 1) for name, value in results.items()}
    {'R@1': 50.0, 'R@3': 100.0, 'mAP@10': 66.7, 'MRR': 66.7, 'median_rank': 2.0}
"""


class Retrieval(evaluate.Metric):
    """The functions of `ranking.py` behind the interface of `evaluate`, which stores its inputs row by row in Arrow."""

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name == "ranks":
            features = {"predictions": datasets.Sequence(datasets.Value("int64"))}
        elif self.config_name == "default":
            features = {  # float64 holds every score of a lower precision: Arrow adds no ties and takes none away
                "predictions": datasets.Sequence(datasets.Value("float64")),
                "references": datasets.Sequence(datasets.Value("int64")),
            }
        else:
            raise ValueError(f'the retrieval metric knows the configuration "ranks", not {self.config_name!r}.')
        return evaluate.MetricInfo(
            description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=datasets.Features(features)
        )

    def _compute(
        self,
        predictions: Sequence[Sequence[float]],
        references: Sequence[Sequence[int]] | None = None,
        recall_at: Sequence[int] = RECALL_AT,
        resamples: int = 0,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> dict[str, Any]:
        ranks: Any = predictions
        if references is not None:
            if len({len(row) for row in predictions}) > 1:
                raise ValueError(
                    "every query must be scored with the same items, but the rows of scores differ in length."
                )
            ranks = match_ranks(predictions, references)
        results: dict[str, Any] = ranking_metrics(ranks, recall_at)
        if resamples:
            intervals = bootstrap_intervals(ranks, recall_at, resamples, confidence, seed)
            results["intervals"] = {name: list(interval) for name, interval in intervals.items()}
        return results
