"""The sentences of a caption: measured facts put into chosen words.

`kinds` are the facts to say beyond what is always said. Each sentence is chosen by its own key, so it stays the same
whatever else is said.
"""

from collections.abc import Set

from . import caption_wording as say
from .arrangement import Arrangement, Part
from .caption_grammar import Chooser, capital, fill, is_plural, listed, with_article
from .measures import LEVELS, SectionFacts, energy, main_lead, playing_time, tempo_word

# What may be said beyond the least: facts of the song, then these groups, each in an order drawn for the song.
SONG_FACTS = ("mood", "course")
SALIENT_FACTS = ("accompaniment", "drums", "bass", "dynamics", "counter-melody")
FURTHER_FACTS = ("main lead", "harmony", "pad", "density", "rate", "melody", "change", "no drums")

MOST_NAMED = 7  # instruments in the global paragraph: those that play longest


# --- the whole song ---------------------------------------------------------------------------------------------------


def global_text(arrangement: Arrangement, facts: list[SectionFacts], kinds: Set[str], choose: Chooser) -> str:
    """Style, tempo, key and instruments; then mood, loudness, main lead and harmony as `kinds` has them."""
    sentences = [_scoring(facts, choose)]
    if "mood" in kinds:
        sentences.append(_mood(arrangement, facts, choose))
    if "course" in kinds:
        sentences.append(_course(facts, choose))
    lead = main_lead(facts)
    if "main lead" in kinds and lead and len(playing_time(facts)) > 1:
        name = _name(lead, choose)
        sentences.append(fill(choose.pick("main lead", say.MAIN_LEAD), who=f"the {name}", plural=is_plural(name)))
    if "harmony" in kinds:
        sentences.extend(_harmony(arrangement, facts, choose))
    return " ".join([_opening(arrangement, choose), *choose.shuffled("global order", sentences)])


def key_name(tonic: int, mode: str) -> str:
    """ "A minor", "E-flat major"; `tonic` 0-11 with 0 = C."""
    return f"{(say.MINOR_KEYS if mode == 'minor' else say.MAJOR_KEYS)[tonic]} {mode}"


def _opening(arrangement: Arrangement, choose: Chooser) -> str:
    song = arrangement.composition
    metre = choose.pick("metre", say.METRE.get(song.beats_per_bar, (f"bars of {song.beats_per_bar} beats",)))
    genre = choose.pick("genre", say.GENRE_NAMES.get(arrangement.genre, (arrangement.genre,)))
    return fill(
        choose.pick("opening", say.OPENING),
        piece=choose.pick("piece", say.PIECE),
        genre=genre,
        a_genre=with_article(genre),
        a_tempo=with_article(choose.pick("tempo", say.TEMPO[tempo_word(song)])),
        bpm=str(round(song.tempo_bpm)),
        key=key_name(song.tonic, song.mode),
        metre="" if song.beats_per_bar == 4 else f", in {metre}",
    )


def _scoring(facts: list[SectionFacts], choose: Chooser) -> str:
    seconds = playing_time(facts)
    named = sorted(seconds, key=lambda name: -seconds[name])
    if not named:
        return choose.pick("silent", say.SILENT)
    names = [_name(name, choose) for name in named[:MOST_NAMED]]
    if len(named) == 1:
        who = names[0] if is_plural(names[0]) else with_article(names[0])
        return fill(choose.pick("solo", say.SCORING_SOLO), who=who)
    return fill(choose.pick("scoring", say.SCORING), who=listed(choose.shuffled("players", names)), plural=True)


def _mood(arrangement: Arrangement, facts: list[SectionFacts], choose: Chooser) -> str:
    song = arrangement.composition
    words = choose.shuffled("mood words", say.MOOD[song.mode, energy(facts, song)])
    return fill(choose.pick("mood", say.MOODS), mood=listed(words[: choose.pick("moods", (1, 2))]))


def _course(facts: list[SectionFacts], choose: Chooser) -> str:
    """Loudness at the start, at the end, and at the section furthest from both where there is one."""

    def said(level: str, key: str) -> str:
        return choose.name(f"course {key}", say.DYNAMICS[level])

    levels = [section.dynamics for section in facts]
    first, last = levels[0], levels[-1]
    if len(set(levels)) == 1:
        return fill(choose.pick("steady", say.STEADY), level=said(first, "all"))
    loudest, softest = max(levels, key=LEVELS.__getitem__), min(levels, key=LEVELS.__getitem__)
    for extreme in (loudest, softest):
        if extreme not in (first, last):
            return fill(
                choose.pick("course", say.COURSE),
                first=said(first, "first"),
                last=said(last, "last"),
                extreme=said(extreme, "extreme"),
                label=facts[levels.index(extreme)].label,
            )
    return fill(choose.pick("course", say.COURSE_DIRECT), first=said(first, "first"), last=said(last, "last"))


