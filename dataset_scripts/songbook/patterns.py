"""How each role plays: drum grids, bass lines and chord figures, in beats, laid on the song's own beat grid."""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from .composition import Chord, Composition


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the song: the times of its beats in seconds, then the time where the next bar begins."""

    times: tuple[float, ...]

    @property
    def beats(self) -> int:
        return len(self.times) - 1

    def at(self, position: float, swing: float = 0.5) -> float:
        """Seconds at `position` beats into the bar; `swing` is where the middle of a beat falls."""
        beat = min(max(int(position), 0), self.beats - 1)
        fraction = position - beat
        fraction = fraction * 2 * swing if fraction <= 0.5 else swing + (fraction - 0.5) * 2 * (1 - swing)
        return self.times[beat] + fraction * (self.times[beat + 1] - self.times[beat])


def bars_of(composition: Composition) -> tuple[Bar, ...]:
    """The bars of the whole song; the beat grid is continued to both ends at its median spacing."""
    beats = [beat for beat in composition.beats if 0.0 <= beat <= composition.duration]
    gaps = [b - a for a, b in pairwise(beats) if b - a > 0.05]
    period = median(gaps) if gaps else 60.0 / composition.tempo_bpm
    beats = beats or [0.0]
    downbeats = sorted({min(range(len(beats)), key=lambda i: abs(beats[i] - d)) for d in composition.downbeats[:1]})
    first = downbeats[0] if downbeats else 0
    starts = {round(d, 3) for d in composition.downbeats}
    marks = [round(beat, 3) in starts for beat in beats]
    if not any(marks):
        marks = [(i - first) % composition.beats_per_bar == 0 for i in range(len(beats))]
    before = int(beats[0] / period)
    lead_in = [beats[0] - period * i for i in range(before, 0, -1)]
    first_mark = marks.index(True)
    lead_marks = [(i - before - first_mark) % composition.beats_per_bar == 0 for i in range(before)]
    beats, marks = lead_in + beats, lead_marks + marks
    since = len(marks) - 1 - marks[::-1].index(True)
    while beats[-1] < composition.duration - 1e-6:
        beats.append(beats[-1] + period)
        marks.append((len(beats) - 1 - since) % composition.beats_per_bar == 0)
    cuts = [i for i, mark in enumerate(marks) if mark]
    cuts = sorted({0, *cuts, len(beats) - 1})
    return tuple(Bar(tuple(beats[a : b + 1])) for a, b in pairwise(cuts))


# --- drums -----------------------------------------------------------------------------------------------------------

KICK, STICK, SNARE, CLOSED, PEDAL, OPEN, LOW_TOM, HIGH_TOM, CRASH, RIDE, TAMBOURINE, MARACAS = (
    36, 37, 38, 42, 44, 46, 45, 50, 49, 51, 54, 70,
)  # fmt: skip
CONGA, SWISH = 63, 40


@dataclass(frozen=True, slots=True)
class DrumGrid:
    """A drum pattern: one string a drum, `steps` characters a beat; X accent, x hit, o ghost, . silence."""

    steps: int
    lines: dict[int, str]
    metre: int = 4

    @property
    def beats(self) -> int:
        return max(len(line) for line in self.lines.values()) // self.steps


DRUMS: dict[str, DrumGrid] = {
    "rock beat": DrumGrid(2, {KICK: "X...X...", SNARE: "..X...X.", CLOSED: "xoxoxoxo"}),
    "pop beat": DrumGrid(2, {KICK: "X..xX...", SNARE: "..X...X.", CLOSED: "xoxoxoxo", TAMBOURINE: "..x...x."}),
    "driving eighths": DrumGrid(2, {KICK: "X.x.X.xx", SNARE: "..X...X.", OPEN: "XxXxXxXx"}),
    "half-time beat": DrumGrid(2, {KICK: "X..x....", SNARE: "....X...", CLOSED: "xoxoxoxo"}),
    "ballad beat": DrumGrid(2, {KICK: "X...x...", STICK: "..X...X.", CLOSED: "xoxoxoxo"}),
    "four-on-the-floor": DrumGrid(2, {KICK: "X.X.X.X.", SNARE: "..x...x.", OPEN: ".x.x.x.x"}),
    "breakbeat": DrumGrid(4, {KICK: "X.x.......x.....", SNARE: "....X..o.o..X...", CLOSED: "x.x.x.x.x.x.x.x."}),
    "funk beat": DrumGrid(4, {KICK: "X..x..x...x.....", SNARE: "....X..o.o..X..o", CLOSED: "xoxoxoxoxoxoxoxo"}),
    "train beat": DrumGrid(4, {KICK: "X...x...X...x...", SNARE: "ooXoooXoooXoooXo"}),
    "swing": DrumGrid(3, {RIDE: "X..X.xX..X.x", PEDAL: "...x.....x..", KICK: "o.....o....."}),
    "brushed swing": DrumGrid(3, {SWISH: "o..X.oo..X.o", PEDAL: "...x.....x..", KICK: "o..........."}),
    "brushed beat": DrumGrid(2, {KICK: "x...x...", SWISH: "o.X.o.X.", CLOSED: "oooooooo"}),
    "shuffle": DrumGrid(3, {KICK: "X.....X.....", SNARE: "...X.....X..", CLOSED: "x.ox.ox.ox.o"}),
    "bossa nova beat": DrumGrid(4, {KICK: "X..xX..xX..xX..x", STICK: "X..X..X...X..X..", CLOSED: "x.x.x.x.x.x.x.x."}),
    "latin beat": DrumGrid(
        4, {KICK: "X.....x.X.....x.", STICK: "X..X..X...X.X...", CONGA: "..xx..xx..xx..xx", MARACAS: "xoxoxoxoxoxoxoxo"}
    ),
    "one-drop beat": DrumGrid(2, {KICK: "....X...", STICK: "....X...", CLOSED: "xxxxxxxx"}),
    "march": DrumGrid(4, {KICK: "X.......X.......", SNARE: "x..ox.x.x.oox.xx"}),
    "build-up": DrumGrid(4, {KICK: "X...X...X...X...", SNARE: "xoxoxoxoxxxxXXXX"}),
    "sparse kick and rim": DrumGrid(2, {KICK: "X.......", STICK: "......x."}),
    "waltz": DrumGrid(2, {KICK: "X.....", STICK: "..x.x.", CLOSED: "x.x.x."}, metre=3),
    "jazz waltz": DrumGrid(3, {RIDE: "X..x.xX..", PEDAL: "...x.....", KICK: "o........"}, metre=3),
    "waltz rock beat": DrumGrid(2, {KICK: "X.....", SNARE: "..X.X.", CLOSED: "xoxoxo"}, metre=3),
    "six-eight beat": DrumGrid(1, {KICK: "X....x", SNARE: "...X..", CLOSED: "xooxoo"}, metre=6),
    "six-eight ballad beat": DrumGrid(1, {KICK: "X.....", STICK: "...X..", RIDE: "xooxoo"}, metre=6),
}
ACCENT = {"X": 1.0, "x": 0.6, "o": 0.1}


@dataclass(frozen=True, slots=True)
class Event:
    """A stroke of a pattern: `position` and `length` in beats, `voice` what sounds, `accent` in 0-1."""

    position: float
    length: float
    voice: int
    accent: float


def drum_events(name: str, beats: int, *, last: bool, fill: bool) -> Iterator[Event]:
    """The strokes of one bar; a fill takes over the last beat of a section's last bar."""
    grid = DRUMS[name]
    stop = beats - 1 if last and fill and beats > 1 else beats
    for drum, line in grid.lines.items():
        for step in range(stop * grid.steps):
            mark = line[step % len(line)]
            if mark != ".":
                yield Event(step / grid.steps, 0.2, drum, ACCENT[mark])
    if stop < beats:
        for step, drum in enumerate((SNARE, SNARE, HIGH_TOM, LOW_TOM)):
            yield Event(stop + step / 4, 0.2, drum, 0.5 + step / 6)


