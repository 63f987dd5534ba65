"""A songwriter: an unlimited supply of songs with known form, harmony and melody, each from a number (CC0).

A song is decided from the outside in: style, key and metre; a form whose sections last what sections last; then for
each kind of section a progression with cadences and a melody over it, higher in the chorus. What returns is the same
music, slightly varied.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .composition import Chord, Composition, Note, Section
from .harmony import pitch_classes, roman_chord
from .melody import BeatChord, BeatNote, Voice, vary, write_counter_melody, write_melody
from .styles import FUNCTIONS, STYLES, Harmony, Style

LICENCE = "CC0-1.0"
_SHORTEST_SONG, _LONGEST_SONG = 122.0, 298.0  # seconds
_SWAYING = (116, 172)  # eighths a minute, which are the beats of 6/8
_SECTION_SECONDS = {"v": (12.0, 46.0), "c": (12.0, 46.0)}  # a verse of four quick bars would be over before it is heard
_OTHER_SECONDS = (6.5, 42.0)
_BARS = {
    "i": (4, 8),
    "v": (4, 8, 16, 32),
    "p": (4, 8),
    "c": (4, 8, 16, 32),
    "b": (4, 8, 16),
    "n": (4, 8, 16),
    "o": (4, 8),
}

# Melodic register against the verse (semitones) and loudness, by section.
_LIFT = {"v": 0, "p": 2, "c": 5, "b": 3, "n": 3, "i": 0, "o": 0}
_VELOCITY = {"v": 80, "p": 86, "c": 98, "b": 90, "n": 88, "i": 74, "o": 72}


@dataclass(frozen=True, slots=True)
class _Music:
    """What one kind of section sounds like, in beats from its start."""

    bars: int
    chords: tuple[BeatChord, ...]
    melody: tuple[BeatNote, ...]
    counter: tuple[BeatNote, ...]


def split_of(seed: int) -> Literal["train", "validation", "test"]:
    """The split of a seed: of 100 hash values, 0-4 are validation, 5-9 test, the others train."""
    value = int.from_bytes(hashlib.sha256(f"songwriter-{seed}".encode()).digest()[:8], "big") % 100
    return "validation" if value < 5 else "test" if value < 10 else "train"


def write_song(seed: int) -> Composition:
    """The song of this number: 2 to 5 minutes, always the same for the same `seed`.

    Raises:
        ValueError: `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed {seed} is negative: songs are numbered from 0")
    rng = random.Random(f"songwriter/{seed}")
    style = rng.choice(STYLES)
    metre = rng.choice(style.metres)
    mode: Literal["major", "minor"] = "minor" if rng.random() < style.minor else "major"
    tonic = rng.randrange(12)
    tempo = round(rng.uniform(*(style.tempo if metre != 6 else _SWAYING)), 1)
    form, bars = _choose_form(style, metre, tempo, rng)
    music = _write_sections(form, bars, metre, tonic, mode, style, rng)
    return _assemble(seed, form, music, style, metre, tempo, tonic, mode, rng)


def _choose_form(style: Style, metre: int, tempo: float, rng: random.Random) -> tuple[str, dict[str, int]]:
    """A form and the bars of each of its sections, near a wished length of about 200 s."""
    bar_seconds = metre * 60.0 / tempo
    wished = min(max(rng.gauss(200.0, 40.0), 130.0), 290.0)
    candidates = []
    for form in style.forms:
        for _ in range(24):
            bars = {
                letter: rng.choice(_fitting(letter, bar_seconds, style.phrase_bars))
                for letter in FUNCTIONS
                if letter in form
            }
            seconds = sum(bars[letter] for letter in form) * bar_seconds
            if _SHORTEST_SONG <= seconds <= _LONGEST_SONG:
                candidates.append((abs(seconds - wished), form, bars))
    if not candidates:
        raise RuntimeError(f"no form of {style.genre} at {tempo} beats per minute in {metre} lasts 2 to 5 minutes")
    candidates.sort(key=lambda candidate: candidate[0])
    _, form, bars = rng.choice(candidates[:6])
    return form, bars


def _fitting(letter: str, bar_seconds: float, phrase_bars: int) -> list[int]:
    """Bar counts that make a section neither a fragment nor a movement."""
    shortest, longest = _SECTION_SECONDS.get(letter, _OTHER_SECONDS)
    sizes = (phrase_bars, 2 * phrase_bars) if phrase_bars > 4 and letter in "vcn" else _BARS[letter]
    return [size for size in sizes if shortest <= size * bar_seconds <= longest] or [min(sizes)]


def _write_sections(
    form: str, bars: dict[str, int], metre: int, tonic: int, mode: str, style: Style, rng: random.Random
) -> dict[str, _Music]:
    """The music of every kind of section in the form."""
    harmony = style.harmony[mode == "minor"]
    progressions = {
        "v": rng.choice(harmony.verse),
        "c": rng.choice(harmony.chorus),
        "b": rng.choice(harmony.bridge),
        "p": rng.choice(harmony.bridge if rng.random() < 0.5 else harmony.chorus),
    }
    progressions["i"] = progressions["v"] if rng.random() < 0.6 else progressions["c"]
    progressions["o"] = progressions["c"] if "c" in form else progressions["v"]
    progressions["n"] = progressions["v"] if rng.random() < 0.6 else rng.choice(harmony.chorus)
    has_counter, counter_sections = rng.random() < style.counter, {"c", *rng.sample("vbno", 2)}
    hook, solo = rng.random() < 0.4, rng.random() < 0.65
    middle = rng.randint(66, 71)
    music = {}
    for letter in dict.fromkeys(form):
        chords = _chords(progressions[letter], letter, bars[letter], metre, tonic, harmony, style.looped)
        busy = style.busy[letter in "cn"]
        voice = Voice(middle + _LIFT[letter], 10, busy, style.syncopated, _VELOCITY[letter])
        line: list[BeatNote] = []
        if letter in "vpcb" or (letter == "n" and solo) or (letter in "io" and hook):
            quiet = Voice(voice.centre, voice.reach, min(busy, 1), voice.syncopated, voice.velocity)
            line = write_melody(chords, bars[letter], metre, tonic, mode, quiet if letter in "io" else voice, rng)
        second: list[BeatNote] = []
        if has_counter and letter in counter_sections:
            low = Voice(middle - 7 + _LIFT[letter] // 2, 8, 0, 0.0, _VELOCITY[letter] - 12)
            second = write_counter_melody(chords, bars[letter], metre, tonic, mode, low, rng)
        music[letter] = _Music(bars[letter], chords, tuple(line), tuple(second))
    return music


def _chords(
    progression: str, letter: str, bars: int, metre: int, tonic: int, harmony: Harmony, looped: bool
) -> tuple[BeatChord, ...]:
    """A section's chords: the progression again and again, with the cadences its place in the form asks for.

    A loop turns aside only at its end. Otherwise every second phrase of four bars answers with a full cadence and the
    ones between ask with a half cadence. The outro comes home and stays.
    """
    loop = progression.split()
    line = [loop[i % len(loop)] for i in range(bars)]
    if not looped:
        for end in range(4, bars + 1, 4):
            if end % 8 == 4 and end != bars:
                line[end - 1] = harmony.half
            else:
                line[end - 2 : end] = harmony.full.split()
    if (letter in "vpbi" and looped) or letter in "pb":
        line[-1] = harmony.half
    if letter == "o":
        line[-3:] = [*harmony.full.split(), harmony.home]
    chords: list[BeatChord] = []
    for bar, text in enumerate(line):
        numerals = text.split("-")
        cuts = (
            [bar * metre, bar * metre + (metre + 1) // 2, (bar + 1) * metre]
            if len(numerals) == 2
            else [bar * metre, (bar + 1) * metre]
        )
        for numeral, start, end in zip(numerals, cuts, cuts[1:], strict=False):
            root, quality = roman_chord(numeral, tonic)
            if chords and (chords[-1].root, chords[-1].quality) == (root, quality):
                start = int(chords.pop().start)
            chords.append(BeatChord(start, end, root, quality, pitch_classes(root, quality)))
    return tuple(chords)


def _assemble(
    seed: int,
    form: str,
    music: dict[str, _Music],
    style: Style,
    metre: int,
    tempo: float,
    tonic: int,
    mode: Literal["major", "minor"],
    rng: random.Random,
) -> Composition:
    """Lay the sections end to end and turn beats into seconds."""
    beat = 60.0 / tempo

    def seconds(position: float, shift: float) -> float:
        whole, part = divmod(position, 1.0)
        warped = part * 2 * shift if part <= 0.5 else shift + (part - 0.5) * 2 * (1 - shift)
        return (whole + warped) * beat

    # A last chorus a tone or semitone up, where one chorus follows another.
    lift_from = form.rindex("c") if "cc" in form and rng.random() < 0.3 else len(form)
    lift = rng.choice((1, 2))
    letters = _phrase_letters(form)
    chords: list[Chord] = []
    sections: list[Section] = []
    melody: list[Note] = []
    counter: list[Note] = []
    start, seen = 0, set()
    for index, letter in enumerate(form):
        part, up = music[letter], lift if index >= lift_from else 0
        line = vary(part.melody, rng) if letter in seen else part.melody
        seen.add(letter)
        sections.append(Section(start * beat, (start + part.bars * metre) * beat, FUNCTIONS[letter], letters[letter]))
        chords += [_timed(chord, start, beat, up) for chord in part.chords]
        for notes, timed in ((line, melody), (part.counter, counter)):
            for note in notes:
                begin = seconds(start + note.start, style.swing)
                end = seconds(start + note.start + note.duration, style.swing)
                timed.append(Note(begin, (end - begin) * 0.96, note.pitch + up, note.velocity))
        start += part.bars * metre
    return Composition(
        id=f"songwriter-{seed:06d}",
        source="songwriter",
        licence=LICENCE,
        split=split_of(seed),
        duration=start * beat,
        tempo_bpm=tempo,
        beats_per_bar=metre,
        tonic=tonic,
        mode=mode,
        beats=tuple(i * beat for i in range(start)),
        downbeats=tuple(i * beat for i in range(0, start, metre)),
        chords=tuple(chords),
        sections=tuple(sections),
        melody=tuple(melody),
        counter_melody=tuple(counter),
        genre=style.genre,
    )


def _timed(chord: BeatChord, offset: int, beat: float, up: int) -> Chord:
    """A chord in seconds, `up` semitones higher."""
    root = (chord.root + up) % 12
    return Chord(
        (offset + chord.start) * beat,
        (offset + chord.end) * beat,
        root,
        chord.quality,
        pitch_classes(root, chord.quality),
    )


def _phrase_letters(form: Sequence[str]) -> dict[str, str]:
    """Names in the manner of annotators: capitals for what is sung, in order of appearance, small letters else."""
    sung = [letter for letter in dict.fromkeys(form) if letter in "vpcb"]
    return {**dict(zip(sung, "ABCD", strict=False)), "i": "i", "n": "x", "o": "o"}