def _harmony(arrangement: Arrangement, facts: list[SectionFacts], choose: Chooser) -> list[str]:
    """The first four chords of the chorus, or of the longest section, where all of them have a plain name."""
    song = arrangement.composition
    longest = max(facts, key=lambda section: section.end - section.start)
    section = next((section for section in facts if section.label == "chorus"), longest)
    heard = [chord for chord in song.chords if section.start - 0.1 <= chord.start < section.end - 0.1]
    flats = (song.tonic + (3 if song.mode == "minor" else 0)) * 5 % 12  # of the key's signature: F 1, B-flat 2, ...
    spelling = say.FLATS if 1 <= flats <= 5 or "flat" in key_name(song.tonic, song.mode) else say.SHARPS
    names: list[str] = []
    for chord in heard:
        if len(names) == 4:
            break
        if chord.quality not in say.CHORD_SUFFIXES:
            return []
        name = spelling[chord.root] + say.CHORD_SUFFIXES[chord.quality]
        if names[-1:] != [name]:
            names.append(name)
    if len(names) < 3:
        return []
    return [fill(choose.pick("harmony", say.HARMONY), label=section.label, chords=listed(names))]


# --- one section ------------------------------------------------------------------------------------------------------


def passage_text(facts: list[SectionFacts], index: int, kinds: Set[str], choose: Chooser) -> str:
    """Who has the melody; then support, texture, melody and changes as `kinds` has them. Understandable on its own."""
    section = facts[index]
    voice = Chooser(f"{choose.seed}/{index}")
    players, texture = _players(section, kinds, voice), _texture(section, kinds, voice)
    opening = [texture, players] if voice.pick("texture first", (True, False, False)) else [players, texture]
    more = dict.fromkeys(voice.shuffled("order", ("melody", "change", "no drums")), "")
    if "melody" in kinds and section.leads:
        more["melody"] = _melody(section, voice)
    if "change" in kinds and index > 0 and voice.pick("tell change", (True, True, False)):
        more["change"] = _change(facts[index - 1], section, voice)
    drums_elsewhere = any(other.has_drums for other in facts)
    if "no drums" in kinds and drums_elsewhere and not section.has_drums and not more["change"]:
        more["no drums"] = voice.pick("no drums", say.NO_DRUMS)
    return " ".join(sentence for sentence in (*opening, *more.values()) if sentence)


def _players(section: SectionFacts, kinds: Set[str], voice: Chooser) -> str:
    """Who has the melody over whose support; without a melody, one of the support is always named."""
    parts = [part for part in section.support if part.role in kinds]
    counter = [part for part in section.support if part.role == "counter-melody"]
    if not section.leads and not parts:
        parts = (counter or list(section.support))[:1]
    named: set[str] = set()

    def supporting() -> list[str]:
        hints = [fill(voice.pick("hint", say.HINT), who=_the(part, voice, named)) for part in section.hints]
        return [_support(part, voice, named) for part in parts] + hints

    if not section.leads:
        support = supporting()
        if not support:
            return voice.pick("silent", say.SILENT)
        templates: tuple[str, ...]
        if section.hints:
            templates = say.FEW_NOTES if parts else say.ONLY_HINTS
        else:
            templates = say.WITHOUT_MAIN if counter else say.WITHOUT_LEAD
        return fill(voice.pick("no lead", templates), support=listed(support))
    template = voice.pick("players", say.WITH_SUPPORT)
    if template.startswith("{Lead}"):  # whoever is named second is "the same piano"
        lead, support = _lead(section, voice, named), supporting()
    else:
        support, lead = supporting(), _lead(section, voice, named)
    if not support:
        return f"{capital(lead)}."
    most = voice.pick("in one sentence", (2, 3, 4))
    sentence = fill(template, lead=lead, support=listed(support[:most]))
    if not support[most:]:
        return sentence
    return f"{sentence} {fill(voice.pick('more', say.MORE_SUPPORT), support=listed(support[most:]))}"


