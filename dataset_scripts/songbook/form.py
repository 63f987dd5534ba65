"""From the lettered phrases of an analysed song to the functional sections a listener would name.

Annotators write a song's form as letters: equal letters share their music, capitals carry the melody, small letters do
not, `i` and `o` open and close, `X` and `x` are passages that belong nowhere else. Captions speak of verses and
choruses, so each letter is given a function, and neighbouring phrases are joined until only a handful are left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .composition import Note, Section

SHORTEST = 7.0  # seconds; less than this is a link between sections, not a section
LONGEST = 46.0  # seconds
MOST = 9  # sections a song
FEWEST = 4
_WITHOUT_VOICE = frozenset({"intro", "instrumental", "outro"})


@dataclass(frozen=True, slots=True)
class Phrase:
    """One annotated phrase: its letter and its span in seconds."""

    letter: str
    start: float
    end: float

    @property
    def is_vocal(self) -> bool:
        return self.letter.isupper()


def functional_sections(
    phrases: Sequence[Phrase], melody: Sequence[Note], downbeats: Sequence[float], end: float
) -> tuple[Section, ...]:
    """Join `phrases` (contiguous, from 0) up to `end` seconds into contiguous sections that cover [0, end].

    Functions are read off the whole song, so a song that is cut at `end` keeps the labels it had. Sections last 7 to
    46 s wherever the phrases allow it.
    """
    functions = phrase_functions(phrases, melody)
    sections = [
        Section(phrase.start, phrase.end, function, phrase.letter)
        for phrase, function in zip(phrases, functions, strict=True)
        if phrase.end <= end + 1e-6
    ]
    sections = _join(sections, lambda a, b: a.phrase == b.phrase)
    sections = _join(sections, lambda a, b: a.label == b.label and a.label in _WITHOUT_VOICE)
    sections = [part for section in sections for part in _halve(section, downbeats)]
    sections = _absorb_short(sections)
    sections = _join_to_at_most(MOST, sections)
    while len(sections) < FEWEST:
        longest = max(range(len(sections)), key=lambda i: sections[i].end - sections[i].start)
        halves = _halve(sections[longest], downbeats, longest_allowed=0.0)
        if len(halves) == 1:
            break
        sections[longest : longest + 1] = halves
    return tuple(sections)


def phrase_functions(phrases: Sequence[Phrase], melody: Sequence[Note]) -> list[str]:
    """Name the function of every phrase: intro, verse, pre-chorus, chorus, bridge, instrumental or outro.

    - The chorus is the letter that returns, fills most of the song's second half, lies high, and is not heard first.
    - A letter that comes once, after the middle, is the bridge.
    - A letter that leads into the chorus more often than not, and did not open the song, is the pre-chorus.
    - Every other capital is a verse; small letters are instrumental, at the ends intro and outro.
    """
    middle = phrases[-1].end / 2
    runs = _runs([phrase for phrase in phrases if phrase.is_vocal and phrase.letter != "X"])
    order = list(dict.fromkeys(run.letter for run in runs))
    chorus = _chorus_letter(runs, order, melody, middle)

    def function_of(letter: str) -> str:
        own = [i for i, run in enumerate(runs) if run.letter == letter]
        if letter == chorus:
            return "chorus"
        if len(own) == 1 and runs[own[0]].start > middle and letter != order[0]:
            return "bridge"
        into_chorus = [i for i in own if i + 1 < len(runs) and runs[i + 1].letter == chorus]
        if letter != order[0] and len(order) > 2 and 2 * len(into_chorus) > len(own):
            return "pre-chorus"
        return "verse"

    functions = {letter: function_of(letter) for letter in order}
    first_vocal = next((i for i, phrase in enumerate(phrases) if phrase.letter in functions), len(phrases))
    last_vocal = max((i for i, phrase in enumerate(phrases) if phrase.letter in functions), default=-1)

    def named(i: int, phrase: Phrase) -> str:
        if phrase.letter in functions:
            return functions[phrase.letter]
        if phrase.letter == "i" or i < first_vocal:
            return "intro"
        if phrase.letter == "o" or i > last_vocal:
            return "outro"
        if not phrase.is_vocal:
            return "instrumental"
        return "bridge" if phrase.start > middle else "verse"

    return [named(i, phrase) for i, phrase in enumerate(phrases)]


def _chorus_letter(runs: Sequence[Phrase], order: Sequence[str], melody: Sequence[Note], middle: float) -> str | None:
    """The letter that behaves most like a chorus; None where one letter is all there is."""
    if len(order) < 2:
        return None
    late = {letter: sum(max(0.0, r.end - max(r.start, middle)) for r in runs if r.letter == letter) for letter in order}
    register = {letter: _mean_pitch([r for r in runs if r.letter == letter], melody) for letter in order}
    known = [pitch for pitch in register.values() if pitch is not None]
    average = sum(known) / len(known) if known else 0.0
    total_late = sum(late.values()) or 1.0

    def score(letter: str) -> float:
        pitch = register[letter]
        height = 0.0 if pitch is None else (pitch - average) / 6
        returns = min(sum(r.letter == letter for r in runs), 3) / 3
        return late[letter] / total_late + height + 0.5 * returns - 0.4 * (letter == order[0])

    returning = [letter for letter in order if sum(run.letter == letter for run in runs) > 1]
    return max(returning or order, key=score)


def _mean_pitch(runs: Sequence[Phrase], melody: Sequence[Note]) -> float | None:
    """Mean MIDI pitch of the notes that start in `runs`, each weighed by its duration."""
    notes = [note for note in melody if any(run.start <= note.start < run.end for run in runs)]
    weight = sum(note.duration for note in notes)
    return sum(note.pitch * note.duration for note in notes) / weight if weight else None


def _runs(phrases: Sequence[Phrase]) -> list[Phrase]:
    """Neighbouring phrases of one letter as one phrase."""
    runs: list[Phrase] = []
    for phrase in phrases:
        if runs and runs[-1].letter == phrase.letter:
            runs[-1] = replace(runs[-1], end=phrase.end)
        else:
            runs.append(phrase)
    return runs


def _joined(a: Section, b: Section) -> Section:
    """One section from two neighbours: the longer one's label, and the letters of both unless one is but a link."""
    main, other = sorted((a, b), key=_weight, reverse=True)
    phrase = main.phrase
    if other.end - other.start >= SHORTEST and a.phrase != b.phrase:
        phrase = a.phrase + b.phrase
    return Section(a.start, b.end, main.label, phrase)


