"""Five written queries, and what must be heard in a song for each of them to be true."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dataset_scripts.songbook.arrangement import Arrangement, Part
from dataset_scripts.songbook.measures import SectionFacts, measure_sections
from dataset_scripts.songbook.orchestration import BY_NAME


class Heard:
    """What can be heard in a song, asked in shares of its seconds."""

    def __init__(self, arrangement: Arrangement):
        self.song = arrangement.composition
        self.arrangement = arrangement

    @cached_property
    def sections(self) -> list[SectionFacts]:
        return measure_sections(self.arrangement, 0.0, self.song.duration)

    def share(self, holds: Callable[[SectionFacts], bool]) -> float:
        """Share of the song's seconds in sections where `holds` is true."""
        return sum(section.end - section.start for section in self.sections if holds(section)) / self.song.duration

    def melody_by(self, *families: str) -> float:
        """Share of the seconds in which an instrument of one of these families has the melody."""
        return self.share(lambda section: any(_family(part) in families for part in section.leads))

    def family(self, *families: str) -> float:
        """Share of the seconds in which an instrument of one of these families plays anything."""
        return self.share(lambda section: any(_family(part) in families for part in _parts(section)))

    def plays(self, *names: str) -> float:
        """Share of the seconds in which one of these instruments plays anything."""
        return self.share(lambda section: any(name in section.instruments for name in names))

    def pattern(self, *words: str, drums: bool = False) -> float:
        """Share of the seconds in which the drums (or another part) play a pattern with one of `words` in its name."""
        return self.share(
            lambda section: any(
                word in part.pattern for part in _parts(section) if part.is_drum == drums for word in words
            )
        )

    @property
    def drums(self) -> float:
        """Share of the seconds with drums."""
        return self.share(lambda section: section.has_drums)

    @property
    def loud(self) -> float:
        return self.share(lambda section: section.dynamics == "loud")


@dataclass(frozen=True)
class Fact:
    """One thing that a query says, in short, and whether it is true of a song."""

    words: str
    holds: Callable[[Heard], bool]


@dataclass(frozen=True)
class Query:
    """A text to search for. `facts` are what it says that can be checked against a song's notes."""

    text: str
    facts: tuple[Fact, ...] = ()

    def check(self, arrangement: Arrangement) -> tuple[bool, ...]:
        """Which of the facts are true of a song."""
        heard = Heard(arrangement)
        return tuple(fact.holds(heard) for fact in self.facts)


WIND_OR_KEYS = ("reed", "brass", "piano", "organ")
STRINGS_OR_WIND = ("strings", "flute", "reed")

QUERIES: tuple[Query, ...] = (
    Query(
        "A quiet piece to fall asleep to. There are no drums at all: plucked strings, bells, a harp, a music "
        "box or a softly held choir carry it, and the bass, if there is one, only holds long notes. The tempo "
        "is slow to moderate, most of the song is played softly, and even the chorus stays gentle before "
        "everything fades away in a calm ending.",
        (
            Fact("no drums for most of the song", lambda heard: heard.drums < 0.2),
            Fact("slow to moderate tempo", lambda heard: heard.song.tempo_bpm < 112),
            Fact("mostly not loud", lambda heard: heard.loud < 0.34),
        ),
    ),
    Query(
        "A loud rock song with electric guitars and a full drum kit. The guitars play driving chords, the "
        "bass follows in steady eighth notes, and the drums keep a straight, heavy beat nearly all the way "
        "through. Verses hold back a little, and the choruses break out at full volume, the last one with "
        "everybody playing.",
        (
            Fact("electric guitars", lambda heard: heard.plays("distorted guitar", "clean electric guitar") > 0.25),
            Fact("drums for most of the song", lambda heard: heard.drums > 0.6),
            Fact("loud for a third or more", lambda heard: heard.loud > 0.33),
        ),
    ),
    Query(
        "A relaxed jazz or blues club tune. A saxophone, a trumpet, a piano or an organ takes the melody over "
        "a walking bass, short syncopated chords drop in between, and the drummer swings or shuffles lightly "
        "with cymbal and brushes. In the middle the band steps back for an instrumental passage before the "
        "tune comes round again.",
        (
            Fact("swinging or shuffling drums", lambda heard: heard.pattern("swing", "shuffle", drums=True) > 0.03),
            Fact("a walking or shuffling bass", lambda heard: heard.pattern("walking line", "shuffle line") > 0.25),
            Fact("wind, brass or keys on the melody", lambda heard: heard.melody_by(*WIND_OR_KEYS) > 0.2),
        ),
    ),
    Query(
        "Bright electronic music made of synthesizers. A buzzing synth lead or pad fills the room above fast "
        "arpeggios, a pulsing synth bass jumps in octaves, and a drum machine pounds an even beat, often four "
        "on the floor. It is lively to fast, fit for dancing or an old video game, and hardly an acoustic "
        "instrument is heard.",
        (
            Fact("synthesizers for a third or more", lambda heard: heard.family("synth") > 0.33),
            Fact("electronic drums", lambda heard: heard.plays("electronic drums", "drum machine") > 0.25),
            Fact("lively to fast tempo", lambda heard: heard.song.tempo_bpm >= 112),
        ),
    ),
    Query(
        "A song in three-quarter time that sways like a waltz. Violin, fiddle, flute or accordion sing the "
        "melody over broken chords or an oom-pah accompaniment, with a light bass on the first beat of every "
        "bar. It never hurries, the sections are easy to follow, and it grows warmer towards the end without "
        "ever turning into a rock beat.",
        (
            Fact("three or six beats a bar", lambda heard: heard.song.beats_per_bar in (3, 6)),
            Fact("strings, flute or reed on the melody", lambda heard: heard.melody_by(*STRINGS_OR_WIND) > 0.25),
            Fact("loud for less than half of it", lambda heard: heard.loud < 0.5),
        ),
    ),
)


def _family(part: Part) -> str | None:
    return BY_NAME[part.instrument].family if part.instrument in BY_NAME else None


def _parts(section: SectionFacts) -> tuple[Part, ...]:
    return section.leads + section.hints + section.support
