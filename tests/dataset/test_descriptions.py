"""Descriptions in all the forms that music language models write: in seconds, and nothing of them lost."""

import json

import pytest

from dataset_scripts.descriptions import DescribedSection, clean_text, parse_description
from dataset_scripts.songbook import arrange, write_caption, write_song

GLOBAL = "A slow ballad in a minor key."
# Label and text of the three sections that all forms below have in common: of a song of 200 s at 0-40, 40-120, 120-200.
LABELS = ("Intro", "Chorus", "Outro")
TEXTS = ("A piano plays alone.", "Drums and voices come in.", "The strings fade away.")

FORMS = {
    "percent, bold headings, lists": """A slow ballad in a minor key.

**0-20% - Intro:**
- A piano plays
- alone.

**20-60% - Chorus:**
- Drums and voices come in.

**60-100% - Outro:**
* The strings fade away.
""",
    "bare percent, function behind": """A slow ballad in a minor key.

**0-20:** Intro
- A piano plays alone.
**20-60:** Chorus
- Drums and voices come in.
**60-100:** Outro
- The strings fade away.""",
    "percent in words": """A slow ballad in a minor key.
0 to 20 percent: Intro: A piano plays alone.
20 to 60 percent: Chorus: Drums and voices come in.
60 to 100 percent: Outro: The strings fade away.""",
    "bold spans, bold functions": """A slow ballad in a minor key.
**0% – 20%**: **Intro**
A piano plays alone.
**20% – 60%**: **Chorus** Drums and voices come in.
**60% – 100%**: **Outro** – The strings fade away.""",
    "seconds": """A slow ballad in a minor key.
**0-40 s - Intro:** A piano plays alone.
**40-120 s - Chorus:** Drums and voices come in.
**120-200 s - Outro:** The strings fade away.""",
    "seconds in words, with decimals": """A slow ballad in a minor key.
- 0.0 - 40.0 seconds: Intro - A piano plays alone.
- 40.0 - 120.0 seconds: Chorus - Drums and voices come in.
- 120.0 - 200.0 seconds: Outro - The strings fade away.""",
    "bare seconds": """A slow ballad in a minor key.
[0-40] Intro: A piano plays alone.
[40-120] Chorus: Drums and voices come in.
[120-200] Outro: The strings fade away.""",
    "mm:ss in brackets": """A slow ballad in a minor key.
[0:00-0:40] Intro: A piano plays alone.
[0:40-2:00] Chorus: Drums and voices come in.
[2:00-3:20] Outro: The strings fade away.""",
    "h:mm:ss": """A slow ballad in a minor key.
**0:00:00 - 0:00:40**: Intro. A piano plays alone.
**0:00:40 - 0:02:00**: Chorus. Drums and voices come in.
**0:02:00 - 0:03:20**: Outro. The strings fade away.""",
    "minutes and seconds with letters": """A slow ballad in a minor key.
0m00s - 0m40s: Intro: A piano plays alone.
0m40s - 2m00s: Chorus: Drums and voices come in.
2m00s - 3m20s: Outro: The strings fade away.""",
    "numbered list, label before the span": """A slow ballad in a minor key.
1. **Intro (0:00 – 0:40)**: A piano plays alone.
2. **Chorus** (0:40 – 2:00): Drums and voices come in.
3. Outro [2:00 – 3:20]: The strings fade away.""",
    "headings above the times": """A slow ballad in a minor key.

### Intro
*0:00 - 0:40*
A piano plays alone.

### Chorus
*0:40 - 2:00*
Drums and voices come in.

### Outro
*2:00 - 3:20*
The strings fade away.""",
    "times as items": """A slow ballad in a minor key.

**Intro**
- Time: 0:00-0:40
- A piano plays alone.

**Chorus**
- Time: 0:40-2:00
- Drums and voices come in.

**Outro**
- Timestamp: 2:00-3:20
- The strings fade away.""",
    "label, colon, span": """A slow ballad in a minor key.
1) Intro: 0:00 to 0:40
A piano plays alone.
2) Chorus: 0:40 to 2:00
Drums and voices come in.
3) Outro: 2:00 to the end
The strings fade away.""",
    "line breaks lost": """A slow ballad in a minor key. **0-20% - Intro:** A piano plays alone. """
    """**20-60% - Chorus:** Drums and voices come in. **60-100% - Outro:** The strings fade away.""",
    "only starts": """A slow ballad in a minor key.
[0:00] Intro: A piano plays alone.
[0:40] Chorus: Drums and voices come in.
[2:00] Outro: The strings fade away.""",
    "table": """A slow ballad in a minor key.
| 0:00-0:40 | Intro | A piano plays alone. |
| 0:40-2:00 | Chorus | Drums and voices come in. |
| 2:00-3:20 | Outro | The strings fade away. |""",
    "JSON": json.dumps(
        {
            "global_caption": GLOBAL,
            "sections": [
                {"start": 0, "end": 20, "label": "Intro", "caption": TEXTS[0]},
                {"start": 20, "end": 60, "label": "Chorus", "caption": TEXTS[1]},
                {"start": 60, "end": 100, "label": "Outro", "caption": TEXTS[2]},
            ],
        }
    ),
    "JSON, fenced, spans as text": """```json
{"overall": "A slow ballad in a minor key.", "segments": [
  {"time": "0:00-0:40", "section": "Intro", "description": "A piano plays alone."},
  {"time": "0:40-2:00", "section": "Chorus", "description": "Drums and voices come in."},
  {"time": "2:00-3:20", "section": "Outro", "description": "The strings fade away."}]}
```""",
    "JSON, spans as keys": """{"description": "A slow ballad in a minor key.",
  "0-20%": {"label": "Intro", "text": "A piano plays alone."},
  "20-60%": {"label": "Chorus", "text": "Drums and voices come in."},
  "60-100%": {"label": "Outro", "text": "The strings fade away."}}""",
    "JSON, units in keys": json.dumps(
        {
            "global": GLOBAL,
            "structure": [
                {"name": "Intro", "start_time_sec": 0, "end_time_sec": 40, "text": TEXTS[0]},
                {"name": "Chorus", "start_time_sec": 40, "end_time_sec": "2:00", "text": TEXTS[1]},
                {"name": "Outro", "start_percent": 60, "end_percent": 100, "text": TEXTS[2]},
            ],
        }
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    parsed = parse_description(FORMS[form], 200.0)
    assert parsed.global_caption == GLOBAL
    assert [(section.start, section.end) for section in parsed.sections] == [(0, 40), (40, 120), (120, 200)]
    assert [section.label for section in parsed.sections] == list(LABELS)
    assert [section.caption for section in parsed.sections] == list(TEXTS)
    assert parsed.leftovers == ()
    assert set(parsed.flags) <= {"json", "bare-numbers", "ends-inferred"}
    assert ("json" in parsed.flags) == form.startswith("JSON")
    assert ("ends-inferred" in parsed.flags) == (form == "only starts")


@pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith("JSON")])
def test_caption_stays_as_written(form: str) -> None:
    assert parse_description(FORMS[form], 200.0).caption == FORMS[form].strip()


