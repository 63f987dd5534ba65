"""A track index on disk: compressed sequences in a Lance table, searched in two stages."""

from typing import TYPE_CHECKING

from dataset_scripts.lazy import lazy_exports

if TYPE_CHECKING:
    from .compression import SequenceCodec
    from .rows import DamagedIndexError, IndexedTrack
    from .settings import IndexSettings
    from .store import BadFilterError, TrackStore

# Loaded on first use: processes that only decode have no need of Lance.
_HOMES = {
    "SequenceCodec": "compression",
    "DamagedIndexError": "rows",
    "IndexedTrack": "rows",
    "IndexSettings": "settings",
    "BadFilterError": "store",
    "TrackStore": "store",
}

__all__ = ["BadFilterError", "DamagedIndexError", "IndexSettings", "IndexedTrack", "SequenceCodec", "TrackStore"]

__getattr__ = lazy_exports(__name__, _HOMES)
