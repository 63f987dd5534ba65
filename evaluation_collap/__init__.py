"""Evaluation: models, baselines and benchmarks in one harness, and probes of what a score reads and hears."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .benchmarks import Benchmark, find_benchmark
    from .embeddings import EmbeddingCache
    from .runner import evaluate_retrieval
    from .scorers import Encoded, Scorer, build_scorer

# Loaded on first use: `collap --help` should not wait for torch.
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