def _lead(section: SectionFacts, voice: Chooser, named: set[str]) -> str:
    names = [_the(part, voice, named) for part in section.leads]
    if len(names) > 1:
        templates = say.LEAD_DOUBLED if section.doubled else say.LEAD_SHARED
        return fill(voice.pick("lead", templates), who=listed(names), plural=True)
    return fill(voice.pick("lead", say.LEAD), who=names[0], plural=is_plural(names[0]))


def _support(part: Part, voice: Chooser, named: set[str]) -> str:
    role = "slow counter-melody" if (part.role, part.pattern) == ("counter-melody", "long notes") else part.role
    template = voice.pick(f"support {part.role} {part.instrument}", say.SUPPORT[role])
    return fill(template, who=_the(part, voice, named), pattern=_pattern(part, voice))


def _texture(section: SectionFacts, kinds: Set[str], voice: Chooser) -> str:
    """Loudness, with density and onsets a second (to the nearest whole number) as `kinds` has them."""
    if "dynamics" not in kinds:
        return ""
    dynamics = voice.name("dynamics word", say.DYNAMICS[section.dynamics])
    if "density" not in kinds:
        return fill(voice.pick("dynamics", say.ONLY_DYNAMICS), dynamics=dynamics)
    count = round(section.onsets_per_second)
    rate = fill(voice.pick("rate", say.RATE), rate=str(count)) if "rate" in kinds and count > 1 else ""
    density = voice.name("density", say.DENSITY[section.density])
    return fill(voice.pick("texture", say.TEXTURE), dynamics=dynamics, density=density, rate=rate)


def _melody(section: SectionFacts, voice: Chooser) -> str:
    """Register and motion of the melody, and how long or joined its notes are."""
    assert section.register is not None
    motion = voice.pick("motion", say.MOTION[section.motion] if section.motion else say.REST_MOTION)
    register = voice.pick("register", say.REGISTER[section.register])
    manner = say.MANNER.get(section.leads[0].pattern) or say.LENGTHS.get(section.lengths or "")
    manner_words = f", {voice.pick('manner', manner)}" if manner else ""
    return fill(voice.pick("melody", say.MELODY), motion=motion, register=register, lengths=manner_words)


def _change(before: SectionFacts, section: SectionFacts, voice: Chooser) -> str:
    """One change against the section before: who joins or leaves, another lead, loudness or density."""
    options: list[tuple[tuple[str, ...], str]] = []
    joining = [part.instrument for part in section.support if part.instrument not in before.instruments]
    leaving = [part.instrument for part in before.support if part.instrument not in section.instruments]
    leads = [part.instrument for part in section.leads]
    if joining:
        options.append((say.JOINS, voice.pick("joining", joining)))
    if leaving:
        options.append((say.LEAVES, voice.pick("leaving", leaving)))
    if len(leads) == 1 and before.leads and leads[0] not in [part.instrument for part in before.leads]:
        options.append((say.NEW_LEAD, leads[0]))
    step = LEVELS[section.dynamics] - LEVELS[before.dynamics]
    if step:
        options.append((say.LOUDER if step > 0 else say.SOFTER, ""))
    ratio = section.onsets_per_second / before.onsets_per_second if before.onsets_per_second else 1.0
    if not 0.7 < ratio < 1.4:
        options.append((say.BUSIER if ratio > 1 else say.SPARSER, ""))
    if not options:
        return ""
    templates, instrument = voice.pick("change", options)
    name = _name(instrument, voice) if instrument else ""
    return fill(voice.pick("change words", templates), who=f"the {name}", plural=bool(name) and is_plural(name))


def _pattern(part: Part, voice: Chooser) -> str:
    """How a part plays, as a noun phrase: "walking line" becomes "a walking line", "samba" on drums "a samba beat"."""
    names = (say.DRUM_PATTERN_NAMES if part.is_drum else say.PATTERN_NAMES).get(part.pattern)
    if names:
        return voice.name(f"pattern {part.role} {part.instrument}", names)
    pattern = part.pattern if not part.is_drum or part.pattern.endswith(say.DRUM_NOUNS) else f"{part.pattern} beat"
    return pattern if pattern.endswith(say.PLURAL_NOUNS) else with_article(pattern)


def _the(part: Part, voice: Chooser, named: set[str]) -> str:
    """The part's instrument with its article; "the same" where `named` has it already."""
    same = "same " if part.instrument in named else ""
    named.add(part.instrument)
    return f"the {same}{_name(part.instrument, voice)}"


def _name(instrument: str, choose: Chooser) -> str:
    return choose.name(f"name {instrument}", say.INSTRUMENT_NAMES.get(instrument, (instrument,)))