def test_caption_of_json_is_written_out() -> None:
    parsed = parse_description(FORMS["JSON"], 200.0)
    assert parsed.caption == (
        "A slow ballad in a minor key.\n**0:00-0:40 - Intro:** A piano plays alone.\n"
        "**0:40-2:00 - Chorus:** Drums and voices come in.\n**2:00-3:20 - Outro:** The strings fade away."
    )


def test_columns_of_a_row() -> None:
    columns = parse_description("Calm.\n**0-100% - All:** Piano.", 10.0).columns()
    assert columns == {
        "caption": "Calm.\n**0-100% - All:** Piano.",
        "global_caption": "Calm.",
        "structure": [{"start": 0.0, "end": 10.0, "label": "All", "caption": "Piano."}],
    }


def test_sentences_that_open_with_their_times() -> None:
    text = (
        "A slow ballad in a minor key. From 0:00 to 0:40, a piano plays alone. It is soft. Then from 0:40 to 2:00, "
        "drums come in, with a fill from 1:10 to 1:12. Between 2:00 and 3:20 the strings fade."
    )
    parsed = parse_description(text, 200.0)
    assert parsed.global_caption == GLOBAL
    assert [(section.start, section.end, section.caption) for section in parsed.sections] == [
        (0, 40, "a piano plays alone. It is soft."),
        (40, 120, "Then drums come in, with a fill from 1:10 to 1:12."),
        (120, 200, "the strings fade."),
    ]
    assert parsed.flags == ("no-label",)


