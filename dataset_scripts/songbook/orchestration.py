"""Who can play: the General MIDI instruments, the genres, and the palette that one song draws from them."""

# ruff: noqa: E501  (tables are read by row)

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument of the General MIDI set. `low` and `high` bound its comfortable range, as MIDI numbers."""

    name: str
    program: int
    family: str
    low: int
    high: int
    roles: str  # letters: l lead, c chords, p pad, b bass
    sustains: bool

    def plays(self, letter: str) -> bool:
        return letter in self.roles


@dataclass(frozen=True, slots=True)
class DrumKit:
    name: str
    program: int


# The synthesiser never returns from a note whose sample loop rounds to nothing at the rendering rate: at 16 kHz these
# are the highest notes of xylophone, piccolo and square lead, hence their upper bounds. A test plays every range.
# fmt: off
INSTRUMENTS: tuple[Instrument, ...] = tuple(Instrument(*row) for row in (
    # name, program, family, low, high, roles, sustains
    ("piano", 0, "piano", 36, 96, "lc", False),
    ("honky-tonk piano", 3, "piano", 40, 90, "lc", False),
    ("electric piano", 4, "piano", 40, 88, "lc", False),
    ("harpsichord", 6, "piano", 41, 86, "lc", False),
    ("clavinet", 7, "piano", 40, 84, "c", False),
    ("celesta", 8, "bells", 60, 96, "lc", False),
    ("glockenspiel", 9, "bells", 67, 98, "l", False),
    ("music box", 10, "bells", 60, 94, "lc", False),
    ("vibraphone", 11, "mallets", 53, 86, "lc", False),
    ("marimba", 12, "mallets", 45, 88, "lc", False),
    ("xylophone", 13, "mallets", 60, 89, "l", False),
    ("dulcimer", 15, "plucked", 50, 84, "lc", False),
    ("drawbar organ", 16, "organ", 40, 88, "lcp", True),
    ("church organ", 19, "organ", 36, 88, "lcp", True),
    ("accordion", 21, "reed", 50, 86, "lcp", True),
    ("harmonica", 22, "reed", 60, 86, "l", True),
    ("nylon-string guitar", 24, "guitar", 40, 80, "lc", False),
    ("steel-string guitar", 25, "guitar", 40, 80, "lc", False),
    ("clean electric guitar", 27, "guitar", 40, 82, "lc", False),
    ("distorted guitar", 30, "guitar", 40, 84, "lcp", True),
    ("acoustic bass", 32, "bass", 28, 52, "b", False),
    ("electric bass", 33, "bass", 28, 52, "b", False),
    ("fretless bass", 35, "bass", 28, 52, "b", True),
    ("slap bass", 36, "bass", 28, 52, "b", False),
    ("synth bass", 38, "bass", 28, 52, "b", True),
    ("violin", 40, "strings", 55, 93, "l", True),
    ("cello", 42, "strings", 36, 69, "lb", True),
    ("tremolo strings", 44, "strings", 43, 86, "p", True),
    ("pizzicato strings", 45, "strings", 43, 84, "lc", False),
    ("harp", 46, "plucked", 40, 93, "lc", False),
    ("string section", 48, "strings", 40, 88, "lp", True),
    ("synth strings", 50, "synth", 43, 86, "p", True),
    ("choir", 52, "voices", 48, 79, "lp", True),
    ("trumpet", 56, "brass", 55, 82, "l", True),
    ("trombone", 57, "brass", 41, 70, "l", True),
    ("tuba", 58, "brass", 29, 53, "b", True),
    ("muted trumpet", 59, "brass", 55, 82, "l", True),
    ("french horn", 60, "brass", 43, 75, "lp", True),
    ("brass section", 61, "brass", 45, 80, "lcp", True),
    ("soprano saxophone", 64, "reed", 57, 86, "l", True),
    ("alto saxophone", 65, "reed", 50, 80, "l", True),
    ("tenor saxophone", 66, "reed", 45, 75, "l", True),
    ("oboe", 68, "reed", 58, 88, "l", True),
    ("bassoon", 70, "reed", 36, 68, "lb", True),
    ("clarinet", 71, "reed", 50, 88, "l", True),
    ("piccolo", 72, "flute", 74, 98, "l", True),
    ("flute", 73, "flute", 60, 95, "l", True),
    ("recorder", 74, "flute", 65, 93, "l", True),
    ("pan flute", 75, "flute", 60, 91, "l", True),
    ("shakuhachi", 77, "flute", 57, 84, "l", True),
    ("ocarina", 79, "flute", 62, 88, "l", True),
    ("square-wave synth lead", 80, "synth", 48, 88, "lc", True),
    ("sawtooth synth lead", 81, "synth", 48, 88, "l", True),
    ("warm synth pad", 89, "synth", 43, 84, "p", True),
    ("synth brass", 62, "synth", 45, 82, "lcp", True),
    ("sitar", 104, "plucked", 48, 79, "lc", False),
    ("banjo", 105, "guitar", 48, 84, "lc", False),
    ("shamisen", 106, "plucked", 50, 82, "l", False),
    ("koto", 107, "plucked", 48, 88, "lc", False),
    ("kalimba", 108, "mallets", 55, 88, "lc", False),
    ("bagpipe", 109, "reed", 57, 82, "l", True),
    ("fiddle", 110, "strings", 55, 91, "l", True),
    ("steel drums", 114, "mallets", 52, 84, "lc", False),
))

BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}

KITS = {
    "standard": DrumKit("drum kit", 0),
    "power": DrumKit("power drum kit", 16),
    "electronic": DrumKit("electronic drums", 24),
    "drum machine": DrumKit("drum machine", 25),
    "brushes": DrumKit("brushed drums", 40),
    "jazz": DrumKit("jazz drum kit", 32),
}


@dataclass(frozen=True, slots=True)
class Genre:
    """What a genre favours; every tuple is a bag to draw from, so repeats weigh more."""

    name: str
    favourites: tuple[str, ...]
    kits: tuple[str, ...]  # () for a genre without drums
    drums: tuple[str, ...]
    bass: tuple[str, ...]
    accompaniment: tuple[str, ...]
    swing: float = 0.5  # where the second half of a beat falls
    energy: int = 0  # shifts the dynamics: -1 gentler, +1 louder


def _genre(name, favourites, kits, drums, bass, accompaniment, swing=0.5, energy=0) -> Genre:
    split = lambda text: tuple(part.strip() for part in text.split(",") if part.strip())  # noqa: E731
    return Genre(name, split(favourites), split(kits), split(drums), split(bass), split(accompaniment), swing, energy)


GENRES: dict[str, Genre] = {genre.name: genre for genre in (
    _genre("pop", "piano, electric piano, clean electric guitar, steel-string guitar, electric bass, warm synth pad, string section, sawtooth synth lead, flute",
           "standard, electronic", "rock beat, pop beat, four-on-the-floor, half-time beat", "root notes, syncopated line, octaves",
           "arpeggios, block chords, strummed chords, broken chords"),
    _genre("ballad", "piano, electric piano, nylon-string guitar, string section, cello, violin, oboe, fretless bass, french horn, harp, choir, alto saxophone",
           "standard, brushes", "half-time beat, ballad beat, brushed beat", "long root notes, root and fifth", "arpeggios, broken chords, block chords, rolled chords", energy=-1),
    _genre("rock", "distorted guitar, clean electric guitar, drawbar organ, electric bass, piano, sawtooth synth lead, harmonica",
           "standard, power, power", "rock beat, driving eighths, half-time beat", "driving eighths, root notes, octaves", "driving chords, block chords, strummed chords", energy=1),
    _genre("folk", "steel-string guitar, nylon-string guitar, fiddle, banjo, accordion, harmonica, flute, acoustic bass, dulcimer, recorder",
           "brushes, standard", "train beat, brushed beat, pop beat", "root and fifth, root notes", "strummed chords, broken chords, arpeggios"),
    _genre("country", "steel-string guitar, banjo, fiddle, harmonica, honky-tonk piano, clean electric guitar, acoustic bass",
           "standard, brushes", "train beat, shuffle, rock beat", "root and fifth, walking line", "strummed chords, offbeat chords, broken chords"),
    _genre("jazz", "piano, vibraphone, tenor saxophone, alto saxophone, muted trumpet, trombone, clarinet, acoustic bass, drawbar organ",
           "jazz, brushes", "swing, brushed swing", "walking line, walking line, root notes", "syncopated chords, block chords, offbeat chords", swing=0.64),
    _genre("blues", "honky-tonk piano, harmonica, clean electric guitar, tenor saxophone, drawbar organ, electric bass, distorted guitar",
           "standard, jazz", "shuffle", "walking line, shuffle line", "syncopated chords, block chords, offbeat chords", swing=0.66),
    _genre("bossa nova", "nylon-string guitar, flute, vibraphone, piano, acoustic bass, soprano saxophone, electric piano, string section",
           "brushes, jazz, standard", "bossa nova beat", "bossa line, root and fifth", "bossa chords, syncopated chords, arpeggios", energy=-1),
    _genre("latin", "trumpet, brass section, nylon-string guitar, piano, marimba, flute, electric bass, accordion, steel drums",
           "standard", "latin beat, bossa nova beat", "tumbao line, syncopated line", "montuno, syncopated chords, offbeat chords"),
    _genre("reggae", "drawbar organ, clean electric guitar, electric bass, trombone, steel drums, harmonica, alto saxophone, brass section",
           "standard", "one-drop beat", "syncopated line, root and fifth", "offbeat chords"),
    _genre("funk", "clavinet, electric piano, slap bass, brass section, clean electric guitar, alto saxophone, synth brass, drawbar organ",
           "standard, power", "funk beat", "syncopated line, octaves", "syncopated chords, offbeat chords, driving chords", energy=1),
    _genre("electronic", "sawtooth synth lead, square-wave synth lead, synth bass, warm synth pad, synth strings, synth brass, electric piano, kalimba",
           "electronic, drum machine", "four-on-the-floor, breakbeat, half-time beat", "octaves, driving eighths, pulsing offbeats", "sixteenth arpeggios, offbeat chords, driving chords", energy=1),
    _genre("chiptune", "square-wave synth lead, sawtooth synth lead, synth bass, music box, xylophone",
           "drum machine, electronic", "four-on-the-floor, rock beat", "octaves, driving eighths", "sixteenth arpeggios, arpeggios"),
    _genre("waltz", "accordion, violin, piano, string section, clarinet, flute, acoustic bass, harp, cello, music box",
           "brushes, standard", "waltz", "root notes, root and fifth", "oom-pah chords, arpeggios, broken chords"),
    _genre("classical", "string section, violin, cello, oboe, clarinet, bassoon, flute, french horn, harp, harpsichord, piano, pizzicato strings, church organ, tremolo strings",
           "", "", "long root notes, root notes, pedal tone", "broken chords, tremolo chords, arpeggios, block chords", energy=0),
    _genre("march", "brass section, trumpet, trombone, piccolo, tuba, french horn, clarinet, glockenspiel, bagpipe",
           "standard", "march", "root and fifth", "offbeat chords, block chords", energy=1),
    _genre("lullaby", "music box, celesta, harp, flute, glockenspiel, nylon-string guitar, choir, vibraphone, ocarina, recorder, kalimba",
           "", "", "long root notes", "arpeggios, broken chords, rolled chords", energy=-1),
    _genre("ambient", "warm synth pad, choir, vibraphone, pan flute, electric piano, fretless bass, harp, synth strings, shakuhachi, kalimba",
           "electronic", "half-time beat", "pedal tone, long root notes", "slow arpeggios, rolled chords, arpeggios", energy=-1),
    _genre("world", "sitar, koto, shamisen, shakuhachi, pan flute, kalimba, marimba, steel drums, dulcimer, bagpipe, ocarina",
           "standard, brushes", "latin beat, train beat, half-time beat", "pedal tone, root notes, syncopated line", "broken chords, arpeggios, slow arpeggios"),
    _genre("soul", "electric piano, drawbar organ, brass section, alto saxophone, clean electric guitar, electric bass, string section, trumpet, choir",
           "standard", "pop beat, half-time beat, funk beat", "syncopated line, root notes, octaves", "syncopated chords, block chords, offbeat chords"),
)}
# fmt: on

ALIASES = {
    "swing": "jazz",
    "film score": "classical",
    "bossa": "bossa nova",
    "synth-pop": "electronic",
    "dance": "electronic",
    "techno": "electronic",
}


def genre_of(name: str) -> Genre:
    """The genre called `name`; a name with no feel of its own plays like pop."""
    return GENRES.get(ALIASES.get(name, name), GENRES["pop"])


@dataclass(frozen=True, slots=True)
class Palette:
    """The instruments of one song by what they do, and how they tend to play."""

    leads: tuple[Instrument, ...]
    counters: tuple[Instrument, ...]
    chords: tuple[Instrument, ...]
    pads: tuple[Instrument, ...]
    basses: tuple[Instrument, ...]
    kit: DrumKit | None


def choose_palette(genre: Genre, rng: random.Random) -> Palette:
    """Draw about five to nine instruments, the genre's favourites five times likelier than the rest."""
    taken: set[str] = set()

    def draw(letter: str, count: int, strangers: float = 1.0) -> tuple[Instrument, ...]:
        drawn: list[Instrument] = []
        while len(drawn) < count:
            families = {instrument.family for instrument in drawn}
            pool = [i for i in INSTRUMENTS if i.plays(letter) and i.name not in taken]
            weights = [
                (5.0 if i.name in genre.favourites else strangers) * (0.2 if i.family in families else 1.0)
                for i in pool
            ]
            choice = rng.choices(pool, weights)[0]
            taken.add(choice.name)
            drawn.append(choice)
        return tuple(drawn)

    basses = draw("b", 1, strangers=0.5)
    leads = draw("l", rng.choice((2, 3, 3, 4)))
    chords = draw("c", rng.choice((1, 2, 2)))
    pads = draw("p", rng.choice((1, 1, 2)))
    counters = draw("l", 1)
    kit = KITS[rng.choice(genre.kits)] if genre.kits and rng.random() < 0.92 else None
    return Palette(leads, (*counters, *leads), chords, pads, basses, kit)
