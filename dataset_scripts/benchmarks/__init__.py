"""Benchmarks in their owners' layouts, read into the dataset schema; labels are in a column `labels` beside it."""

from .gtzan import load_gtzan
from .magnatagatune import load_magnatagatune

__all__ = ["load_gtzan", "load_magnatagatune"]
