"""Decide, section by section, who plays, in what manner and how loudly."""

import random
from dataclasses import dataclass, replace
from typing import Literal

from .composition import Composition, Section
from .orchestration import GENRES, Genre, Instrument, Palette
from .patterns import CHORDS, drums_for

Dynamics = Literal["soft", "moderate", "loud"]
LEVELS: tuple[Dynamics, ...] = ("soft", "moderate", "loud")

# How loud a section tends to be: weights of soft, moderate, loud.
TENDENCY = {
    "intro": (5, 4, 1),
    "verse": (4, 5, 1),
    "pre-chorus": (2, 6, 2),
    "chorus": (1, 3, 6),
    "bridge": (4, 3, 3),
    "instrumental": (1, 5, 4),
    "outro": (5, 4, 2),
}
# How likely a role takes part in a soft, moderate or loud section.
PRESENCE: dict[str, tuple[float, float, float]] = {
    "accompaniment": (0.85, 0.95, 0.95),
    "pad": (0.4, 0.5, 0.65),
    "bass": (0.35, 0.92, 1.0),
    "drums": (0.1, 0.8, 1.0),
    "counter-melody": (0.2, 0.45, 0.75),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one phrase is played with; None where the role rests."""

    dynamics: Dynamics
    lead: Instrument
    line: str  # how the melody is played
    counter: Instrument | None
    chords: Instrument | None
    figure: str
    pad: Instrument | None
    bass: Instrument | None
    bass_figure: str
    drums: str | None
    double: Instrument | None = None


def choose_genre(composition: Composition, rng: random.Random) -> Genre:
    """A genre that suits metre and tempo, for compositions that name none."""
    if composition.beats_per_bar == 3:
        return GENRES[rng.choice(("waltz", "folk", "ballad", "classical", "lullaby", "jazz"))]
    slow = {"ballad", "lullaby", "ambient", "soul", "bossa nova", "classical"}
    fast = {"rock", "electronic", "march", "country", "latin", "funk", "chiptune"}
    names = [name for name in GENRES if name != "waltz"]
    tempo = composition.tempo_bpm
    unlikely = fast if tempo < 80 else slow - {"classical"} if tempo > 125 else set()
    return GENRES[rng.choices(names, [0.15 if name in unlikely else 1.0 for name in names])[0]]


class Planner:
    """Chooses each section's instruments; remembers how a phrase was played so that it can return."""

    def __init__(self, composition: Composition, genre: Genre, palette: Palette, rng: random.Random) -> None:
        self.composition, self.genre, self.palette, self.rng = composition, genre, palette, rng
        self.known: dict[tuple[str, str], Plan] = {}
        self.previous_lead: Instrument | None = None
        metre = composition.beats_per_bar
        self.drums = {label: drums_for(metre, genre.drums, rng) for label in TENDENCY} if genre.drums else {}
        self.steady = rng.random() < 0.15  # one dynamic for the whole song
        self.song_dynamics: Dynamics = rng.choice(LEVELS)

    def plan(self, index: int, section: Section) -> Plan:
        key = (section.label, section.phrase)
        known = self.known.get(key)
        if known is not None and self.rng.random() < 0.65:
            plan = known
        else:
            plan = self._fresh(section)
            if known is not None:  # the phrase returns changed, but not beyond recognition
                plan = replace(
                    plan, figure=known.figure, bass_figure=known.bass_figure, chords=known.chords or plan.chords
                )
        self.known.setdefault(key, plan)
        last_chorus = section.label == "chorus" and all(
            later.label != "chorus" for later in self.composition.sections[index + 1 :]
        )
        if last_chorus and index > 2 and not self.steady and self.rng.random() < 0.6:
            plan = self._grand(plan)
        self.previous_lead = plan.lead
        return plan

    def _dynamics(self, section: Section) -> Dynamics:
        if self.steady:
            return self.song_dynamics
        level = self.rng.choices(range(3), TENDENCY.get(section.label, (1, 1, 1)))[0]
        if self.rng.random() < 0.35:
            level = min(max(level + self.genre.energy, 0), 2)
        return LEVELS[level]

    def _fresh(self, section: Section) -> Plan:
        rng, palette, genre = self.rng, self.palette, self.genre
        dynamics = self._dynamics(section)
        level = LEVELS.index(dynamics)

        def present(role: str) -> bool:
            chance = PRESENCE[role][level]
            if section.label in ("intro", "outro") and role in ("drums", "bass"):
                chance *= 0.6
            return rng.random() < chance

        breakdown = section.label == "bridge" and rng.random() < 0.4
        build_up = section.label == "pre-chorus" and level > 0 and rng.random() < 0.35
        leads = [lead for lead in palette.leads if lead != self.previous_lead]
        lead = rng.choice(leads if rng.random() < 0.8 else palette.leads)
        others = [i for i in palette.counters if i != lead]
        chords = rng.choice([i for i in palette.chords if i != lead]) if present("accompaniment") else None
        pad = rng.choice([i for i in palette.pads if i != lead]) if present("pad") or chords is None else None
        drums = None
        if palette.kit and present("drums") and not breakdown:
            drums = self.drums.get(section.label) or rng.choice(list(self.drums.values()))
            if self.composition.beats_per_bar not in (3, 6):
                drums = "build-up" if build_up else "sparse kick and rim" if level == 0 else drums
        bass = rng.choice(palette.basses) if present("bass") and not breakdown else None
        line = rng.choices(("legato line", "plain line", "staccato line"), (4, 4, 1))[0]
        return Plan(
            dynamics=dynamics,
            lead=lead,
            line=line if lead.sustains else "plain line",
            counter=rng.choice(others) if present("counter-melody") else None,
            chords=chords,
            figure=rng.choice(genre.accompaniment if rng.random() < 0.85 else tuple(CHORDS)),
            pad=pad,
            bass=bass,
            bass_figure=rng.choice(genre.bass),
            drums=drums,
            double=rng.choice(others) if level == 2 and rng.random() < 0.2 else None,
        )

    def _grand(self, plan: Plan) -> Plan:
        """The last chorus: loud, everybody in."""
        palette, rng = self.palette, self.rng
        drums = plan.drums or (self.drums.get("chorus") if palette.kit else None)
        return replace(
            plan,
            dynamics="loud",
            pad=plan.pad or palette.pads[0],
            bass=plan.bass or palette.basses[0],
            chords=plan.chords or palette.chords[0],
            drums=drums if drums != "sparse kick and rim" else self.drums.get("chorus"),
            counter=plan.counter or rng.choice([i for i in palette.counters if i != plan.lead]),
        )