def drums_for(metre: int, choices: tuple[str, ...], rng: random.Random) -> str:
    """A drum pattern that fits the metre: the genre's own where it does."""
    kind = metre if metre in (3, 6) else 4
    fitting = [name for name in choices if DRUMS[name].metre == kind]
    return rng.choice(
        fitting or [name for name, grid in DRUMS.items() if grid.metre == kind and kind != 4] or ["rock beat"]
    )


# --- bass ------------------------------------------------------------------------------------------------------------
# A bass figure is (position, length, degree, accent) a bar; degree 0 root, 1 third, 2 fifth, 3 octave, 4 approach.

Figure = tuple[tuple[float, float, int, float], ...]
BASS_FIGURES: dict[str, Figure] = {
    "root notes": ((0, 1, 0, 1.0), (1, 1, 0, 0.4), (2, 1, 0, 0.7), (3, 1, 0, 0.4)),
    "long root notes": ((0, 4, 0, 0.8),),
    "root and fifth": ((0, 1.8, 0, 1.0), (2, 1.8, 2, 0.7)),
    "octaves": tuple((i / 2, 0.45, 3 * (i % 2), 0.9 - 0.4 * (i % 2)) for i in range(8)),
    "driving eighths": tuple((i / 2, 0.45, 0, 0.9 - 0.3 * (i % 2)) for i in range(8)),
    "syncopated line": ((0, 1.3, 0, 1.0), (1.5, 0.8, 2, 0.6), (2.5, 0.5, 3, 0.8), (3.5, 0.5, 4, 0.5)),
    "walking line": ((0, 0.95, 0, 0.9), (1, 0.95, 1, 0.6), (2, 0.95, 2, 0.8), (3, 0.95, 4, 0.6)),
    "shuffle line": tuple((i / 2, 0.45, (0, 0, 2, 2, 5, 5, 2, 2)[i], 0.9 - 0.4 * (i % 2)) for i in range(8)),
    "bossa line": ((0, 1.4, 0, 1.0), (1.5, 0.5, 2, 0.5), (2, 1.4, 2, 0.8), (3.5, 0.5, 0, 0.5)),
    "tumbao line": ((0, 1.4, 0, 0.8), (1.5, 1.4, 2, 0.8), (3, 1, 3, 0.9)),
    "pulsing offbeats": tuple((i + 0.5, 0.45, 0, 0.8) for i in range(4)),
    "pedal tone": ((0, 4, 0, 0.8),),
}
THREE_FIGURES: dict[str, Figure] = {
    "root and fifth": ((0, 1.8, 0, 1.0), (2, 0.9, 2, 0.6)),
    "syncopated line": ((0, 1.3, 0, 1.0), (1.5, 0.5, 2, 0.6), (2, 0.9, 4, 0.6)),
    "walking line": ((0, 0.95, 0, 0.9), (1, 0.95, 1, 0.6), (2, 0.95, 4, 0.7)),
}


