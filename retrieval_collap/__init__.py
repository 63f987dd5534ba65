"""Search and localisation: which tracks match a text, and where in them. Home of the `collap` command line."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .library import Failure, Match, Track, TrackLibrary
    from .localisation import Location, Span, locate

# Loaded on first use: `collap --help` should not wait for torch.
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
