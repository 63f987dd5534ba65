"""What a track index answers with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from .rows import IndexedTrack
from .settings import IndexSettings
from .store import TrackStore


@dataclass(frozen=True, slots=True)
class IndexMatch:
    """A track that a search found.

    Attributes:
        rank: counts from 1.
        duration: in seconds.
        score: the fused alignment score with a text (eq 7), or the likeness to a track, see `scoring.likeness`.
    """

    rank: int
    id: str
    path: str
    title: str
    duration: float
    score: float


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A text that fits a track; `rank` counts from 1, `score` is the fused alignment score (eq 7)."""

    rank: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index holds.

    Attributes:
        tracks: how many.
        duration: of all tracks together, in seconds.
        version: of the table; every change counts it up.
    """

    uri: str
    settings: IndexSettings
    tracks: int
    duration: float
    version: int

    @classmethod
    def of(cls, store: TrackStore) -> Self:
        """What is in a table; no model is needed to know."""
        duration = sum(row["duration"] for row in store.records(columns=["duration"]))
        return cls(store.uri, store.settings, len(store), duration, store.version)


def ranked_tracks(tracks: Sequence[IndexedTrack], scores: Tensor, top: int) -> list[IndexMatch]:
    """The `top` best tracks by scores (N,), best first; equal scores by id."""
    order = sorted(zip((-scores).tolist(), tracks, strict=True), key=lambda pair: (pair[0], pair[1].id))
    return [
        IndexMatch(rank, track.id, track.path, track.title, track.duration, -negated)
        for rank, (negated, track) in enumerate(order[:top], start=1)
    ]


def ranked_texts(texts: Sequence[str], scores: Tensor, top: int) -> list[TextMatch]:
    """The `top` best texts by scores (M,), best first; equal scores in the order of the texts."""
    order = scores.argsort(descending=True, stable=True)[:top].tolist()
    return [TextMatch(rank, texts[i], float(scores[i])) for rank, i in enumerate(order, start=1)]
