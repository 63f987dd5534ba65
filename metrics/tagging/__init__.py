"""Classification and tagging metrics; `evaluate.load("metrics/tagging")` gives the same as an `evaluate` module."""

from .labels import accuracy, classification_metrics, tag_metrics, tagging_metrics

__all__ = ["accuracy", "classification_metrics", "tag_metrics", "tagging_metrics"]
