"""Search and localisation: which tracks match a text, and where in them. Home of the `collap` command line."""

from typing import TYPE_CHECKING

from dataset_scripts.lazy import lazy_exports

if TYPE_CHECKING:
    from .index.results import IndexInfo, IndexMatch, TextMatch
    from .index.track_index import TrackIndex
    from .library import Failure, Match, Track, TrackLibrary
    from .localisation import Location, Span, locate

_HOMES = {
    "Failure": "library",
    "Match": "library",
    "Track": "library",
    "TrackLibrary": "library",
    "Location": "localisation",
    "Span": "localisation",
    "locate": "localisation",
    "IndexInfo": "index.results",
    "IndexMatch": "index.results",
    "TextMatch": "index.results",
    "TrackIndex": "index.track_index",
}

__all__ = [
    "Failure",
    "IndexInfo",
    "IndexMatch",
    "Location",
    "Match",
    "Span",
    "TextMatch",
    "Track",
    "TrackIndex",
    "TrackLibrary",
    "locate",
]

__getattr__ = lazy_exports(__name__, _HOMES)
