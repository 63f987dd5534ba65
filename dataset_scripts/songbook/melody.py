"""Melodies: rhythms that breathe, and the smoothest line through the chords that keeps the motif's shape.

Positions and durations are in beats; a phrase is written in units of two bars. Units with the same letter share rhythm
and contour, so a returning motif bends to the new chords as a singer would bend it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .harmony import scale_over

# Bars as durations in beats; a negative number rests. Keyed by beats per bar, then by how busy the bar is.
_BARS: dict[int, tuple[tuple[tuple[float, ...], ...], ...]] = {
    4: (
        ((2, 2), (3, 1), (1, 1, 2), (4,), (1.5, 0.5, 2), (-1, 1, 2), (2, 1, 1)),
        ((1, 1, 2), (1.5, 0.5, 1, 1), (1, 0.5, 0.5, 1, 1), (1, 1, 1, 1), (1.5, 0.5, 2), (-1, 1, 1, 1),
         (1, 1, 1.5, 0.5)),
        ((0.5, 0.5, 1, 1, 1), (0.5, 0.5, 0.5, 0.5, 1, 1), (1, 0.5, 0.5, 0.5, 0.5, 1), (-0.5, 0.5, 0.5, 0.5, 1, 1),
         (1.5, 0.5, 0.5, 0.5, 1), (0.5, 0.5, 1, 0.5, 0.5, 1)),
    ),
    3: (
        ((3,), (2, 1), (1, 2)),
        ((2, 1), (1, 1, 1), (1.5, 0.5, 1), (-1, 1, 1), (1, 2)),
        ((1, 0.5, 0.5, 1), (0.5, 0.5, 1, 1), (1, 1, 0.5, 0.5), (1.5, 0.5, 0.5, 0.5)),
    ),
    6: (
        ((6,), (3, 3), (4, 2), (3, 2, 1)),
        ((3, 2, 1), (2, 1, 3), (2, 1, 2, 1), (-1, 2, 3), (3, 1, 1, 1)),
        ((2, 1, 1, 1, 1), (1, 1, 1, 3), (1, 1, 1, 2, 1), (-1, 1, 1, 2, 1)),
    ),
}  # fmt: skip
_SYNCOPATED: tuple[tuple[float, ...], ...] = (
    (1.5, 1.5, 1), (0.5, 1, 0.5, 1, 1), (1, 0.5, 1, 0.5, 1), (0.5, 1, 1, 1, 0.5), (-0.5, 1, 0.5, 1, 1), (1.5, 1, 1.5),
)  # fmt: skip
_ENDINGS: dict[int, tuple[tuple[float, ...], ...]] = {
    4: ((2, -2), (3, -1), (1, 2, -1), (2, -1, 0.5, 0.5), (0.5, 0.5, 2, -1), (1, 1, 1.5, -0.5), (2.5, -0.5, 1)),
    3: ((2, -1), (3,), (1, 1, -1), (1.5, -0.5, 1), (1, 2)),
    6: ((3, -3), (5, -1), (3, -2, 1), (2, 1, 2, -1)),
}
_CLOSINGS: dict[int, tuple[tuple[float, ...], ...]] = {
    4: ((3, -1), (1, 2, -1), (0.5, 0.5, 2, -1)),
    3: ((3,), (2, -1)),
    6: ((5, -1), (3, -3)),
}
_PLANS = ("aaab", "abac", "aabc", "abab", "aaba", "abcb")
# What an interval of 0, 1, ... semitones costs: the rarer in sung melodies the dearer. The last is for all beyond 12.
_INTERVAL_PRICE = np.array([0.75, 0.15, 0.0, 0.45, 0.7, 0.7, 3.5, 0.9, 2.0, 1.8, 3.5, 6.0, 2.5, 9.0])


@dataclass(frozen=True, slots=True)
class BeatNote:
    """A melody note whose `start` and `duration` are in beats."""

    start: float
    duration: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class BeatChord:
    """A chord with its span in beats."""

    start: float
    end: float
    root: int
    quality: str
    pitch_classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Voice:
    """Where and how a line moves: middle pitch, reach in semitones, how busy, how syncopated, how loud."""

    centre: int
    reach: int
    busy: int
    syncopated: float
    velocity: int


@dataclass(frozen=True, slots=True)
class _Unit:
    """Two bars before pitches: onsets and durations in beats, and the contour in semitones around the centre."""

    rhythm: tuple[tuple[float, float], ...]
    contour: tuple[float, ...]


def write_melody(
    chords: Sequence[BeatChord], bars: int, beats_per_bar: int, tonic: int, mode: str, voice: Voice, rng: random.Random
) -> list[BeatNote]:
    """A melody over `bars` bars: motifs of two bars after a plan such as `aaba`, every fourth unit coming to rest."""
    plan = rng.choice(_PLANS)
    units = {letter: _unit(beats_per_bar, voice, rng) for letter in "abc"}
    rows: list[tuple[float, float, float]] = []  # start, duration, wished pitch
    unit_count = max(1, bars // 2)
    for i in range(unit_count):
        unit = units[plan[i % 4]]
        closes = i % 4 == 3 or i == unit_count - 1
        if closes:
            unit = _closed(unit, beats_per_bar, rng)
        lift = 2.0 * (i // 4 % 2) * rng.random()  # the second half of a long section may climb
        rows += [
            (2 * i * beats_per_bar + start, duration, voice.centre + height + lift)
            for (start, duration), height in zip(unit.rhythm, unit.contour, strict=True)
        ]
    pitches = _smooth_line(rows, chords, beats_per_bar, tonic, mode, voice, rng)
    total = bars * beats_per_bar
    notes = []
    for (start, duration, _), pitch in zip(rows, pitches, strict=True):
        accent = 6 if start % beats_per_bar == 0 else 0 if start % 1 == 0 else -6
        swell = 6.0 * np.sin(np.pi * (start % (4 * beats_per_bar)) / (4 * beats_per_bar))
        velocity = int(np.clip(voice.velocity + accent + swell + rng.uniform(-3, 3), 20, 120))
        notes.append(BeatNote(start, min(duration, total - start), pitch, velocity))
    return notes


def write_counter_melody(
    chords: Sequence[BeatChord], bars: int, beats_per_bar: int, tonic: int, mode: str, voice: Voice, rng: random.Random
) -> list[BeatNote]:
    """A slow second voice of chord tones, one or two notes a bar, that moves while the melody rests."""
    half = beats_per_bar / 2 if beats_per_bar != 3 else 3.0
    shapes = (
        [(half, half), (float(beats_per_bar),), (-half, half)]
        if half < beats_per_bar
        else [(3.0,), (2.0, 1.0), (-1.0, 2.0)]
    )
    figure = [rng.choice(shapes) for _ in range(2)]
    rows = []
    for bar in range(bars):
        wave = 3.0 * np.sin(2 * np.pi * (bar / 8 + 0.25))
        rows += [
            (bar * beats_per_bar + start, length, voice.centre + wave) for start, length in _onsets(figure[bar % 2])
        ]
    pitches = _smooth_line(rows, chords, beats_per_bar, tonic, mode, voice, rng, always_chord_tones=True)
    return [
        BeatNote(start, length, pitch, voice.velocity) for (start, length, _), pitch in zip(rows, pitches, strict=True)
    ]


def vary(notes: Sequence[BeatNote], rng: random.Random, share: float = 0.12) -> list[BeatNote]:
    """The same melody as sung the second time: a few long notes struck twice, a few short ones left out."""
    varied: list[BeatNote] = []
    for note in notes:
        chance = rng.random()
        if chance < share and note.duration >= 1.5:
            first = note.duration - 0.5
            varied += [replace(note, duration=first), replace(note, start=note.start + first, duration=0.5)]
        elif chance < share / 2 and note.duration <= 0.5 and note.start % 1 and varied:
            varied[-1] = replace(varied[-1], duration=note.start + note.duration - varied[-1].start)
        else:
            varied.append(note)
    return varied


def _onsets(bar: Sequence[float]) -> list[tuple[float, float]]:
    """Durations (negative: rests) as (onset, duration)."""
    placed, at = [], 0.0
    for length in bar:
        if length > 0:
            placed.append((at, float(length)))
        at += abs(length)
    return placed


def _two_bars(first: Sequence[float], second: Sequence[float], beats_per_bar: int) -> tuple[tuple[float, float], ...]:
    return tuple(_onsets(first) + [(start + beats_per_bar, length) for start, length in _onsets(second)])


def _unit(beats_per_bar: int, voice: Voice, rng: random.Random) -> _Unit:
    """A fresh motif: a rhythm whose second bar leaves room to breathe, under an arch, a fall, a rise or a wave."""

    def bar() -> tuple[float, ...]:
        if beats_per_bar == 4 and voice.busy and rng.random() < voice.syncopated:
            return rng.choice(_SYNCOPATED)
        return rng.choice(_BARS[beats_per_bar][voice.busy])

    second = rng.choice(_ENDINGS[beats_per_bar]) if rng.random() < 0.6 else bar()
    rhythm = _two_bars(bar(), second, beats_per_bar)
    size, turn, sign = rng.uniform(3.0, 5.5), rng.uniform(0.25, 0.75), rng.choice((1.0, 1.0, -1.0))
    x = np.array([start for start, _ in rhythm]) / (2 * beats_per_bar)
    shapes = {
        "arch": np.where(x < turn, x / turn, (1 - x) / (1 - turn)) * 2 - 1,
        "slope": 1 - 2 * x,
        "wave": np.sin(2 * np.pi * (x + turn)),
    }
    contour = sign * size * shapes[rng.choice(("arch", "arch", "slope", "wave"))]
    if rng.random() < 0.35:  # near speech: the line stays on a pitch, then moves on
        contour = np.round(contour / 3.5) * 3.5
    return _Unit(rhythm, tuple(contour.tolist()))


def _closed(unit: _Unit, beats_per_bar: int, rng: random.Random) -> _Unit:
    """The motif with its second bar come to rest, low."""
    first = [(row, height) for row, height in zip(unit.rhythm, unit.contour, strict=True) if row[0] < beats_per_bar]
    ending = [(start + beats_per_bar, length) for start, length in _onsets(rng.choice(_CLOSINGS[beats_per_bar]))]
    falling = np.linspace(0.0, -2.0, len(ending))
    return _Unit(tuple([row for row, _ in first] + ending), tuple([height for _, height in first] + falling.tolist()))


def _smooth_line(
    rows: Sequence[tuple[float, float, float]],
    chords: Sequence[BeatChord],
    beats_per_bar: int,
    tonic: int,
    mode: str,
    voice: Voice,
    rng: random.Random,
    always_chord_tones: bool = False,
) -> list[int]:
    """Pitches for (start, duration, wished pitch) rows: the cheapest path (Viterbi) through all pitches in reach.

    A pitch costs its distance from the wish, more where it leaves the scale, and on strong or long notes where it
    leaves the chord. A step between neighbours costs by its rarity in song, and by its departure from the wished one.
    """
    if not rows:
        return []
    pitches = np.arange(voice.centre - voice.reach, voice.centre + voice.reach + 1)
    interval = np.abs(pitches[:, None] - pitches[None, :])  # (P, P), from x to
    singing = _INTERVAL_PRICE[np.minimum(interval, len(_INTERVAL_PRICE) - 1)]
    movement = pitches[None, :] - pitches[:, None]
    total, steps = np.zeros(len(pitches)), []
    for i, (start, duration, wish) in enumerate(rows):
        chord = _sounding(chords, start, duration)
        scale = scale_over(tonic, mode, chord.root, chord.pitch_classes)
        in_chord = np.isin(pitches % 12, chord.pitch_classes)
        strong = always_chord_tones or _is_strong(start, beats_per_bar) or duration >= 1.5
        cost = 0.22 * np.abs(pitches - wish) + 20.0 * ~np.isin(pitches % 12, list(scale))
        biting = pitches % 12 == (chord.root + 11) % 12  # a major seventh: a colour to pass through, no place to stand
        cost = (
            cost
            + (8.0 if strong else 0.6) * ~in_chord
            + 1.2 * biting
            + 0.15 * np.array([rng.random() for _ in pitches])
        )
        if i == len(rows) - 1:
            cost = cost + 1.5 * (pitches % 12 != chord.root) + 3.0 * ~in_chord
        if i == 0:
            total = cost
            continue
        previous = rows[i - 1]
        wished = np.clip(wish - previous[2], -5, 5)
        edges = total[:, None] + singing + 0.25 * np.abs(movement - wished)
        steps.append(edges.argmin(0))
        total = edges.min(0) + cost
    path = [int(total.argmin())]
    for back in reversed(steps):
        path.append(int(back[path[-1]]))
    return [int(pitches[state]) for state in reversed(path)]


def _is_strong(start: float, beats_per_bar: int) -> bool:
    """Whether a note begins on a strong beat: the first, and the middle of bars of four and six."""
    position = start % beats_per_bar
    return position == 0 or (beats_per_bar in (4, 6) and position == beats_per_bar / 2)


def _sounding(chords: Sequence[BeatChord], start: float, duration: float) -> BeatChord:
    """The chord under most of a note: what an anticipated note already belongs to."""
    return max(chords, key=lambda chord: min(chord.end, start + duration) - max(chord.start, start))