def bass_events(name: str, beats: int) -> Iterator[Event]:
    """The notes of one bar of a bass pattern; `voice` is a degree of the chord."""
    if name in ("long root notes", "pedal tone"):
        yield Event(0, beats, 0, 0.8)
        return
    figure = THREE_FIGURES.get(name, BASS_FIGURES[name]) if beats == 3 else BASS_FIGURES[name]
    span = 3 if beats == 3 and name in THREE_FIGURES else 4
    for offset in range(0, beats, span):
        for position, length, degree, accent in figure:
            if offset + position < beats:
                yield Event(offset + position, min(length, beats - offset - position), degree, accent)


# --- chords ----------------------------------------------------------------------------------------------------------
# A chord figure yields events whose voice is an index into the voicing, or ALL for the whole chord.

ALL = -1
UPPER = -2  # the chord without its lowest note


def _every(step: float, length: float, voice: int, accents: tuple[float, ...], start: float = 0.0):
    def figure(beats: int) -> Iterator[Event]:
        position, i = start, 0
        while position < beats:
            yield Event(position, length, voice, accents[i % len(accents)])
            position, i = position + step, i + 1

    return figure


def _cycle(step: float, order: tuple[int, ...], length: float):
    def figure(beats: int) -> Iterator[Event]:
        for i in range(round(beats / step)):
            yield Event(i * step, length, order[i % len(order)], 0.8 if i % len(order) == 0 else 0.4)

    return figure


