"""What a listener could hear in an arrangement, measured from its notes: the facts that captions are made of.

Thresholds (chosen for what is easily told apart by ear, and fixed so that a caption's word always means the same):

| measure  | value                                  | words                                              |
| -------- | -------------------------------------- | -------------------------------------------------- |
| sounding | a part has 2 notes, or 1 of a second   | fewer: the part is not mentioned                   |
| melody   | sounds in 15% of the section           | less: "a few notes", not the section's melody      |
| doubling | 80% of the notes start with the lead's | less: two instruments share the melody             |
| density  | onsets a second, together within 30 ms | below 2.5 sparse, from 5.5 busy                    |
| register | mean pitch of the melody, by duration  | below 57 (A3) low, from 74 (D5) high               |
| motion   | intervals within phrases of the melody | 70% within 2 semitones steps; 35% of 5 or more leaps |
| lengths  | median note length of the melody       | from 0.7 s long, below 0.25 s short                |
| tempo    | pulses per minute                      | below 76 slow, from 112 lively, from 144 fast      |
| energy   | tempo and mean dynamics, 0 to 1 each   | together below 0.7 low, from 1.2 high; with the mode: mood |
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from .arrangement import ArrangedSection, Arrangement, Part
from .composition import Composition, Note

LEVELS = {"soft": 0, "moderate": 1, "loud": 2}
SUPPORT_ROLES = ("accompaniment", "drums", "bass", "counter-melody", "pad")

TOGETHER = 0.03  # seconds: onsets this close are heard as one
PHRASE_GAP = 1.0  # seconds of rest that end a phrase; the interval across it is not heard as a step or leap


@dataclass(frozen=True, slots=True)
class SectionFacts:
    """What is heard in one section; times in seconds from the start of the song."""

    label: str
    start: float
    end: float
    leads: tuple[Part, ...]  # who has the melody; empty where nobody has
    doubled: bool  # the leads play the same rhythm together
    hints: tuple[Part, ...]  # melody parts with no more than a few notes
    support: tuple[Part, ...]  # everybody else, in the order of SUPPORT_ROLES
    dynamics: str  # "soft", "moderate", "loud"
    onsets_per_second: float
    density: str  # "sparse", "moderate", "busy"
    register: str | None  # of the melody: "low", "middle", "high"
    motion: str | None  # of the melody: "steps", "leaps"
    lengths: str | None  # of the melody: "long", "short"

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of all that play, each once."""
        return tuple(dict.fromkeys(part.instrument for part in self.leads + self.hints + self.support))

    @property
    def has_drums(self) -> bool:
        return any(part.is_drum for part in self.support)


def measure_sections(arrangement: Arrangement, start: float, end: float) -> list[SectionFacts]:
    """Facts of every section that lies in `start`-`end` (seconds) for a second or more."""
    facts = []
    for arranged in arrangement.sections:
        first, last = max(start, arranged.section.start), min(end, arranged.section.end)
        if last - first >= 1.0:
            facts.append(measure_section(arranged, first, last))
    return facts


def measure_section(arranged: ArrangedSection, start: float, end: float) -> SectionFacts:
    """Facts of one section, from its notes that start in `start`-`end` seconds."""
    heard = (replace(part, notes=tuple(n for n in part.notes if start <= n.start < end)) for part in arranged.parts)
    parts = [part for part in heard if len(part.notes) > 1 or any(note.duration >= 1.0 for note in part.notes)]
    melodies = [part for part in parts if part.role == "melody"]
    leads = tuple(part for part in melodies if _sounding_time(part.notes) >= 0.15 * (end - start))
    line = sorted(leads[0].notes, key=lambda note: note.start) if leads else []
    rate = _count_onsets([note.start for part in parts for note in part.notes]) / (end - start)
    return SectionFacts(
        label=arranged.section.label,
        start=start,
        end=end,
        leads=leads,
        doubled=len(leads) > 1 and all(_share_together(leads[0], other) >= 0.8 for other in leads[1:]),
        hints=tuple(part for part in melodies if part not in leads),
        support=tuple(part for role in SUPPORT_ROLES for part in parts if part.role == role),
        dynamics=arranged.dynamics,
        onsets_per_second=rate,
        density="sparse" if rate < 2.5 else "moderate" if rate < 5.5 else "busy",
        register=_register(line) if line else None,
        motion=_motion(line),
        lengths=_lengths(line) if line else None,
    )


