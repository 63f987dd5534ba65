"""Orchestrate a composition: who plays what, how and how loudly, section by section."""

import random
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import mean
from typing import Literal

from .arrangement import ArrangedSection, Arrangement, Part, Role
from .composition import Composition, Note, Section
from .orchestration import BY_NAME, GENRES, Genre, Instrument, Palette, choose_palette, genre_of
from .patterns import ALL, CHORDS, DRUMS, UPPER, Bar, bars_of, bass_events, chord_at, drum_events, drums_for, voicing

Dynamics = Literal["soft", "moderate", "loud"]
LEVELS: tuple[Dynamics, ...] = ("soft", "moderate", "loud")
VELOCITIES = {"soft": (44, 60), "moderate": (74, 90), "loud": (104, 120)}

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
TAIL = 0.2  # seconds a note may ring past its section
FEWEST_NOTES = 3  # a line of fewer notes is left out


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


def arrange(composition: Composition, seed: int) -> Arrangement:
    """Orchestrate `composition`; the same composition and seed always give the same arrangement.

    Returning phrases usually keep their instruments. Every part has notes, and they start inside its section.
    """
    rng = random.Random(f"{composition.id}/{seed}")
    genre = genre_of(composition.genre) if composition.genre else _choose_genre(composition, rng)
    palette = choose_palette(genre, rng)
    planner = _Planner(composition, genre, palette, rng)
    writer = _Writer(composition, genre, palette, rng)
    sections = []
    for index, section in enumerate(composition.sections):
        plan = planner.plan(index, section)
        sections.append(ArrangedSection(section, writer.parts(section, plan), plan.dynamics))
    return Arrangement(composition, seed, composition.genre or genre.name, tuple(sections))


def _choose_genre(composition: Composition, rng: random.Random) -> Genre:
    """A genre that suits metre and tempo, for compositions that name none."""
    if composition.beats_per_bar == 3:
        return GENRES[rng.choice(("waltz", "folk", "ballad", "classical", "lullaby", "jazz"))]
    slow = {"ballad", "lullaby", "ambient", "soul", "bossa nova", "classical"}
    fast = {"rock", "electronic", "march", "country", "latin", "funk", "chiptune"}
    names = [name for name in GENRES if name != "waltz"]
    tempo = composition.tempo_bpm
    unlikely = fast if tempo < 80 else slow - {"classical"} if tempo > 125 else set()
    return GENRES[rng.choices(names, [0.15 if name in unlikely else 1.0 for name in names])[0]]


class _Planner:
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


