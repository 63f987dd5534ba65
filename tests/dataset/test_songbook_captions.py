"""Captions of arrangements: true of the notes, of the right length, the same for one song and varied between songs."""

import random
import re
from dataclasses import replace

import pytest

from dataset_scripts.songbook.arrangement import ArrangedSection, Arrangement, Part
from dataset_scripts.songbook.caption import Caption, write_caption
from dataset_scripts.songbook.caption_sentences import key_name
from dataset_scripts.songbook.caption_wording import DRUM_PATTERN_NAMES, DYNAMICS, INSTRUMENT_NAMES
from dataset_scripts.songbook.composition import Chord, Composition, Note, Section
from dataset_scripts.songbook.measures import measure_section, tempo_word
from dataset_scripts.structure import crop_caption

LEADS = ("violin", "flute", "alto saxophone", "nylon-string guitar", "steel drums", "choir", "glass harmonica")
CHORDS = ("piano", "electric piano", "steel-string guitar", "harp")
BASSES = ("acoustic bass", "electric bass", "tuba")
KITS = ("drum kit", "jazz drum kit", "electronic drums", "brushed drums")
SPOKEN = {form: name for name in (*LEADS, *CHORDS, *BASSES, *KITS) for form in INSTRUMENT_NAMES.get(name, (name,))}
LEAVING = re.compile(r"[^.]*(?:drops?|falls?) (?:out|silent)\.")


def line(start: float, end: float, step: float, pitches: list[int]) -> tuple[Note, ...]:
    """A note every `step` seconds, going round `pitches`."""
    count = round((end - start) / step)
    return tuple(Note(start + i * step, 0.9 * step, pitches[i % len(pitches)]) for i in range(count))


def make_section(rng: random.Random, label: str, start: float, end: float) -> ArrangedSection:
    """A section with a random choice of roles; the accompaniment always plays, and the melody mostly does."""
    parts = [Part("accompaniment", rng.choice(CHORDS), 0, False, "arpeggios", line(start, end, 0.25, [60, 64, 67]))]
    if rng.random() < 0.85:
        pitches = rng.choice(([72, 74, 76, 74], [48, 55, 50], [79, 88, 76]))
        notes = line(start, end, rng.choice((0.2, 0.5, 1.0)), pitches)
        parts.append(Part("melody", rng.choice(LEADS), 40, False, rng.choice(("legato line", "plain line")), notes))
    if rng.random() < 0.6:
        parts.append(Part("bass", rng.choice(BASSES), 32, False, "walking line", line(start, end, 0.5, [36, 40, 43])))
    if rng.random() < 0.5:
        pattern = rng.choice(("rock beat", "swing", "samba"))
        parts.append(Part("drums", rng.choice(KITS), 0, True, pattern, line(start, end, 0.25, [36, 42, 38, 42])))
    if rng.random() < 0.4:
        parts.append(
            Part("counter-melody", rng.choice(LEADS), 40, False, "long notes", line(start, end, 2.0, [64, 65]))
        )
    if rng.random() < 0.4:
        parts.append(Part("pad", "choir", 52, False, "sustained chords", line(start, end, 4.0, [55, 59])))
    return ArrangedSection(Section(start, end, label, ""), tuple(parts), rng.choice(("soft", "moderate", "loud")))


def make_arrangement(seed: int, sections: int | None = None) -> Arrangement:
    """A song of 4-9 sections of 16 s each, everything in it drawn with `seed`."""
    rng = random.Random(seed)
    count = sections or rng.randint(4, 9)
    labels = ["intro", *rng.choices(["verse", "pre-chorus", "chorus", "bridge", "instrumental"], k=count - 2), "outro"]
    arranged = tuple(make_section(rng, label, 16.0 * i, 16.0 * (i + 1)) for i, label in enumerate(labels[:count]))
    composition = Composition(
        id=f"song-{seed}",
        source="songwriter",
        licence="CC0-1.0",
        split="train",
        duration=16.0 * count,
        tempo_bpm=rng.uniform(60, 170),
        beats_per_bar=rng.choice((3, 4, 4, 6)),
        tonic=rng.randrange(12),
        mode=rng.choice(("major", "minor")),
        beats=tuple(0.5 * i for i in range(32 * count)),
        downbeats=tuple(2.0 * i for i in range(8 * count)),
        chords=tuple(Chord(4.0 * i, 4.0 * i + 4, (0, 5, 7)[i % 3], "maj", (0, 4, 7)) for i in range(4 * count)),
        sections=tuple(section.section for section in arranged),
        melody=(),
    )
    return Arrangement(composition, seed, rng.choice(("rock", "bossa nova", "ballad", "ambient")), arranged)


ARRANGEMENTS = [make_arrangement(seed) for seed in range(60)]


def words(caption: Caption) -> int:
    return len(caption.caption.split())


def named_instruments(text: str, spoken: dict[str, str] = SPOKEN) -> set[str]:
    """The instruments that `text` names, by any of their spoken forms; longer forms hide the shorter ones inside."""
    found = set()
    for form in sorted(spoken, key=len, reverse=True):
        text, hits = re.subn(rf"(?i)\b{re.escape(form)}\b", "_", text)
        if hits:
            found.add(spoken[form])
    return found


