"""A song after orchestration: who plays what in every section. Captions and audio are both made from this."""

from dataclasses import dataclass
from typing import Literal

from .composition import Composition, Note, Section

Role = Literal["melody", "counter-melody", "accompaniment", "pad", "bass", "drums"]


@dataclass(frozen=True, slots=True)
class Part:
    """One instrument in one section. `notes` lie inside the section (their tails may ring past it by a little)."""

    role: Role
    instrument: str  # plain lower-case name as a caption would use it: "violin", "nylon-string guitar", "drum kit"
    program: int  # General MIDI program 0-127; for drums the kit number
    is_drum: bool
    pattern: str  # how it plays: "arpeggios", "block chords", "walking line", "four-on-the-floor", "legato line", ...
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class ArrangedSection:
    section: Section
    parts: tuple[Part, ...]
    dynamics: Literal["soft", "moderate", "loud"]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A rendering of `composition`: the same composition and seed always give the same arrangement."""

    composition: Composition
    seed: int
    genre: str  # "ballad", "rock", "bossa nova", ...
    sections: tuple[ArrangedSection, ...]

    @property
    def id(self) -> str:
        return f"{self.composition.id}-{self.seed:04d}"
