"""What a report is made of, whichever way it is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from matplotlib.figure import Figure
from torch import Tensor

from ..probes.base import markdown_table
from ..timeline import Timeline, draw_timeline


@dataclass(frozen=True)
class Table:
    """Cells as they are shown; the first column is set to the left and the others to the right.

    Args:
        caption: what the numbers are.
        folded: behind its caption, to be opened.
        baselines: how many of the last rows are what is earned without a model.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    folded: bool = False
    baselines: int = 0

    @classmethod
    def of(cls, header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", **options: Any) -> Self:
        """Floats get one digit, and None is a dash."""
        return cls.from_markdown(markdown_table(header, rows), caption, **options)

    @classmethod
    def from_markdown(cls, text: str, caption: str = "", **options: Any) -> Self:
        """What `markdown_table` wrote."""
        header, _, *rows = (tuple(cell.strip() for cell in line[1:-1].split("|")) for line in text.splitlines())
        return cls(header, tuple(rows), caption, **options)

    def to_markdown(self) -> str:
        return markdown_table(self.header, self.rows)


@dataclass(frozen=True)
class Plot:
    """A figure.

    Args:
        name: of its file.
        alt: what it shows, in words.
    """

    name: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Listing:
    """Lines of a list: a topic in bold, and what is to be said of it."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Found:
    """Where a scorer finds a section by the section's own caption; times in seconds."""

    label: str
    start: float
    end: float
    peak: float
    inside: bool


@dataclass(frozen=True)
class Heard:
    """A track under a text: where it fits, and how it sounds.

    Args:
        right: whether the text is about this track.
        sections: start, end and label each; spans: start and end each, the best first; both in seconds.
        profile: (T,) how well each moment fits.
        mp3: mono, its first `audible` seconds.
        found: of the sections that have captions.
    """

    id: str
    right: bool
    score: float
    duration: float
    sections: tuple[Mapping[str, Any], ...]
    profile: Tensor
    steps_per_second: float
    spans: tuple[Mapping[str, float], ...]
    mp3: bytes
    audible: float
    found: tuple[Found, ...] = ()

    @property
    def role(self) -> str:
        return "the right track" if self.right else "found first"

    @property
    def drawing(self) -> Timeline:
        return draw_timeline(self.profile, self.steps_per_second, self.duration)


@dataclass(frozen=True)
class Example:
    """A text, the rank of its right track among all, and the tracks to listen to: the right one, and the first."""

    text: str
    rank: int
    pool: int
    tracks: tuple[Heard, ...]


@dataclass(frozen=True)
class Examples:
    """Hits and misses of a model."""

    model: str
    words: str
    hits: tuple[Example, ...]
    misses: tuple[Example, ...]


Block = str | Table | Plot | Listing | Examples


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Part:
    """The sections of a benchmark."""

    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Document:
    title: str
    lead: tuple[str, ...]
    parts: tuple[Part, ...]
    notes: tuple[Section, ...] = ()