def spans(numbers: str, duration: float) -> list[tuple[float, float]]:
    text = "\n".join(f"**{span}:** Part of the song." for span in numbers.split())
    return [(section.start, section.end) for section in parse_description(text, duration).sections]


@pytest.mark.parametrize(
    ("numbers", "duration", "unit"),
    [
        ("0-16 16-31 31-100", 250.0, "percent"),
        ("0-16 16-31 31-100", 60.0, "percent"),  # they end at 100, and seconds would run far over
        ("0-16 17-31 32-98", 250.0, "percent"),
        ("0-16 16-31 31-60", 60.0, "seconds"),
        ("0-30 30-97", 98.0, "seconds"),  # 100 is as wrong in percent, and the spans end with the track
        ("0-30 30-180", 240.0, "seconds"),  # no percent go up to 180
        ("0-20% 20-40 40-100", 250.0, "percent"),  # the others have no unit of their own
        ("0:00-0:20 20-40 40-100", 250.0, "seconds"),
    ],
)
def test_unit_of_bare_numbers(numbers: str, duration: float, unit: str) -> None:
    start, end = numbers.split()[1].split("-")
    scale = duration / 100 if unit == "percent" else 1.0
    found = spans(numbers, duration)[1]
    assert found == pytest.approx((float(start) * scale, min(float(end) * scale, duration)), abs=2e-3)


def test_unit_of_one_end_counts_for_both() -> None:
    assert spans("0-10s 10s-20 20-0:30", 30.0) == [(0, 10), (10, 20), (20, 30)]
    text = "0 - 1 min: Intro\n1 min - 1.5 min: Outro"
    assert [(s.start, s.end) for s in parse_description(text, 90.0).sections] == [(0, 60), (60, 90)]


@pytest.mark.parametrize(
    ("text", "flags", "sections", "leftovers"),
    [
        ("Calm.\n0:00-0:30: Intro\n0:30-1:30: Verse", {"past-the-end", "no-text"}, [(0, 30), (30, 60)], ()),
        (
            "Calm.\n0:00-1:00: Intro: a\n1:30-2:00: Verse: b",
            {"past-the-end"},
            [(0, 60)],
            ("1:30-2:00: Verse: b",),
        ),
        ("Calm.\n0:00-0:30: Intro: a\n1:00-0:30: Verse: b", {"reversed-span"}, [(0, 30), (30, 60)], ()),
        ("Calm.\n0:00-1:00: Song: a\n0:30-0:30: Break: b", {"empty-span"}, [(0, 60)], ("0:30-0:30: Break: b",)),
        ("Calm.\n0:00-0:40: Intro: a\n0:20-1:00: Verse: b", {"overlap"}, [(0, 40), (20, 60)], ()),
        ("Calm.\n0:00-0:20: Intro: a\n0:40-1:00: Verse: b", {"gap"}, [(0, 20), (40, 60)], ()),
        ("Calm.\n0:10-0:30: Intro: a\n0:30-1:00: Verse: b", {"gap"}, [(10, 30), (30, 60)], ()),
        ("Calm.\n0:00-0:30: Intro: a\n0:30-0:50: Verse: b", {"gap"}, [(0, 30), (30, 50)], ()),
        ("Calm.\n0:30-1:00: Verse: b\n0:00-0:30: Intro: a", {"out-of-order"}, [(0, 30), (30, 60)], ()),
        ("Calm.\n0:00-0:30: Intro: a\n0:31-1:01: Verse: b", set(), [(0, 30), (31, 60)], ()),  # rounding
        ("0:00-0:30: Intro: a\n0:30-1:00: Verse: b", {"no-global-caption"}, [(0, 30), (30, 60)], ()),
        ("A calm song, with a solo (0:20-0:30) in it.", {"no-sections"}, [], ()),
        (" \n", {"empty", "no-sections", "no-global-caption"}, [], ()),
    ],
)
def test_flags(text: str, flags: set[str], sections: list[tuple[float, float]], leftovers: tuple[str, ...]) -> None:
    parsed = parse_description(text, 60.0)
    assert set(parsed.flags) == flags
    assert [(section.start, section.end) for section in parsed.sections] == sections
    assert parsed.leftovers == leftovers
    assert parsed.caption == text.strip()


