"""What the engine answers with: tracks, matches and where they hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval_collap import Location  # which loads the model's code


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a track from `start` to `end`, in seconds; `label` and `caption` may be ""."""

    start: float
    end: float
    label: str
    caption: str


@dataclass(frozen=True, slots=True)
class TrackView:
    """A track as a listener meets it.

    Attributes:
        id: in the library; of an upload "upload-" and a digest of the file.
        title: for people, such as "Bossa nova in F minor, 96 BPM".
        path: of a file that browsers play; of an upload the file itself.
        duration: in seconds.
        sections: in the order of time; () where they are not known.
        licence: of the audio; "" where it is not known.
        caption: the description that the library has of it; "" where it has none.
    """

    id: str
    title: str
    path: Path
    duration: float
    sections: tuple[Section, ...] = ()
    licence: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A track that a search found: the fused alignment score (eq 7), and where in the track the text holds."""

    track: TrackView
    score: float
    location: Location


@dataclass(frozen=True, slots=True)
class TextResult:
    """A text against a track.

    Attributes:
        id: of the library's track whose caption the text is; None for a text of the user.
        score: the fused alignment score (eq 7). Scores of several texts compare on one track.
        location: where in the track the text holds.
    """

    text: str
    id: str | None
    score: float
    location: Location


@dataclass(frozen=True, slots=True)
class TagResult:
    """A label against a track.

    Attributes:
        share: of 1, among the labels asked for; see `Engine.describe` for what it is and is not.
        score: the mean fused score of the label's prompts.
    """

    label: str
    share: float
    score: float


@dataclass(frozen=True, slots=True)
class Description:
    """What fits a track: descriptions of the library and labels of the user, both best first."""

    track: TrackView
    texts: tuple[TextResult, ...]
    tags: tuple[TagResult, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two texts on one track."""

    track: TrackView
    first: TextResult
    second: TextResult
