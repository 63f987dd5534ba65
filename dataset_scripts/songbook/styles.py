"""What the songwriter knows of genres: tempi, metres, forms, chord progressions and how a melody moves in each.

Progressions are bars of Roman numerals (see `harmony.roman_chord`), four of them, or the twelve of the blues; a hyphen
joins two chords in one bar.
"""

from dataclasses import dataclass

FUNCTIONS = {
    "i": "intro",
    "v": "verse",
    "p": "pre-chorus",
    "c": "chorus",
    "b": "bridge",
    "n": "instrumental",
    "o": "outro",
}
"""The letters in which forms are written."""

SONG_FORMS = (
    "ivcvcbco", "ivpcvpcbcco", "vcvcbcco", "ivvcvcnco", "ivpcnvpcbco", "ivcnvcbcco", "icvcvbcco", "ivpcvpcnco",
)  # fmt: skip
STROPHIC_FORMS = ("ivvnvvo", "ivcvcvco", "vvcnvco", "ivvbvo", "ivcvnvco")
AABA_FORMS = ("ivvbvnbvo", "vvbvnvbvo", "ivvbvnvo", "ivvbvbvo")
THROUGH_FORMS = ("ivbcno", "ivncbvo", "ivbvcno", "invcbco", "ivcbncvo")


@dataclass(frozen=True, slots=True)
class Harmony:
    """One key mode's progressions for verse-like, chorus-like and contrasting sections, and its cadences."""

    verse: tuple[str, ...]
    chorus: tuple[str, ...]
    bridge: tuple[str, ...]
    half: str  # the last bar of a phrase that asks
    full: str  # the last two bars of a phrase that answers
    home: str  # the chord of the key


