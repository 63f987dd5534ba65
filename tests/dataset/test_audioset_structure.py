"""The stage that turns descriptions into columns; the parser itself is tested with the parser."""

from dataset_scripts.audioset.structure import Structure

DESCRIPTION = """A slow, solemn song for organ and voice that grows louder towards its end.

**0-25% - Intro:**
* The organ plays alone.

**25-100%:** Verse
* A voice enters.
* Bells ring."""


def row(description: str | None) -> dict:
    return {"id": "a", "duration": 200.0, "description": description, "path": "a.flac"}


def test_columns_in_seconds() -> None:
    [result] = Structure()([row(DESCRIPTION)]).kept
    assert result["caption"] == DESCRIPTION
    assert result["global_caption"] == "A slow, solemn song for organ and voice that grows louder towards its end."
    spans = [(section["start"], section["end"], section["label"]) for section in result["structure"]]
    assert spans == [(0.0, 50.0, "Intro"), (50.0, 200.0, "Verse")]
    assert result["flags"] == []
    assert result["path"] == "a.flac"


def test_what_has_no_sections_is_flagged_and_kept() -> None:
    outcome = Structure()([row("Just a song."), row(""), row(None)])
    assert outcome.dropped == []
    assert [kept["caption"] for kept in outcome.kept] == ["Just a song.", "", ""]
    assert outcome.kept[0]["flags"] == ["no-sections"]
    assert "empty" in outcome.kept[1]["flags"]
