"""Probes: what a score reads of a long caption, and what it hears of a long track.

Every module has a `run(scorer, rows, *, seed, tracks, ...)` that returns a frozen dataclass with `to_json()` and
`table()`. `scorer` may be an `EmbeddingCache` around one: what is encoded is then kept, altered tracks too, and a probe
that was cut short goes on where it was.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

    from ..scorers import Scorer
    from .base import ProbeResult

PROBES = ("truncation", "order", "localisation", "length", "robustness")  # modules of this folder

__all__ = ["PROBES", "run_probe"]


def run_probe(name: str, scorer: "Scorer", rows: "Dataset", **options: Any) -> "ProbeResult":
    """The probe of that name; for the options see its module's `run`.

    Raises:
        ValueError: there is no such probe.
    """
    if name not in PROBES:
        raise ValueError(f"{name!r} is no probe; there are {', '.join(PROBES)}.")
    return import_module(f".{name}", __name__).run(scorer, rows, **options)