@pytest.mark.parametrize(
    ("opening", "leftover", "rest"),
    [
        (
            "Here is the description of the song: A slow ballad.",
            "Here is the description of the song:",
            "A slow ballad.",
        ),
        ("Sure! Here's a detailed analysis: A slow ballad.", "Sure!|Here's a detailed analysis:", "A slow ballad."),
        ("Based on the music analysis below, a slow ballad.", "Based on the music analysis below,", "a slow ballad."),
        ("The music analysis below tells more. A ballad.", "The music analysis below tells more.", "A ballad."),
        ("Here is a slow ballad. It is calm.", "", "Here is a slow ballad. It is calm."),
        ("**Global description:** A slow ballad.", "Global description:", "A slow ballad."),
        ("## Overview\nA slow ballad.\n\n## Sections", "Overview|Sections", "A slow ballad."),
    ],
)
def test_text_on_the_task_is_no_text_on_the_song(opening: str, leftover: str, rest: str) -> None:
    parsed = parse_description(f"{opening}\n\n**0-100% - Song:**\n- Piano.", 60.0)
    assert parsed.global_caption == rest
    assert "|".join(parsed.leftovers) == leftover
    assert [section.caption for section in parsed.sections] == ["Piano."]


def test_remarks_after_the_last_section() -> None:
    sections = "0:00-0:30: Intro: Piano.\n\n0:30-1:00: Verse: A voice.\n\n**Overall**, the song is calm."
    parsed = parse_description(sections, 60.0)
    assert (parsed.global_caption, parsed.leftovers) == ("Overall, the song is calm.", ())
    assert parsed.flags == ("global-caption-last",)
    parsed = parse_description(f"A ballad.\n{sections}", 60.0)
    assert (parsed.global_caption, parsed.leftovers) == ("A ballad.", ("Overall, the song is calm.",))
    assert parsed.flags == ("text-after-sections",)


@pytest.mark.parametrize(
    "line",
    [
        "- Tempo: 120-130",
        "- Tempo (120-130)",
        "4-5 instruments play at once.",
        "A solo (0:20-0:30) in the middle.",
        "- 20-30% of it is silence",
        "From start to end, the mood is the same.",
    ],
)
def test_numbers_that_are_no_times_stay_in_the_text(line: str) -> None:
    parsed = parse_description(f"**0:00-0:30 - Intro:**\n{line}\n**0:30-1:00 - Verse:**\nDrums.", 60.0)
    assert [(section.start, section.end) for section in parsed.sections] == [(0, 30), (30, 60)]
    assert parsed.sections[0].caption == line.removeprefix("- ")


@pytest.mark.parametrize(
    ("header", "label", "caption"),
    [
        ("**0-100% - Intro/Verse:**\n- Piano.", "Intro/Verse", "Piano."),
        ("**0-100:** Intro and Verse\n- Piano.", "Intro and Verse", "Piano."),
        ("**0-100:** Hip Hop\n- Piano.", "Hip Hop", "Piano."),
        ("**0-100%: Spoken Segment** - Piano.", "Spoken Segment", "Piano."),
        ("**0-100%:** The piano enters.", "", "The piano enters."),
        ("**0-100%:** The chorus: louder", "The chorus", "louder"),
        ("**0-100%:** The piano plays a new theme: louder", "", "The piano plays a new theme: louder"),
        ("0-100% (Cover Song): Piano.", "Cover Song", "Piano."),
        ("Section 1: 0:00-1:00 (Verse)\nPiano.", "Section 1: Verse", "Piano."),
        ("**Section 1 (0:00-1:00) - Verse:** Piano.", "Section 1: Verse", "Piano."),
        ("- **Instrumental Break:** 0:00 – 1:00\n  - Piano.", "Instrumental Break", "Piano."),
        ("Verse 2 - 0:00-1:00: Piano.", "Verse 2", "Piano."),
    ],
)
def test_labels_keep_their_wording(header: str, label: str, caption: str) -> None:
    (section,) = parse_description(header, 60.0).sections
    assert (section.start, section.end, section.label, section.caption) == (0, 60, label, caption)