def said_dynamics(text: str) -> set[str]:
    return {level for level, forms in DYNAMICS.items() for form in forms if re.search(rf"(?i)\b{form}\b", text)}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=lambda arrangement: arrangement.id)
def test_caption_is_true_of_the_notes(arrangement: Arrangement) -> None:
    caption = write_caption(arrangement)
    song = arrangement.composition
    assert 150 <= words(caption) <= 350
    assert key_name(song.tonic, song.mode) in caption.global_caption
    assert re.findall(r"(\d+) BPM", caption.global_caption) == [str(round(song.tempo_bpm))]
    assert ("3/4" in caption.global_caption) == (song.beats_per_bar == 3)
    everyone = {part.instrument for section in arrangement.sections for part in section.parts}
    assert named_instruments(caption.global_caption) <= everyone
    playing_before: set[str] = set()
    for arranged, passage in zip(arrangement.sections, caption.passages, strict=True):
        playing = {part.instrument for part in arranged.parts}
        leads = {part.instrument for part in arranged.parts if part.role == "melody"}
        leaving = "".join(LEAVING.findall(passage.caption))
        named = named_instruments(LEAVING.sub("", passage.caption))
        assert leads <= named <= playing, passage
        assert named, passage
        assert named_instruments(leaving) <= playing_before - playing, passage
        assert said_dynamics(passage.caption) <= {arranged.dynamics}, passage
        if not leads:
            assert not re.search(r"\b(tune|carries|plays the main line|the melody is)\b", passage.caption)
        if not any(part.is_drum for part in arranged.parts):
            drum_words = r"\b(beat|kick|snare|ride)\b|" + "|".join(names[0] for names in DRUM_PATTERN_NAMES.values())
            assert not re.search(drum_words, passage.caption), passage
        assert not re.search(r"\d:\d|\d%|\d-\d|\d s\b", passage.caption), "the text of a passage has no times"
        playing_before = playing


def test_passages_cover_the_song_with_the_labels_of_its_sections() -> None:
    for arrangement in ARRANGEMENTS:
        sections = [arranged.section for arranged in arrangement.sections]
        spans = [(passage.start, passage.end, passage.label) for passage in write_caption(arrangement).passages]
        assert spans == [(section.start, section.end, section.label) for section in sections]


def test_full_caption_holds_every_passage_and_its_time() -> None:
    caption = write_caption(ARRANGEMENTS[0])
    lines = caption.caption.splitlines()
    assert lines[0] == caption.global_caption
    for text, passage in zip(lines[1:], caption.passages, strict=True):
        assert text.endswith(passage.caption)
        assert passage.label in text.lower()
    clocks = {bool(re.search(r"\d:\d\d", write_caption(a).headers[0])) for a in ARRANGEMENTS}
    assert clocks == {True, False}, "songs differ in how they write times"


def test_same_arrangement_same_caption() -> None:
    assert write_caption(make_arrangement(3)) == write_caption(make_arrangement(3))


def test_two_renderings_of_one_arrangement_are_worded_differently() -> None:
    arrangement = make_arrangement(3)
    captions = {write_caption(replace(arrangement, seed=seed)).caption for seed in range(8)}
    assert len(captions) == 8
    assert len({caption.split(".")[0] for caption in captions}) > 3


def test_all_dynamics_and_most_facts_are_said_somewhere() -> None:
    text = " ".join(write_caption(arrangement).caption for arrangement in ARRANGEMENTS)
    assert said_dynamics(text) == set(DYNAMICS)
    for words_of_a_fact in ("onsets", "register", "by step", "counter-melody", "walking", "mood", "drums", "the same"):
        assert words_of_a_fact in text


@pytest.mark.parametrize("sections", [2, 4, 9, 15, 22])
def test_length_adapts_to_the_number_of_sections(sections: int) -> None:
    lengths = [words(write_caption(make_arrangement(seed, sections))) for seed in range(10)]
    assert max(lengths) <= 350
    assert min(lengths) >= (60 if sections == 2 else 150)


