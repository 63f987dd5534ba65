"""Orchestrate a composition: write out the notes of every part, section by section."""

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from statistics import mean

from .arrangement import ArrangedSection, Arrangement, Part, Role
from .composition import Chord, Composition, Note, Section
from .orchestration import DrumKit, Genre, Instrument, Palette, choose_palette, genre_of
from .patterns import ALL, CHORDS, DRUMS, UPPER, Bar, bars_of, bass_events, chord_at, drum_events, voicing
from .planner import Plan, Planner, choose_genre

VELOCITIES = {"soft": (44, 60), "moderate": (74, 90), "loud": (104, 120)}
TAIL = 0.2  # seconds a note may ring past its section
FEWEST_NOTES = 3  # a line of fewer notes is left out


def arrange(composition: Composition, seed: int) -> Arrangement:
    """Orchestrate `composition`; the same composition and seed always give the same arrangement.

    Returning phrases usually keep their instruments. Every part has notes, and they start inside its section.
    """
    rng = random.Random(f"{composition.id}/{seed}")
    genre = genre_of(composition.genre) if composition.genre else choose_genre(composition, rng)
    palette = choose_palette(genre, rng)
    planner = Planner(composition, genre, palette, rng)
    writer = _Writer(composition, genre, palette, rng)
    sections = []
    for index, section in enumerate(composition.sections):
        plan = planner.plan(index, section)
        sections.append(ArrangedSection(section, writer.parts(section, plan), plan.dynamics))
    return Arrangement(composition, seed, composition.genre or genre.name, tuple(sections))


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

    def _chords_in(self, section: Section) -> Iterator[Chord]:
        first = max(bisect_left(self.chord_starts, section.start) - 1, 0)
        for chord in self.composition.chords[first : bisect_left(self.chord_starts, section.end)]:
            if min(chord.end, section.end) - max(chord.start, section.start) > 0.1:
                yield chord

    def _note(self, start: float, length: float, pitch: int, accent: float, section: Section, plan: Plan) -> Note:
        low, high = VELOCITIES[plan.dynamics]
        velocity = round(low + min(max(accent, 0.0), 1.0) * (high - low) + self.rng.uniform(-2, 2))
        end = min(start + max(length, 0.06), section.end + TAIL, self.composition.duration)
        return Note(start, max(end - start, 0.02), pitch, min(max(velocity, low), high))

    def _part(self, role: Role, player: Instrument | DrumKit, pattern: str, notes: Iterable[Note]) -> Part:
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
