"""Wiki-SD and Wiki-MC: passages over the audio of small copies of SongDescriber and MusicCaps."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from stand_ins import write_audio, write_table

from dataset_scripts.benchmarks import load_wiki_mc, load_wiki_sd

PASSAGES: list[dict[str, Any]] = [
    {"track": "214", "about": "genre", "page": "Punk rock", "passage": "Punk is loud.", "revision": 12},
    {"track": 1004034, "about": "genre", "page": "Punk rock", "passage": "Punk is loud.", "revision": 12},
    {"track": "214", "about": "artist", "page": "Björk", "passage": "She sings,\nand writes.", "revision": None},
]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def songdescriber(tmp_path: Path) -> Path:
    table = [
        {"caption_id": number, "track_id": track, "caption": "music", "is_valid_subset": "True", "path": f"{track}.mp3"}
        for number, track in enumerate((214, 214, 1004034))
    ]
    write_table(tmp_path / "song_describer.csv", table)
    for number, track in enumerate((214, 1004034)):
        write_audio(tmp_path / "audio" / f"{track}.2min.mp3", 1.0, number)
    return tmp_path


def test_passages_in_the_place_of_captions(songdescriber: Path) -> None:
    write_lines(songdescriber / "wiki-sd.jsonl", PASSAGES)
    rows = load_wiki_sd(songdescriber)
    assert list(rows["song_id"]) == ["214", "1004034", "214"]
    assert len(set(rows["id"])) == 3
    assert list(rows["caption"]) == ["Punk is loud.", "Punk is loud.", "She sings,\nand writes."]
    assert list(rows["caption_source"]) == ["wikipedia, genre", "wikipedia, genre", "wikipedia, artist"]
    assert rows[0]["provenance"] == "https://en.wikipedia.org/wiki/Punk_rock?oldid=12"
    assert rows[2]["provenance"] == "https://en.wikipedia.org/wiki/Bj%C3%B6rk"
    assert rows[0]["licence"].startswith("text CC-BY-SA-4.0, audio Creative Commons")
    assert rows[0]["audio"]["path"] == str(songdescriber / "audio" / "214.2min.mp3")


def test_passages_about_clips_that_are_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = [{"ytid": name * 11, "start_s": 0, "end_s": 10, "caption": "music"} for name in "abc"]
    write_table(tmp_path / "musiccaps-public.csv", table)
    write_audio(tmp_path / "aaaaaaaaaaa.wav")
    passages = [{**PASSAGES[0], "track": name * 11, "about": "title", "revision": ""} for name in "ab"]
    path = write_table(tmp_path / "mine.csv", passages)
    with caplog.at_level(logging.WARNING):
        (row,) = load_wiki_mc(tmp_path, path)
    assert (row["song_id"], row["youtube_id"], row["source"]) == ("aaaaaaaaaaa", "aaaaaaaaaaa", "wiki-mc")
    assert row["licence"] == "text CC-BY-SA-4.0, audio as its uploader says"
    assert "1 of 2 passages are about tracks that are not there and left out, bbbbbbbbbbb" in caplog.text
    write_lines(tmp_path / "wiki-mc.jsonl", PASSAGES)
    with pytest.raises(ValueError, match=r"no passage about a track .*; tracks are called as aaaaaaaaaaa is"):
        load_wiki_mc(tmp_path)


def test_what_is_absent_or_cannot_be_used_is_named(songdescriber: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no wiki-sd\.jsonl or wiki-sd\.csv; .*docs/benchmarks\.md"):
        load_wiki_sd(songdescriber)
    path = songdescriber / "wiki-sd.csv"
    path.write_text("track,about,page,passage\n214,mood,Joy,Happy\n214,genre,,Loud\n214,genre,Punk,Loud, and fast\n")
    with pytest.raises(ValueError, match="cannot be used") as error:
        load_wiki_sd(songdescriber)
    assert "row 2: about is 'mood', not one of artist, title, genre" in str(error.value)
    assert "row 3: page is empty" in str(error.value)
    assert "row 4: more fields than columns" in str(error.value)
    path.write_text("track,passage\n214,Loud\n")
    with pytest.raises(ValueError, match="lacks the column about"):
        load_wiki_sd(songdescriber)
