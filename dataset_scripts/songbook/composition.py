"""A song before orchestration: what was composed, with times in seconds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Note:
    """One note; `start` and `duration` in seconds, `pitch` a MIDI number, `velocity` 1-127."""

    start: float
    duration: float
    pitch: int
    velocity: int = 90

    @property
    def end(self) -> float:
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord sounding from `start` to `end` seconds; `root` and `pitch_classes` in 0-11 (0 = C)."""

    start: float
    end: float
    root: int
    quality: str  # "maj", "min", "dim", "aug", "sus2", "sus4", "7", "maj7", "min7", ...
    pitch_classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A functional span of the song, in seconds. `phrase` names what returns: equal phrases share their music."""

    start: float
    end: float
    label: str  # "intro", "verse", "pre-chorus", "chorus", "bridge", "instrumental", "outro"
    phrase: str  # "A", "B", ...; "" where the form names none


@dataclass(frozen=True, slots=True)
class Composition:
    """A song as written: its lines, chords, beats and form, before any instrument is chosen.

    `beats` and `downbeats` are seconds, ascending; `sections` are contiguous, in order, and cover [0, duration].
    """

    id: str
    source: Literal["songwriter", "pop909"]
    licence: str
    split: Literal["train", "validation", "test"]
    duration: float
    tempo_bpm: float
    beats_per_bar: int
    tonic: int  # 0-11, 0 = C
    mode: Literal["major", "minor"]
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    chords: tuple[Chord, ...]
    sections: tuple[Section, ...]
    melody: tuple[Note, ...]
    counter_melody: tuple[Note, ...] = ()
    accompaniment: tuple[Note, ...] = ()  # a written-out keyboard part, where the source has one
    genre: str | None = None  # set by the songwriter; the arranger chooses one where it is None