def _at(*strokes: tuple[float, float, int, float]):
    def figure(beats: int) -> Iterator[Event]:
        for offset in range(0, beats, 4):
            for position, length, voice, accent in strokes:
                if offset + position < beats:
                    yield Event(offset + position, length, voice, accent)

    return figure


def _oom_pah(beats: int) -> Iterator[Event]:
    yield Event(0, 0.9, 0, 0.9)
    for beat in range(1, beats):
        yield Event(beat, 0.5, UPPER if beats == 3 or beat % 2 else 0, 0.5)


def _strummed(beats: int) -> Iterator[Event]:
    for beat in range(beats):
        yield Event(beat, 0.5, ALL, 0.9 if beat % 2 == 0 else 0.6)
        if beat % 2:
            yield Event(beat + 0.5, 0.4, ALL, 0.3)


CHORDS: dict[str, Callable[[int], Iterator[Event]]] = {
    "arpeggios": _cycle(0.5, (0, 1, 2, 3, 4, 3, 2, 1), 0.9),
    "sixteenth arpeggios": _cycle(0.25, (0, 1, 2, 3), 0.25),
    "slow arpeggios": _cycle(1.0, (0, 1, 2, 3), 1.8),
    "broken chords": _cycle(0.5, (0, 2, 1, 2), 0.6),
    "block chords": _every(2, 1.9, ALL, (0.8, 0.5)),
    "driving chords": _every(0.5, 0.45, ALL, (0.9, 0.4)),
    "offbeat chords": _every(1, 0.35, ALL, (0.7,), start=0.5),
    "strummed chords": _strummed,
    "syncopated chords": _at((0, 0.7, ALL, 0.8), (1.5, 0.7, ALL, 0.7), (3, 0.4, ALL, 0.4)),
    "bossa chords": _at(
        (0, 0.6, ALL, 0.8), (1, 0.4, ALL, 0.4), (1.5, 0.9, ALL, 0.7), (2.5, 0.4, ALL, 0.5), (3.5, 0.5, ALL, 0.7)
    ),
    "montuno": _at(*((p, 0.45, (0, 2, 1, 3)[i % 4], 0.7) for i, p in enumerate((0, 1, 1.5, 2.5, 3, 3.5)))),
    "oom-pah chords": _oom_pah,
    "tremolo chords": _every(0.25, 0.24, ALL, (0.5, 0.2)),
    "rolled chords": _every(4, 3.8, ALL, (0.6,)),
}  # fmt: skip


def chord_at(chords: tuple[Chord, ...], starts: list[float], time: float) -> Chord | None:
    """The chord that sounds at `time`; None in a gap. `starts` are the chords' starts."""
    index = bisect_right(starts, time + 0.02) - 1
    return chords[index] if index >= 0 and time < chords[index].end else None


def voicing(chord: Chord, centre: int, low: int, high: int, voices: int) -> list[int]:
    """The chord's tones close around `centre`, ascending, within [low, high], repeated by octaves up to `voices`."""
    bottom = max(low, centre - 6)
    pitches = [p for p in range(bottom, high + 1) if p % 12 in chord.pitch_classes]
    return pitches[:voices]
