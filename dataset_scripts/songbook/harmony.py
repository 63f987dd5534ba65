"""Names, keys and chords: the arithmetic on pitch classes (0 = C) that the song sources share."""

import re

QUALITIES: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "minmaj7": (0, 3, 7, 11),
    "dim7": (0, 3, 6, 9),
    "hdim7": (0, 3, 6, 10),
    "7sus4": (0, 5, 7, 10),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
}
"""Semitones above the root for every chord quality in use, in Harte's names."""

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def pitch_class(name: str) -> int:
    """Pitch class 0-11 of a note name such as `C`, `F#` or `Bb`.

    Raises:
        ValueError: `name` is no note name.
    """
    letter, accidentals = name[:1], name[1:]
    if letter not in _NATURALS or accidentals.strip("#b"):
        raise ValueError(f"{name!r} is no note name such as C, F# or Bb")
    return (_NATURALS[letter] + accidentals.count("#") - accidentals.count("b")) % 12


MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10)

_NUMERALS = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_NUMERAL = re.compile(r"^([b#]?)([ivIV]+)(.*)$")


def roman_chord(numeral: str, tonic: int) -> tuple[int, str]:
    """Root (0-11) and quality of a Roman numeral over `tonic`.

    Degrees are those of the major scale, so minor keys write `bVI`. Capitals are major and, with `7`, dominant; small
    letters are minor: `ii7` is a min7. Any other suffix is the quality itself: `Imaj7`, `viihdim7`, `Vsus4`.

    Raises:
        ValueError: `numeral` is no Roman numeral with a known quality.
    """
    match = _NUMERAL.match(numeral)
    if not match or match[2].lower() not in _NUMERALS:
        raise ValueError(f"{numeral!r} is no Roman numeral")
    accidental, degree, suffix = match.groups()
    root = tonic + _NUMERALS[degree.lower()] + {"": 0, "b": -1, "#": 1}[accidental]
    minor = degree.islower()
    quality = {"": "min" if minor else "maj", "7": "min7" if minor else "7"}.get(suffix, suffix)
    if quality not in QUALITIES:
        raise ValueError(f"{numeral!r} names the unknown quality {quality!r}")
    return root % 12, quality


def pitch_classes(root: int, quality: str) -> tuple[int, ...]:
    """The pitch classes of a chord, ascending."""
    return tuple(sorted((root + step) % 12 for step in QUALITIES[quality]))


def scale_over(tonic: int, mode: str, root: int, chord: tuple[int, ...]) -> frozenset[int]:
    """The key's scale bent to a chord: each chord tone outside the key takes the place of its neighbour in it.

    A major third is a raised degree (G# for G under E major in A minor), every other tone a lowered one (Ab for A
    under F minor in C major).
    """
    scale = {(tonic + step) % 12 for step in (MAJOR_SCALE if mode == "major" else MINOR_SCALE)}
    for tone in chord:
        if tone not in scale:
            replaced = (tone - 1) % 12 if tone == (root + 4) % 12 else (tone + 1) % 12
            scale = (scale - ({replaced} - set(chord))) | {tone}
    return frozenset(scale)