def test_measures_of_a_known_section() -> None:
    melody = Part("melody", "violin", 40, False, "plain line", line(10, 20, 0.5, [76, 78, 76, 74]))
    double = replace(melody, instrument="flute")
    hint = Part("melody", "oboe", 68, False, "plain line", line(10, 11, 0.5, [70]))
    drums = Part("drums", "drum kit", 0, True, "rock beat", line(10, 20, 0.25, [36]))
    tick = Part("pad", "harp", 46, False, "chords", (Note(12, 0.1, 60),))
    section = ArrangedSection(Section(10, 20, "verse", "A"), (melody, double, hint, drums, tick), "loud")
    facts = measure_section(section, 10, 20)
    assert facts.leads == (melody, double)
    assert facts.doubled
    assert facts.hints == (hint,)
    assert facts.support == (drums,), "one short note is not worth a mention"
    assert facts.onsets_per_second == pytest.approx(4.0), "what starts together is one onset"
    assert (facts.density, facts.register, facts.motion, facts.lengths) == ("moderate", "high", "steps", None)
    apart = replace(double, notes=line(10.25, 20.25, 0.5, [70]))
    assert not measure_section(replace(section, parts=(melody, apart)), 10, 20).doubled
    later = measure_section(section, 15, 20)
    assert later.hints == ()
    assert later.onsets_per_second == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("pitches", "step", "register", "motion", "lengths"),
    [
        ([50, 57, 50, 45], 1.0, "low", "leaps", "long"),
        ([60, 62, 64, 62], 0.2, "middle", "steps", "short"),
        ([80, 83, 80, 83], 0.5, "high", None, None),
    ],
)
def test_measures_of_a_melody(pitches: list[int], step: float, register: str, motion: str, lengths: str) -> None:
    part = Part("melody", "violin", 40, False, "plain line", line(0, 10, step, pitches))
    facts = measure_section(ArrangedSection(Section(0, 10, "verse", ""), (part,), "soft"), 0, 10)
    assert (facts.register, facts.motion, facts.lengths) == (register, motion, lengths)


def test_tempo_of_six_eight_is_felt_in_dotted_quarters() -> None:
    song = make_arrangement(0).composition
    assert tempo_word(replace(song, tempo_bpm=150.0, beats_per_bar=4)) == "fast"
    assert tempo_word(replace(song, tempo_bpm=150.0, beats_per_bar=6)) == "slow"


def test_part_of_a_song_counts_time_from_its_start() -> None:
    arrangement = make_arrangement(5, 6)
    caption = write_caption(arrangement, start=8.0, end=48.5)
    assert [(passage.start, passage.end) for passage in caption.passages] == [(0, 8), (8, 24), (24, 40)]
    assert [passage.label for passage in caption.passages] == [a.section.label for a in arrangement.sections[:3]]
    with pytest.raises(ValueError, match="no section that lasts a second"):
        write_caption(arrangement, start=500.0, end=600.0)


def test_silent_section_is_called_silent() -> None:
    arrangement = make_arrangement(1, 4)
    silent = replace(arrangement.sections[1], parts=())
    caption = write_caption(replace(arrangement, sections=(arrangement.sections[0], silent, *arrangement.sections[2:])))
    assert re.search("silent|Hardly anything", caption.passages[1].caption)
    assert not named_instruments(LEAVING.sub("", caption.passages[1].caption))


def test_composed_songs() -> None:
    songwriter = pytest.importorskip("dataset_scripts.songbook.songwriter")
    arranger = pytest.importorskip("dataset_scripts.songbook.arranger")
    orchestration = pytest.importorskip("dataset_scripts.songbook.orchestration")
    names = [*orchestration.BY_NAME, *(kit.name for kit in orchestration.KITS.values())]
    spoken = {form: name for name in names for form in INSTRUMENT_NAMES.get(name, (name,))}
    assert INSTRUMENT_NAMES.keys() <= set(names), "no word for an instrument that nobody plays"
    for seed in range(12):
        arrangement = arranger.arrange(songwriter.write_song(seed), seed)
        caption = write_caption(arrangement)
        assert 150 <= words(caption) <= 350
        for arranged, passage in zip(arrangement.sections, caption.passages, strict=True):
            named = named_instruments(LEAVING.sub("", passage.caption), spoken)
            assert named <= {part.instrument for part in arranged.parts}, passage


STRUCTURE = [
    {"start": 0.0, "end": 10.0, "label": "intro", "caption": "Piano alone."},
    {"start": 10.0, "end": 40.0, "label": "verse", "caption": "The violin sings."},
    {"start": 40.0, "end": 42.0, "label": "", "caption": "Silence."},
    {"start": 42.0, "end": 70.0, "label": "chorus", "caption": "Everybody."},
]
ROW = {"global_caption": "A song.", "structure": STRUCTURE}


@pytest.mark.parametrize(
    ("start", "end", "passages"),
    [
        (0.0, 70.0, ["Intro: Piano alone.", "Verse: The violin sings.", "Chorus: Everybody."]),
        (8.0, 30.0, ["Verse: The violin sings."]),  # 2 s of the intro are too few
        (7.0, 30.0, ["Intro: Piano alone.", "Verse: The violin sings."]),
        (8.0, 12.0, ["Intro: Piano alone.", "Verse: The violin sings."]),  # half of the crop is enough
        (40.0, 42.0, ["Silence."]),
        (39.0, 43.0, ["Silence."]),
        (80.0, 90.0, []),
    ],
)
def test_crop_caption_keeps_what_is_heard(start: float, end: float, passages: list[str]) -> None:
    assert crop_caption(ROW, start, end) == "\n".join(["A song.", *passages])
    assert crop_caption(ROW, start, end, keep_global=False) == ("\n".join(passages) or "A song.")


def test_crop_caption_without_structure_and_of_nothing() -> None:
    assert crop_caption({"global_caption": "A song.", "structure": []}, 0.0, 10.0, keep_global=False) == "A song."
    with pytest.raises(ValueError, match="start < end"):
        crop_caption(ROW, 5.0, 5.0)
