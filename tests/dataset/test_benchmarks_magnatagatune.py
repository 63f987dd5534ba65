"""MagnaTagATune in its owners' layout, made small."""

import csv
import logging
from pathlib import Path
from typing import Any

import pytest

from dataset_scripts.benchmarks import load_magnatagatune
from dataset_scripts.benchmarks.magnatagatune import SYNONYMS

TAGS = ["guitar", "guitars", "no voice", "no vocals", "instrumental", "drum", "classic", "rare"]
# Path of the clip in mp3.zip, and its tags.
CLIPS: dict[str, list[str]] = {
    "0/artist-album-01-first-0-29.mp3": ["guitar", "drum"],
    "0/artist-album-01-first-30-59.mp3": ["guitars", "drum"],
    "b/artist-album-02-second-0-29.mp3": ["guitars", "no vocals"],
    "b/artist-album-03-silent-0-29.mp3": ["drum"],
    "c/artist-album-04-third-0-29.mp3": ["drum", "instrumental"],
    "d/other-album-01-fourth-59-88.mp3": ["drum", "guitar", "no voice"],
    "e/other-album-02-fifth-0-29.mp3": ["rare"],
    "f/other-album-03-sixth-0-29.mp3": ["no vocals", "guitars", "drum"],
}


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def magnatagatune(tmp_path: Path) -> Path:
    annotations, clips = [], []
    for number, (path, tags) in enumerate(CLIPS.items(), start=2):
        start, end = path.removesuffix(".mp3").rsplit("-", 2)[1:]
        annotations.append({"clip_id": number, **{tag: int(tag in tags) for tag in TAGS}, "mp3_path": path})
        clips.append({"clip_id": number, "track_number": 1, "title": "title", "artist": "artist", "album": "album",
                      "url": "http://", "segmentStart": start, "segmentEnd": end, "original_url": "http://",
                      "mp3_path": path})  # fmt: skip
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"" if "silent" in path else b"mp3")
    write_table(tmp_path / "annotations_final.csv", annotations)
    # Clips that were never annotated are in this file too.
    write_table(tmp_path / "clip_info_final.csv", [*clips, {**clips[0], "clip_id": 99}])
    return tmp_path


def named(rows: Any) -> list[list[str]]:
    kind = rows.features["labels"].feature
    return [[kind.int2str(label) for label in labels] for labels in rows["labels"]]


def test_the_split_goes_by_folder_and_tags_by_frequency(magnatagatune: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = load_magnatagatune(magnatagatune, top_tags=3)
    assert rows["id"] == ["7", "8", "9"]
    # drum 6; guitars 3; guitar and no vocals 2 each, in the order of the alphabet
    assert rows.features["labels"].feature.names == ["drum", "guitars", "guitar"]
    assert named(rows) == [["drum", "guitar"], [], ["drum", "guitars"]]
    assert rows[0]["song_id"] == "d/other-album-01-fourth"
    assert rows["duration"] == [29.0, 29.0, 29.0]
    assert rows[0]["audio"]["path"] == str((magnatagatune / "d/other-album-01-fourth-59-88.mp3").resolve())
    assert load_magnatagatune(magnatagatune, "validation")["id"] == ["6"]
    with caplog.at_level(logging.WARNING):
        train = load_magnatagatune(magnatagatune, "train")
    assert train["id"] == ["2", "3", "4"]
    assert train["song_id"][0] == train["song_id"][1]
    assert "clip 5" in caplog.text
    assert "has no bytes" in caplog.text


def test_synonyms_are_merged_before_tags_are_counted(magnatagatune: Path) -> None:
    rows = load_magnatagatune(magnatagatune, top_tags=3, merge_synonyms=True)
    # guitar 5 (guitar 2, guitars 3), instrumental 4 (no voice, no vocals twice, and itself)
    assert rows.features["labels"].feature.names == ["drums", "guitar", "instrumental"]
    assert named(rows) == [["drums", "guitar", "instrumental"], [], ["drums", "guitar", "instrumental"]]
    assert load_magnatagatune(magnatagatune, top_tags=3, merge_synonyms=True, tagged_only=True)["id"] == ["7", "9"]


def test_no_tag_is_in_two_groups_of_synonyms() -> None:
    others = [tag for group in SYNONYMS.values() for tag in group.split(", ")]
    assert len(set(others) | set(SYNONYMS)) == len(others) + len(SYNONYMS)


def test_audio_may_lie_in_a_folder_of_its_own(magnatagatune: Path) -> None:
    before = load_magnatagatune(magnatagatune)
    (magnatagatune / "mp3").mkdir()
    for folder in "0bcdef":
        (magnatagatune / folder).rename(magnatagatune / "mp3" / folder)
    rows = load_magnatagatune(magnatagatune)
    assert rows.remove_columns("audio").to_list() == before.remove_columns("audio").to_list()
    assert Path(rows[0]["audio"]["path"]).is_relative_to(magnatagatune / "mp3")


def test_what_is_absent_is_named(magnatagatune: Path) -> None:
    with pytest.raises(ValueError, match="no split 'dev'; it has train, validation, test"):
        load_magnatagatune(magnatagatune, "dev")
    (magnatagatune / "e/other-album-02-fifth-0-29.mp3").unlink()
    with pytest.raises(FileNotFoundError, match="clip 8 is absent"):
        load_magnatagatune(magnatagatune)
    (magnatagatune / "clip_info_final.csv").write_text("clip_id,segmentStart\n")
    with pytest.raises(ValueError, match="not a file of MagnaTagATune: it has no column clip_id"):
        load_magnatagatune(magnatagatune)
    (magnatagatune / "annotations_final.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no .*annotations_final.csv"):
        load_magnatagatune(magnatagatune)
