"""Classification and tagging metrics as an `evaluate` module: `evaluate.load("metrics/tagging")`."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .labels import classification_metrics, tagging_metrics

_DESCRIPTION = """
ROC-AUC and PR-AUC, averaged over tags, of tracks with several tags; with accuracy for tracks of one class each.
"""

_INPUTS = """
Args:
    predictions: for each track its scores with all tags, higher is better.
    references: for each track 0 or 1 for every tag; with the configuration "classification" the index of its class.

Returns:
    "ROC-AUC" and "PR-AUC" in percent, "tags", the number of tags averaged over, and with the configuration
    "classification" also "accuracy" in percent.

Examples:
    >>> tagging = evaluate.load("metrics/tagging")
    >>> tagging.compute(predictions=[[0.9, 0.2], [0.4, 0.3], [0.1, 0.1]], references=[[1, 0], [1, 1], [0, 0]])
    {'ROC-AUC': 100.0, 'PR-AUC': 100.0, 'tags': 2}
    >>> classification = evaluate.load("metrics/tagging", "classification")
    >>> results = classification.compute(
    ...     predictions=[[0.9, 0.2], [0.4, 0.4], [0.1, 0.3], [0.3, 0.2]], references=[0, 1, 1, 0]
    ... )
    >>> {name: round(value, 1) for name, value in results.items()}
    {'accuracy': 75.0, 'ROC-AUC': 87.5, 'PR-AUC': 91.7, 'tags': 2}
"""


class Tagging(evaluate.Metric):
    """The functions of `labels.py` behind the interface of `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        references: dict[str, Any] = {
            "default": datasets.Sequence(datasets.Value("int64")),
            "classification": datasets.Value("int64"),
        }
        if self.config_name not in references:
            raise ValueError(f'the tagging metric knows the configuration "classification", not {self.config_name!r}.')
        features = {
            "predictions": datasets.Sequence(datasets.Value("float64")),
            "references": references[self.config_name],
        }
        return evaluate.MetricInfo(
            description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=datasets.Features(features)
        )

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[Any]) -> dict[str, float]:
        if len({len(row) for row in predictions}) > 1:
            raise ValueError("every track must be scored with the same tags, but the rows of scores differ in length.")
        metrics = classification_metrics if self.config_name == "classification" else tagging_metrics
        return metrics(predictions, references)