def test_json_keeps_what_has_no_place_in_the_schema() -> None:
    answer = {
        "mood": "calm",
        "tempo": 72,
        "sections": [{"from": "0:00", "to": "1:00", "caption": "Piano.", "instruments": ["piano", "bass"]}],
        "key": None,
    }
    parsed = parse_description(f"Sure!\n```json\n{json.dumps(answer)}\n```\nAsk for more.", 60.0)
    assert parsed.global_caption == "mood: calm tempo: 72 key: null"
    assert parsed.sections == (DescribedSection(0, 60, "", "Piano. instruments: piano, bass"),)
    assert parsed.leftovers == ("Sure!", "Ask for more.")
    assert parsed.caption.split("\n")[-2:] == ["Sure!", "Ask for more."]


@pytest.mark.parametrize(
    "text",
    [
        '{"sections": [{"start": 0, "end": 50, "label": "Intro", "caption": "Pia',
        '{"start": NaN, "end": 1e999, "caption": "Piano"}',
        '{"start": -5, "end": true, "caption": "Piano"}',
        "[" * 5000,
        '{"mood": "calm"}',
        "[0:00] a",
    ],
)
def test_json_that_is_none_is_text(text: str) -> None:
    parsed = parse_description(text, 60.0)
    assert parsed.sections == ()
    assert (parsed.caption, parsed.global_caption) == (text, " ".join(text.split()))
    assert "no-sections" in parsed.flags


def test_clean_up() -> None:
    assert clean_text(" a\r\nb\x00c  \n\n\n\nd\n") == "a\nb c\n\nd"
    assert clean_text("Calm.\\n**0-50%:** a") == "Calm.\n**0-50%:** a"
    assert clean_text("```markdown\nCalm.\n```") == "Calm."
    assert clean_text("\ud800 half") == "? half"


@pytest.mark.parametrize("duration", [0.0, -1.0, float("nan"), float("inf")])
def test_durations_that_are_none(duration: float) -> None:
    with pytest.raises(ValueError, match="needs the duration"):
        parse_description("Calm.", duration)


@pytest.mark.parametrize("mark", ["*", " ", "* ", "[", "0:00-", "the analysis ", "Intro (", "`", "{", "1. "])
def test_models_that_repeat_themselves(mark: str) -> None:
    """Of a text like this, patterns that look back never come to an end."""
    text = mark * (20_000 // len(mark))
    parsed = parse_description(f"Intro (0:00-0:30): a {text}\n{text}\n**{text}", 60.0)
    assert parsed.caption.startswith("Intro (0:00-0:30): a")


@pytest.mark.parametrize("seed", range(12))
def test_captions_of_the_songbook(seed: int) -> None:
    """All of its layouts and clocks; its times are rounded to a second or to a percent."""
    arrangement = arrange(write_song(seed), seed)
    caption, duration = write_caption(arrangement), arrangement.composition.duration
    parsed = parse_description(caption.caption, duration)
    assert parsed.global_caption == caption.global_caption
    assert len(parsed.sections) == len(caption.passages)
    for section, passage in zip(parsed.sections, caption.passages, strict=True):
        tolerance = max(0.51, 0.0051 * duration)
        assert section.start == pytest.approx(passage.start, abs=tolerance)
        assert section.end == pytest.approx(passage.end, abs=tolerance)
        assert section.caption == passage.caption
        assert section.label.lower().endswith(passage.label.lower())
    assert parsed.flags == ()
