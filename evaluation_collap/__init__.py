"""Evaluation: models, baselines and benchmarks in one harness, and probes of what a score reads and hears."""

from typing import TYPE_CHECKING

from dataset_scripts.lazy import lazy_exports

if TYPE_CHECKING:
    from .benchmarks import Benchmark, find_benchmark
    from .embeddings import EmbeddingCache
    from .runner import evaluate_retrieval
    from .scorers import Encoded, Scorer, build_scorer

_HOMES = {
    "Benchmark": "benchmarks",
    "EmbeddingCache": "embeddings",
    "Encoded": "scorers",
    "Scorer": "scorers",
    "build_scorer": "scorers",
    "evaluate_retrieval": "runner",
    "find_benchmark": "benchmarks",
}

__all__ = [
    "Benchmark",
    "EmbeddingCache",
    "Encoded",
    "Scorer",
    "build_scorer",
    "evaluate_retrieval",
    "find_benchmark",
]

__getattr__ = lazy_exports(__name__, _HOMES)