def _weight(section: Section) -> float:
    """What a section brings to a joint one: its seconds, more of them where there is a voice to notice."""
    return (section.end - section.start) * (0.7 if section.label in _WITHOUT_VOICE else 1.0)


def _join(sections: Sequence[Section], alike: Callable[[Section, Section], bool]) -> list[Section]:
    """Join neighbours that are `alike`, up to `LONGEST` seconds."""
    joined: list[Section] = []
    for section in sections:
        if joined and alike(joined[-1], section) and section.end - joined[-1].start <= LONGEST:
            joined[-1] = _joined(joined[-1], section)
        else:
            joined.append(section)
    return joined


def _halve(section: Section, downbeats: Sequence[float], longest_allowed: float = LONGEST) -> list[Section]:
    """Split a section that is too long at the downbeat nearest its middle, again and again."""
    middle = (section.start + section.end) / 2
    inside = [beat for beat in downbeats if section.start + SHORTEST <= beat <= section.end - SHORTEST]
    if section.end - section.start <= longest_allowed or not inside:
        return [section]
    cut = min(inside, key=lambda beat: abs(beat - middle))
    halves = [
        replace(section, end=cut, phrase=f"{section.phrase}1"),
        replace(section, start=cut, phrase=f"{section.phrase}2"),
    ]
    return [part for half in halves for part in _halve(half, downbeats, max(longest_allowed, LONGEST))]


def _absorb_short(sections: Sequence[Section]) -> list[Section]:
    """Give sections shorter than `SHORTEST` to the neighbour of the same label, else to the shorter neighbour."""
    kept = list(sections)
    while len(kept) > 1:
        lengths = [section.end - section.start for section in kept]
        shortest = min(range(len(kept)), key=lengths.__getitem__)
        if lengths[shortest] >= SHORTEST:
            break
        neighbours = [i for i in (shortest - 1, shortest + 1) if 0 <= i < len(kept)]
        into = min(neighbours, key=lambda i: (kept[i].label != kept[shortest].label, lengths[i]))
        first = min(shortest, into)
        kept[first : first + 2] = [_joined(kept[first], kept[first + 1])]
    return kept


def _join_to_at_most(most: int, sections: Sequence[Section]) -> list[Section]:
    """Join the closest-related, shortest neighbours to at most `most` sections, as far as `LONGEST` allows."""
    kept = list(sections)
    while len(kept) > most:
        pairs = [i for i in range(len(kept) - 1) if kept[i + 1].end - kept[i].start <= LONGEST]
        if not pairs:
            break
        best = min(pairs, key=lambda i: (_distance(kept[i], kept[i + 1]), kept[i + 1].end - kept[i].start))
        kept[best : best + 2] = [_joined(kept[best], kept[best + 1])]
    return kept


def _distance(a: Section, b: Section) -> int:
    """How much is lost by calling two neighbours one section: 0 nothing, 3 a chorus and what is not a chorus."""
    labels = {a.label, b.label}
    if len(labels) == 1 or labels <= _WITHOUT_VOICE:
        return 0
    if "chorus" in labels:
        return 3
    return 2 if labels & _WITHOUT_VOICE else 1
