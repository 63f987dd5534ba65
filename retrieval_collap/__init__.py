"""Search and localisation: which tracks match a text, and where in them. Home of the `collap` command line."""

from typing import TYPE_CHECKING

from dataset_scripts.lazy import lazy_exports

if TYPE_CHECKING:
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
}

__all__ = ["Failure", "Location", "Match", "Span", "Track", "TrackLibrary", "locate"]

__getattr__ = lazy_exports(__name__, _HOMES)