_POP = (
    Harmony(
        ("I V vi IV", "I vi IV V", "vi IV I V", "I IV vi V", "I iii IV V", "I V-V ii IV", "I I IV V"),
        ("IV I V vi", "I V vi IV", "IV V iii vi", "vi IV I V", "I IV V IV", "IV V I vi"),
        ("vi iii IV I", "ii vi IV V", "IV iv I V", "vi V IV V", "bVI bVII I I"),
        "V", "V I", "I",
    ),
    Harmony(
        ("i bVI bIII bVII", "i iv bVI V", "i bVII bVI bVII", "i bIII bVII iv", "i v bVI iv"),
        ("bVI bVII i i", "i bVI bIII bVII", "bVI bIII bVII i", "iv bVI i bVII", "bIII bVII i bVI"),
        ("iv i bVI V", "bVI bIII iv V", "bIII bVII bVI V"),
        "V", "V i", "i",
    ),
)  # fmt: skip
_BALLAD = (
    Harmony(
        ("I V vi IV", "I Imaj7 IVmaj7 V", "I iii7 vi7 IV", "I V-I IV V", "Imaj7 vi7 ii7 V7", "I iii IV iv"),
        ("IV V iii7 vi7", "I V vi IV", "IVmaj7 V vi7 I", "vi IV I V", "IVmaj7 iii7 ii7 V7"),
        ("vi7 iii7 IVmaj7 I", "ii7 iii7 IVmaj7 V7sus4", "bVI bVII I V", "iv bVII I VI7"),
        "V7sus4-V7", "V7 I", "I",
    ),
    Harmony(
        ("i bVII bVI V7", "i v bVI bIII", "i iv7 bVII bIIImaj7", "i bVImaj7 iv7 V7"),
        ("bVImaj7 bVII i i", "iv7 bVII bIIImaj7 bVImaj7", "i bVI bIII bVII", "bVI bVII v i"),
        ("iv7 i iihdim7 V7", "bVImaj7 bIII iv7 V7", "bIII bVII iv V"),
        "V7sus4-V7", "V7 i", "i",
    ),
)  # fmt: skip
_ROCK = (
    Harmony(
        ("I bVII IV I", "I IV I V", "I V IV IV", "I bVII bVI bVII", "I I IV V"),
        ("I V IV V", "IV I V V", "I bIII IV I", "vi IV I V", "I bVII IV IV"),
        ("bVI bVII I I", "ii IV vi V", "vi V IV V", "bIII bVII IV V"),
        "V", "IV I", "I",
    ),
    Harmony(
        ("i i bVII bVI", "i bVI bVII i", "i bIII iv i", "i i iv bVII", "i bVII iv i"),
        ("bVI bVII i i", "i bIII bVII iv", "bVI bIII bVII i", "i bVII bVI bVII"),
        ("iv bVI bVII V", "bVI bVI bVII bVII", "bIII bVII i bVI"),
        "bVII", "bVII i", "i",
    ),
)  # fmt: skip
_FOLK = (
    Harmony(
        ("I IV I V", "I I IV V", "I V I IV", "I vi IV V", "I IV-V I V"),
        ("IV I V I", "IV I ii V", "I IV V I", "I V IV I"),
        ("vi iii IV V", "IV I IV V", "ii V I vi", "vi IV vi V"),
        "V", "V7 I", "I",
    ),
    Harmony(
        ("i bVII i v", "i i bVII i", "i iv i V", "i bIII bVII i"),
        ("bIII bVII i v", "bVI bVII i i", "iv i bVII i", "bIII bVII iv i"),
        ("bVI bIII iv V", "bIII bVII bIII V", "iv i iv V"),
        "V", "V7 i", "i",
    ),
)  # fmt: skip
_JAZZ = (
    Harmony(
        ("Imaj7 vi7 ii7 V7", "ii7 V7 Imaj7 vi7", "Imaj7 VI7 ii7 V7", "Imaj7 ii7 iii7 ii7-V7", "Imaj7 bIIIdim7 ii7 V7"),
        ("ii7 V7 Imaj7 Imaj7", "IVmaj7 iv7-bVII7 iii7 VI7", "IVmaj7 iii7 ii7 V7", "iii7 VI7 ii7 V7"),
        ("III7 III7 VI7 VI7", "v7 I7 IVmaj7 IVmaj7", "vi7 II7 ii7 V7", "iv7 bVII7 bIIImaj7 ii7-V7"),
        "ii7-V7", "ii7-V7 Imaj6", "Imaj6",
    ),
    Harmony(
        ("i7 iv7 iihdim7 V7", "iv7 bVII7 bIIImaj7 bVImaj7", "imin6 imin6 iihdim7 V7", "i7 bVI7 iihdim7 V7"),
        ("iihdim7 V7 i7 i7", "iv7 bVII7 bIIImaj7 bVImaj7", "bVImaj7 V7 i7 i7"),
        ("iv7 iv7 bIIImaj7 bIIImaj7", "v7 I7 iv7 iv7", "bIIImaj7 bVImaj7 iihdim7 V7"),
        "iihdim7-V7", "iihdim7-V7 imin6", "imin6",
    ),
)  # fmt: skip
_LATIN = (
    Harmony(
        ("Imaj7 Imaj7 II7 II7", "Imaj7 bIIIdim7 ii7 V7", "Imaj7 vi7 ii7 V7", "Imaj7 IVmaj7 iii7 ii7-V7"),
        ("ii7 V7 Imaj7 VI7", "IVmaj7 iv7 iii7 VI7", "ii7 bII7 Imaj7 Imaj7"),
        ("iv7 bVII7 bIIImaj7 V7", "bVImaj7 bVImaj7 ii7 V7", "iii7 VI7 ii7 V7"),
        "ii7-V7", "ii7-V7 Imaj7", "Imaj7",
    ),
    Harmony(
        ("i7 i7 iv7 V7", "i7 bVII7 bVImaj7 V7", "imin6 imin6 iihdim7 V7", "i7 iv7 bVII7 bIIImaj7"),
        ("iv7 bVII7 bIIImaj7 V7", "iv7 V7 i7 i7", "bVImaj7 V7 i7 i7"),
        ("bVImaj7 bVImaj7 iihdim7 V7", "bIIImaj7 bVImaj7 iv7 V7", "v7 I7 iv7 V7"),
        "iihdim7-V7", "iihdim7-V7 imin6", "imin6",
    ),
)  # fmt: skip
_CLASSICAL = (
    Harmony(
        ("I V I IV-V", "I IV V I", "I vi ii V", "I-V vi-iii IV-I V", "I V7 vi IV", "I ii V7 I"),
        ("IV I ii V7", "I V vi iii", "I IV ii V7", "IV V7 I vi"),
        ("vi III7 vi ii", "iv I bVI V7", "ii VI7 ii V7", "vi ii II7 V7"),
        "V7", "ii-V7 I", "I",
    ),
    Harmony(
        ("i iv V7 i", "i V7 i iv-V7", "i bVI iv V7", "i-bVII bVI-bIII iv-i V7", "i v bVI iv"),
        ("bVI bIII iv V7", "iv bVII bIII bVI", "i iv bVII bIII", "bIII V7 i iv"),
        ("bIII bVII bIII V7", "iv i iidim V7", "bVI bIII iidim V7"),
        "V7", "iidim-V7 i", "i",
    ),
)  # fmt: skip
_MODAL = (
    Harmony(
        ("Imaj7 Imaj7 IVmaj7 IVmaj7", "I Vsus4 IV Isus2", "Imaj7 ii7 IVmaj7 Imaj7", "Isus2 bVII IV I", "I bVII IV I"),
        ("IVmaj7 vi7 I V", "vi IV I Vsus4", "IVmaj7 V vi7 vi7", "I bIII IV I"),
        ("bVImaj7 bVImaj7 bIIImaj7 bVII", "vi7 iii7 IVmaj7 IVmaj7", "bVI I bVI I"),
        "Vsus4", "IV I", "Isus2",
    ),
    Harmony(
        ("i bVI i bVI", "i bVII bVI bVI", "i i bVImaj7 v7", "i bIII iv i", "i iv i bVI"),
        ("bVI bIII bVII i", "bVImaj7 bVII i7 i7", "i bVI bIII bVII", "iv bVI bIII V"),
        ("iv7 iv7 bVImaj7 bVImaj7", "bIII bVII iv bVI", "bVI iv i V"),
        "Vsus4", "bVII i", "i",
    ),
)  # fmt: skip
_TWELVE_BARS = (
    Harmony(
        ("I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I7 I7 I7 I7 IV7 IV7 I7 VI7 ii7 V7 I7 V7"),
        ("I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 I7", "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 V7 I7 I7"),
        ("IV7 IV7 I7 VI7", "II7 II7 V7 V7"),
        "V7", "V7-IV7 I7", "I7",
    ),
    Harmony(
        ("i7 i7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 V7", "i7 iv7 i7 i7 iv7 iv7 i7 i7 iihdim7 V7 i7 V7"),
        ("i7 iv7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 i7", "i7 i7 i7 i7 iv7 iv7 i7 i7 v7 iv7 i7 i7"),
        ("bVI7 bVI7 i7 i7", "iv7 iv7 bVI7 V7"),
        "V7", "bVI7-V7 i7", "i7",
    ),
)  # fmt: skip
_VAMPS = (
    Harmony(
        ("I7 IV7 I7 I7", "I7 I7 I7 I7", "I7 IV7 I7 V7"),
        ("IV7 IV7 I7 I7", "V7 IV7 I7 V7", "IV7 I7 V7 I7"),
        ("IV7 IV7 I7 VI7", "II7 II7 V7 V7", "vi7 II7 ii7 V7"),
        "V7", "V7-IV7 I7", "I7",
    ),
    Harmony(
        ("i7 i7 iv7 i7", "i7 iv7 i7 i7", "i7 i7 i7 V7"),
        ("iv7 iv7 i7 i7", "bVI7 V7 i7 i7", "iv7 bVII7 i7 V7"),
        ("bVI7 bVI7 i7 i7", "iv7 iv7 bVI7 V7", "bIIImaj7 bVI7 iihdim7 V7"),
        "V7", "bVI7-V7 i7", "i7",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """A genre as the songwriter writes it. `busy` is 0 (long notes) to 2 (many short ones), for verse and chorus."""

    genre: str
    tempo: tuple[int, int]  # beats per minute
    metres: tuple[int, ...]  # beats per bar to draw from; 6 counts the eighths of 6/8
    minor: float  # share of songs in minor
    harmony: tuple[Harmony, Harmony]  # major, minor
    forms: tuple[str, ...]
    busy: tuple[int, int]
    looped: bool  # sections repeat one progression; otherwise phrases ask and answer with cadences
    syncopated: float = 0.2  # share of rhythms that run ahead of the beat
    swing: float = 0.5  # where the second half of a beat falls
    counter: float = 0.4  # share of songs with a counter melody
    phrase_bars: int = 4  # 12 for the blues: verses and choruses are whole rounds of the progression


STYLES = (
    Style("pop", (88, 128), (4,), 0.35, _POP, SONG_FORMS, (1, 2), True, 0.5),
    Style("ballad", (58, 84), (4, 4, 6), 0.35, _BALLAD, SONG_FORMS, (1, 1), True, 0.25, counter=0.6),
    Style("rock", (104, 165), (4,), 0.45, _ROCK, SONG_FORMS, (2, 1), True, 0.4, counter=0.25),
    Style("folk", (84, 132), (4, 4, 3), 0.3, _FOLK, STROPHIC_FORMS, (1, 1), False, 0.1),
    Style("country", (92, 140), (4, 4, 3), 0.1, _FOLK, SONG_FORMS + STROPHIC_FORMS, (2, 1), False, 0.2),
    Style("jazz", (84, 170), (4, 4, 4, 3), 0.35, _JAZZ, AABA_FORMS, (1, 2), False, 0.6, swing=0.64, counter=0.3),
    Style("blues", (64, 124), (4,), 0.3, _TWELVE_BARS, STROPHIC_FORMS, (1, 1), True, 0.4, 0.66, 0.2, phrase_bars=12),
    Style("bossa nova", (100, 144), (4,), 0.4, _LATIN, AABA_FORMS, (1, 1), False, 0.7, counter=0.3),
    Style("latin", (92, 132), (4,), 0.55, _LATIN, SONG_FORMS + AABA_FORMS, (2, 2), True, 0.7),
    Style("reggae", (66, 96), (4,), 0.4, _POP, SONG_FORMS, (1, 1), True, 0.5, counter=0.3),
    Style("funk", (94, 118), (4,), 0.6, _VAMPS, SONG_FORMS, (2, 2), True, 0.7, counter=0.3),
    Style("electronic", (110, 140), (4,), 0.65, _POP, SONG_FORMS + THROUGH_FORMS, (1, 2), True, 0.5, counter=0.5),
    Style("chiptune", (120, 172), (4,), 0.45, _POP, SONG_FORMS, (2, 2), True, 0.3, counter=0.7),
    Style("waltz", (96, 172), (3,), 0.35, _CLASSICAL, AABA_FORMS + STROPHIC_FORMS, (1, 1), False, 0.0, counter=0.5),
    Style("classical", (60, 126), (4, 3, 6), 0.45, _CLASSICAL, THROUGH_FORMS + AABA_FORMS, (1, 2), False, 0, 0.5, 0.7),
    Style("march", (98, 126), (4,), 0.2, _CLASSICAL, AABA_FORMS + STROPHIC_FORMS, (2, 1), False, 0.0, counter=0.6),
    Style("lullaby", (62, 90), (3, 4, 6), 0.25, _FOLK, STROPHIC_FORMS, (0, 0), False, 0.0, counter=0.4),
    Style("ambient", (55, 84), (4, 4, 3), 0.5, _MODAL, THROUGH_FORMS, (0, 0), True, 0.1, counter=0.6),
    Style("world", (80, 126), (4, 4, 6), 0.6, _MODAL, STROPHIC_FORMS + THROUGH_FORMS, (1, 2), True, 0.3),
    Style("film score", (60, 132), (4, 4, 3, 6), 0.6, _MODAL, THROUGH_FORMS, (0, 1), True, 0.0, counter=0.8),
    Style("soul", (66, 112), (4, 4, 6), 0.35, _BALLAD, SONG_FORMS, (1, 1), True, 0.5, counter=0.4),
)  # fmt: skip
