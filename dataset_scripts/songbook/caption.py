"""Captions of arrangements, in the manner of FUTGA: a paragraph on the whole song, then a passage for every section.

All that a caption says is measured from the arrangement (`measures.py`); how it is said is chosen from equal wordings
(`caption_wording.py`) by a generator seeded with the arrangement's id. A caption aims at a number of words drawn for
the song: every passage says who has the melody, and then facts are added in the order of their salience, to all
passages in turn, as long as they fit. So a song of many sections says less about each.
"""

from dataclasses import dataclass
from functools import partial

from .arrangement import Arrangement
from .caption_grammar import Chooser, capital
from .caption_sentences import FURTHER_FACTS, SALIENT_FACTS, SONG_FACTS, global_text, passage_text
from .measures import SectionFacts, measure_sections

# A song's aim is drawn from this range. What is always said takes about 50 words and 11 a section: 350 for 25 sections.
WORDS = (240, 340)
LAYOUTS = ("**{span} - {label}:**", "**{span}:** {label}.", "{label} ({span}):", "[{span}] {label}:")
ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth")


@dataclass(frozen=True, slots=True)
class Passage:
    """What is heard from `start` to `end` (seconds from the start of the captioned audio). The text has no times."""

    start: float
    end: float
    label: str
    caption: str


@dataclass(frozen=True, slots=True)
class Caption:
    global_caption: str
    passages: tuple[Passage, ...]
    headers: tuple[str, ...]  # time span and function of each passage, as this caption writes them

    @property
    def caption(self) -> str:
        """The full text: the global paragraph, then a line a passage."""
        lines = (f"{head} {passage.caption}" for head, passage in zip(self.headers, self.passages, strict=True))
        return "\n".join([self.global_caption, *lines])


def write_caption(arrangement: Arrangement, *, start: float = 0.0, end: float | None = None) -> Caption:
    """The caption of `arrangement`, or of its seconds from `start` to `end`; always the same for the same arrangement.

    Of a part of the song, only the notes that start in it count, and times are counted from `start`. Sections of
    which less than a second is left are passed over.

    Raises:
        ValueError: `start` and `end` do not leave a second of any section.
    """
    end = arrangement.composition.duration if end is None else end
    facts = measure_sections(arrangement, start, end)
    if not facts:
        raise ValueError(f"{arrangement.id} has no section that lasts a second in {start:g}-{end:g} s, so no caption.")
    choose = Chooser(arrangement.id)
    headers = _headers(facts, start, end, choose)
    overall, texts = _write_to_length(arrangement, facts, headers, choose)
    passages = (
        Passage(section.start - start, section.end - start, section.label, text)
        for section, text in zip(facts, texts, strict=True)
    )
    return Caption(overall, tuple(passages), headers)


def _write_to_length(
    arrangement: Arrangement, facts: list[SectionFacts], headers: tuple[str, ...], choose: Chooser
) -> tuple[str, list[str]]:
    """The global text and the passages: what is always said, then one fact after the other while the aim allows it."""
    writers = [partial(global_text, arrangement, facts), *(partial(passage_text, facts, i) for i in range(len(facts)))]
    kinds: list[frozenset[str]] = [frozenset() for _ in writers]
    texts = [write(said, choose) for write, said in zip(writers, kinds, strict=True)]
    left = choose.rng("words").randint(*WORDS) - sum(_count(text) for text in (*headers, *texts))
    groups = (choose.shuffled("salient", SALIENT_FACTS), choose.shuffled("further", FURTHER_FACTS))
    for kind in (*SONG_FACTS, *groups[0], *groups[1]):
        for i in choose.shuffled(f"turns {kind}", range(len(writers))):  # a text ignores the kinds that are not its own
            longer = writers[i](kinds[i] | {kind}, choose)
            cost = _count(longer) - _count(texts[i])
            if cost <= left:
                texts[i], kinds[i], left = longer, kinds[i] | {kind}, left - cost
    return texts[0], texts[1:]


def _count(text: str) -> int:
    return len(text.split())


def _headers(facts: list[SectionFacts], start: float, end: float, choose: Chooser) -> tuple[str, ...]:
    """Time span and function of every passage, in the one style that is drawn for the song."""
    clock = choose.pick("clock", (_minutes, _seconds, _percent))
    layout = choose.pick("layout", LAYOUTS)
    numbered = choose.pick("numbered", (True, False))
    labels = [section.label for section in facts]
    headers = []
    for index, section in enumerate(facts):
        label = capital(section.label)
        turn = labels[:index].count(section.label)
        if numbered and labels.count(section.label) > 1 and turn < len(ORDINALS):
            label = f"{ORDINALS[turn]} {section.label}"
        headers.append(layout.format(span=clock(section.start - start, section.end - start, end - start), label=label))
    return tuple(headers)


def _minutes(start: float, end: float, duration: float) -> str:
    return "-".join(f"{round(time) // 60}:{round(time) % 60:02d}" for time in (start, end))


def _seconds(start: float, end: float, duration: float) -> str:
    return f"{start:.0f}-{end:.0f} s"


def _percent(start: float, end: float, duration: float) -> str:
    return f"{100 * start / duration:.0f}-{100 * end / duration:.0f}%"
