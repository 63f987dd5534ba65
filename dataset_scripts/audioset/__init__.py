"""The corpus of captioned full-length tracks from AudioSet, built in stages: see docs/dataset.md."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .config import BuildConfig
    from .engine import StageError
    from .pipeline import build

__all__ = ["BuildConfig", "StageError", "build"]

__getattr__ = lazy_exports(__name__, {"BuildConfig": "config", "StageError": "engine", "build": "pipeline"})