class _Writer:
    """Writes out the notes of every part of a plan."""

    def __init__(self, composition: Composition, genre: Genre, palette: Palette, rng: random.Random) -> None:
        self.composition, self.genre, self.palette, self.rng = composition, genre, palette, rng
        self.bars = bars_of(composition)
        self.bar_starts = [bar.times[0] for bar in self.bars]
        self.chord_starts = [chord.start for chord in composition.chords]
        self.lines = {
            "melody": sorted(composition.melody, key=lambda note: note.start),
            "counter-melody": sorted(composition.counter_melody, key=lambda note: note.start),
            "accompaniment": sorted(composition.accompaniment, key=lambda note: note.start),
        }
        self.line_starts = {name: [note.start for note in notes] for name, notes in self.lines.items()}

    def parts(self, section: Section, plan: Plan) -> tuple[Part, ...]:
        """The parts of one section, without the empty ones; a drone where nothing at all was composed."""
        melody = self._composed("melody", section)
        counter = self._composed("counter-melody", section)
        written = self._composed("accompaniment", section)
        parts: list[Part | None] = []
        has_lead = len(melody) >= FEWEST_NOTES
        if has_lead:
            parts.append(self._line("melody", plan.lead, plan.line, melody, section, plan))
            if plan.double and plan.double not in (plan.counter, plan.chords, plan.pad):
                parts.append(self._line("melody", plan.double, "doubling the melody", melody, section, plan))
        if len(counter) >= FEWEST_NOTES and (plan.counter or not has_lead):
            player = plan.counter if has_lead and plan.counter else plan.lead
            parts.append(
                self._line(
                    "counter-melody", player, plan.line if not has_lead else "answering line", counter, section, plan
                )
            )
        elif has_lead and plan.counter:
            parts.append(self._long_notes("counter-melody", plan.counter, section, plan))
        if plan.chords or not has_lead:
            parts.append(self._chords(plan, section, written))
        if plan.pad:
            parts.append(self._long_notes("pad", plan.pad, section, plan))
        if plan.bass:
            parts.append(self._bass(plan.bass, section, plan))
        if plan.drums and self.palette.kit:
            parts.append(self._drums(plan.drums, section, plan))
        sounding = tuple(part for part in parts if part is not None and part.notes)
        if any(not part.is_drum for part in sounding):
            return sounding
        return (*sounding, self._drone(section, plan))

    # --- lines that were composed ---

    def _composed(self, line: str, section: Section) -> list[Note]:
        starts = self.line_starts[line]
        return self.lines[line][bisect_left(starts, section.start) : bisect_left(starts, section.end)]

    def _line(
        self, role: Role, player: Instrument, pattern: str, notes: list[Note], section: Section, plan: Plan
    ) -> Part:
        shift = octave_shift([note.pitch for note in notes], player)
        played = []
        for i, note in enumerate(notes):
            until = notes[i + 1].start if i + 1 < len(notes) else section.end
            length = note.duration
            if pattern == "staccato line":
                length = max(0.09, 0.4 * length)
            elif pattern == "legato line" and 0 < until - note.end < 0.4:
                length = until - note.start
            accent = (note.velocity - 40) / 80
            played.append(self._note(note.start, length, fold(note.pitch + shift, player), accent, section, plan))
        return self._part(role, player, pattern, played)

    # --- parts made from chords and beats ---

    def _chords(self, plan: Plan, section: Section, written: list[Note]) -> Part:
        player = plan.chords or self.palette.chords[0]
        if (
            len(written) >= 2 * FEWEST_NOTES
            and self.rng.random() < 0.35
            and player.family in ("piano", "guitar", "plucked", "mallets")
        ):
            return self._line("accompaniment", player, "written-out part", written, section, plan)
        centre = min(max(60, player.low + 7), player.high - 12)
        voices = {"arpeggios": 5, "slow arpeggios": 4, "sixteenth arpeggios": 4, "montuno": 4, "rolled chords": 5}.get(
            plan.figure, 4
        )
        notes = []
        for bar in self._bars(section):
            for event in CHORDS[plan.figure](bar.beats):
                start = bar.at(event.position, self.genre.swing)
                chord = chord_at(self.composition.chords, self.chord_starts, start)
                if chord is None or not section.start <= start < section.end:
                    continue
                pitches = voicing(chord, centre, player.low, player.high, voices)
                if not pitches:
                    continue
                end = bar.at(min(event.position + event.length, bar.beats), self.genre.swing)
                end = max(min(end, chord.end), start + 0.08)
                if event.voice == ALL:
                    chosen = pitches
                elif event.voice == UPPER:
                    chosen = pitches[1:] or pitches
                else:
                    chosen = [pitches[event.voice % len(pitches)]]
                spread = 0.045 if plan.figure == "rolled chords" else 0.012 if "strummed" in plan.figure else 0.0
                for order, pitch in enumerate(chosen):
                    begin = start + spread * order
                    notes.append(self._note(begin, end - begin, pitch, event.accent, section, plan))
        return self._part("accompaniment", player, plan.figure, [n for n in notes if n.start < section.end])

    def _long_notes(self, role: Role, player: Instrument, section: Section, plan: Plan) -> Part:
        """Sustained chords for a pad; their thirds and fifths as one slow line for a counter-melody."""
        notes = []
        centre = (
            (player.low + player.high) // 2
            if role == "counter-melody"
            else min(max(58, player.low + 6), player.high - 12)
        )
        for turn, chord in enumerate(self._chords_in(section)):
            start, end = max(chord.start, section.start), min(chord.end, section.end)
            pitches = voicing(chord, centre, player.low, player.high, 4 if role == "pad" else 3)
            if role == "counter-melody" and pitches:
                pitches = [pitches[(1, 2, 1, 0)[turn % 4] % len(pitches)]]
            notes += [self._note(start, end - start, pitch, 0.4, section, plan) for pitch in pitches]
        return self._part(role, player, "sustained chords" if role == "pad" else "long notes", notes)

    def _bass(self, player: Instrument, section: Section, plan: Plan) -> Part:
        notes = []
        for bar in self._bars(section):
            for event in bass_events(plan.bass_figure, bar.beats):
                start = bar.at(event.position, self.genre.swing)
                chord = chord_at(self.composition.chords, self.chord_starts, start)
                if chord is None or not section.start <= start < section.end:
                    continue
                end = bar.at(min(event.position + event.length, bar.beats), self.genre.swing)
                if plan.bass_figure != "pedal tone":
                    end = min(end, chord.end)
                pitch = self._bass_pitch(event.voice, chord.root, chord.pitch_classes, start, player, plan.bass_figure)
                notes.append(self._note(start, max(end - start, 0.1), pitch, event.accent, section, plan))
        return self._part("bass", player, plan.bass_figure, notes)

    def _bass_pitch(
        self, degree: int, root: int, tones: tuple[int, ...], start: float, player: Instrument, figure: str
    ) -> int:
        if figure == "pedal tone":
            root = self.composition.tonic if self.composition.tonic in tones else root
        base = player.low + (root - player.low) % 12
        offsets = sorted((tone - root) % 12 for tone in tones) or [0]
        third = next((o for o in offsets if o in (3, 4)), offsets[-1])
        fifth = next((o for o in offsets if o in (6, 7, 8)), offsets[-1])
        if degree == 4:  # a half step below the next chord's root, or the fifth where the chord stays
            index = bisect_left(self.chord_starts, start)
            following = self.composition.chords[index].root if index < len(self.chord_starts) else root
            return fold(base + fifth if following == root else player.low + (following - 1 - player.low) % 12, player)
        sixth = fifth + 2
        return fold(base + {0: 0, 1: third, 2: fifth, 3: 12, 5: sixth}[degree], player)

    def _drums(self, pattern: str, section: Section, plan: Plan) -> Part:
        kit = self.palette.kit
        assert kit is not None
        bars = self._bars(section)
        fill = plan.dynamics != "soft" and self.rng.random() < 0.6
        swing = self.genre.swing if DRUMS[pattern].steps != 3 else 0.5  # triplet grids swing by themselves
        notes = []
        for index, bar in enumerate(bars):
            for event in drum_events(pattern, bar.beats, last=index == len(bars) - 1, fill=fill):
                start = bar.at(event.position, swing)
                if section.start <= start < section.end:
                    notes.append(self._note(start, 0.15, event.voice, event.accent, section, plan))
        if plan.dynamics == "loud" and notes:
            first = min(note.start for note in notes)
            notes.append(self._note(first, 1.0, 49, 0.8, section, plan))
        return self._part("drums", kit, pattern, notes)

    def _drone(self, section: Section, plan: Plan) -> Part:
        """The tonic held through a section for which neither notes nor chords were written."""
        player = self.palette.pads[0]
        pitch = fold(48 + self.composition.tonic, player)
        note = self._note(section.start, section.end - section.start, pitch, 0.5, section, plan)
        return self._part("pad", player, "drone", [note])

    # --- small helpers ---

    def _bars(self, section: Section) -> list[Bar]:
        first = max(bisect_left(self.bar_starts, section.start) - 1, 0)
        return [
            bar
            for bar in self.bars[first : bisect_left(self.bar_starts, section.end)]
            if bar.times[-1] > section.start + 1e-6
        ]

    def _chords_in(self, section: Section):
        first = max(bisect_left(self.chord_starts, section.start) - 1, 0)
        for chord in self.composition.chords[first : bisect_left(self.chord_starts, section.end)]:
            if min(chord.end, section.end) - max(chord.start, section.start) > 0.1:
                yield chord

    def _note(self, start: float, length: float, pitch: int, accent: float, section: Section, plan: Plan) -> Note:
        low, high = VELOCITIES[plan.dynamics]
        velocity = round(low + min(max(accent, 0.0), 1.0) * (high - low) + self.rng.uniform(-2, 2))
        end = min(start + max(length, 0.06), section.end + TAIL, self.composition.duration)
        return Note(start, max(end - start, 0.02), pitch, min(max(velocity, low), high))

    def _part(self, role: Role, player, pattern: str, notes: Iterable[Note]) -> Part:
        ordered = tuple(sorted(notes, key=lambda note: (note.start, note.pitch)))
        return Part(role, player.name, player.program, not isinstance(player, Instrument), pattern, ordered)


def octave_shift(pitches: list[int], player: Instrument) -> int:
    """The shift by whole octaves that brings `pitches` into the player's range, as near its middle as can be."""
    centre, average = (player.low + player.high) / 2, mean(pitches)

    def cost(shift: int) -> tuple[int, float]:
        outside = sum(not player.low <= pitch + shift <= player.high for pitch in pitches)
        return outside, abs(average + shift - centre) + 0.2 * abs(shift)

    return min((12 * octave for octave in range(-5, 6)), key=cost)


def fold(pitch: int, player: Instrument) -> int:
    """`pitch` moved by octaves into the player's range."""
    while pitch < player.low:
        pitch += 12
    while pitch > player.high:
        pitch -= 12
    return pitch


def instrument(name: str) -> Instrument:
    """The melodic instrument with this caption name; KeyError where there is none."""
    return BY_NAME[name]