def playing_time(facts: list[SectionFacts]) -> dict[str, float]:
    """Seconds in sections where each instrument plays."""
    seconds: dict[str, float] = defaultdict(float)
    for section in facts:
        for name in section.instruments:
            seconds[name] += section.end - section.start
    return seconds


def main_lead(facts: list[SectionFacts]) -> str | None:
    """The instrument with the melody for more than half of the time in which there is one; None where none has."""
    seconds: dict[str, float] = defaultdict(float)
    for section in facts:
        for name in {part.instrument for part in section.leads}:
            seconds[name] += section.end - section.start
    with_melody = sum(section.end - section.start for section in facts if section.leads)
    if not seconds:
        return None
    name, longest = max(seconds.items(), key=lambda item: (item[1], item[0]))
    return name if longest > 0.5 * with_melody else None


def tempo_word(song: Composition) -> str:
    """ "slow", "moderate", "lively" or "fast", by the pulse one would tap: three eighths in 6/8, else a beat."""
    pulse = song.tempo_bpm / 3 if song.beats_per_bar == 6 else song.tempo_bpm
    return "slow" if pulse < 76 else "moderate" if pulse < 112 else "lively" if pulse < 144 else "fast"


def energy(facts: list[SectionFacts], song: Composition) -> str:
    """ "low", "middle" or "high": tempo (0 slow to 1 fast) plus mean dynamics (0 soft to 1 loud)."""
    seconds = sum(section.end - section.start for section in facts)
    level = sum(LEVELS[section.dynamics] * (section.end - section.start) for section in facts) / seconds
    score = ("slow", "moderate", "lively", "fast").index(tempo_word(song)) / 3 + level / 2
    return "low" if score < 0.7 else "middle" if score < 1.2 else "high"


def _sounding_time(notes: tuple[Note, ...]) -> float:
    """Seconds in which at least one of `notes` sounds."""
    total, reached = 0.0, 0.0
    for note in sorted(notes, key=lambda note: note.start):
        total += max(0.0, note.end - max(reached, note.start))
        reached = max(reached, note.end)
    return total


def _count_onsets(starts: list[float]) -> int:
    """Moments at which something starts; what starts within `TOGETHER` of a moment belongs to it."""
    count, moment = 0, float("-inf")
    for start in sorted(starts):
        if start - moment > TOGETHER:
            count, moment = count + 1, start
    return count


def _share_together(lead: Part, other: Part) -> float:
    """Share of the notes of `other` that start with a note of `lead`."""
    starts = [note.start for note in lead.notes]
    return sum(any(abs(note.start - start) <= TOGETHER for start in starts) for note in other.notes) / len(other.notes)


def _register(line: list[Note]) -> str:
    weight = sum(note.duration for note in line)
    mean = sum(note.pitch * note.duration for note in line) / weight
    return "low" if mean < 57 else "middle" if mean < 74 else "high"


def _motion(line: list[Note]) -> str | None:
    steps = [
        abs(after.pitch - before.pitch)
        for before, after in pairwise(line)
        if after.start - before.end < PHRASE_GAP and after.start - before.start > TOGETHER
    ]
    if len(steps) < 4:
        return None
    if sum(step <= 2 for step in steps) >= 0.7 * len(steps):
        return "steps"
    return "leaps" if sum(step >= 5 for step in steps) >= 0.35 * len(steps) else None


def _lengths(line: list[Note]) -> str | None:
    length = median(note.duration for note in line)
    return "long" if length >= 0.7 else "short" if length < 0.25 else None
