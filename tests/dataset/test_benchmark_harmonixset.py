"""HarmonixSet in its owners' layout: the real annotations where they lie beside the checkout, small ones elsewhere."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from stand_ins import write_audio, write_table

from dataset_scripts.benchmarks import load_harmonixset

SONGS: list[dict[str, Any]] = [
    {"file": "0001_12step", "duration_s": 10.0, "bpm": 113, "time_signature": "4|4", "genre": "R&B",
     "youtube": "http://www.youtube.com/watch?v=iBHNgV6_znU",
     "segments": [[0.5, "intro"], [3.0, "verse"], [6.25, "chorus"], [9.0, "end"]]},
    {"file": "0241_satellite", "duration_s": 8.0, "bpm": 95, "time_signature": "6|8", "genre": "",
     "youtube": "https://www.youtube.com/watch?v=aaaaaaaaaaa&t=1",
     "segments": [[0.0, "chorus"], [4.0, "end"], [5.0, "end"]]},
    {"file": "0539_youandi", "duration_s": 6.0, "bpm": 120, "time_signature": "4|4", "genre": "Pop",
     "youtube": "", "segments": [[0.0, "verse"], [4.0, "outro"]]},
]  # fmt: skip


def write_set(root: Path, songs: list[dict[str, Any]]) -> None:
    table = [
        {"File": song["file"], "Title": "1, 2 Step", "Artist": "Ciara", "Release": "Goodies",
         "Duration": song["duration_s"], "BPM": song["bpm"], "Ratio Bars in 4": 100.0,
         "Time Signature": song["time_signature"], "Genre": song["genre"], "MusicBrainz Id": "", "Acoustid Id": ""}
        for song in songs
    ]  # fmt: skip
    write_table(root / "metadata.csv", table)
    write_table(root / "youtube_urls.csv", [{"File": song["file"], "URL": song["youtube"]} for song in songs])
    (root / "segments").mkdir()
    for song in songs:
        lines = "".join(f"{start} {label}\n" for start, label in song["segments"])
        (root / "segments" / f"{song['file']}.txt").write_text(lines)


@pytest.fixture
def harmonixset(tmp_path: Path) -> Path:
    write_set(tmp_path / "dataset", SONGS)
    write_audio(tmp_path / "audio" / "0001_12step.mp3", 10.0)
    write_audio(tmp_path / "audio" / "aaaaaaaaaaa.flac", 8.0, 1)
    write_audio(tmp_path / "audio" / "0539_youandi.flac", 5.0, 2)
    return tmp_path


def test_sections_by_their_boundaries(harmonixset: Path) -> None:
    rows = load_harmonixset(harmonixset)
    assert list(rows["id"]) == ["0001_12step", "0241_satellite", "0539_youandi"]
    spans = [[(section["start"], section["end"], section["label"]) for section in row] for row in rows["structure"]]
    assert spans[0] == [(0.5, 3.0, "intro"), (3.0, 6.25, "verse"), (6.25, 9.0, "chorus")]
    assert spans[1] == [(0.0, 4.0, "chorus")]  # nothing is heard behind an end
    assert spans[2] == [(0.0, 4.0, "verse"), (4.0, 5.0, "outro")]  # without an end, up to that of the recording
    assert rows[1]["audio"]["path"] == str(harmonixset / "audio" / "aaaaaaaaaaa.flac")
    assert list(rows["youtube_id"]) == ["iBHNgV6_znU", "aaaaaaaaaaa", None]


def test_captions_say_what_the_annotations_say(harmonixset: Path) -> None:
    rows = load_harmonixset(harmonixset)
    assert rows[0]["caption"] == "R&B song in 4/4 time at 113 beats per minute. Sections: intro, verse, chorus."
    assert rows[0]["global_caption"] == "R&B song in 4/4 time at 113 beats per minute."
    assert rows[1]["caption"] == "Song in 6/8 time at 95 beats per minute. Sections: chorus."
    assert rows[0]["caption_source"] == "annotations"


def test_captions_of_the_caption_stage_bring_their_own_sections(harmonixset: Path) -> None:
    text = "A slow song.\n\n**0-50% - Verse:**\n- A voice.\n\n**50-100% - Chorus:**\n- Voices."
    (harmonixset / "captions.jsonl").write_text(json.dumps({"id": "0539_youandi", "caption": text}))
    (row,) = load_harmonixset(harmonixset, harmonixset / "captions.jsonl")
    assert row["caption"] == text
    assert [(section["start"], section["end"]) for section in row["structure"]] == [(0.0, 2.5), (2.5, 5.0)]
    assert row["provenance"].endswith("0539_youandi.txt; caption from captions.jsonl")


def test_the_folder_of_the_annotations_alone(harmonixset: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = harmonixset / "dataset"
    with pytest.raises(FileNotFoundError, match=r"none of the 3 recordings is there, .*its owner publishes no audio"):
        load_harmonixset(folder)
    (harmonixset / "audio").rename(folder / "audio")
    assert len(load_harmonixset(folder)) == 3
    assert not caplog.text
    write_audio(folder / "audio" / "0001_12step.flac", 2.0)  # before the MP3 by name
    with caplog.at_level(logging.WARNING):
        assert load_harmonixset(folder)[0]["structure"] == [{"start": 0.5, "end": 2.0, "label": "intro", "caption": ""}]
    assert "1 recordings last longer or shorter than the annotated ones by more than 3 s, 0001_12step" in caplog.text


def test_what_is_absent_or_broken_is_named(harmonixset: Path) -> None:
    segments = harmonixset / "dataset" / "segments"
    (segments / "0001_12step.txt").write_text("0.0 intro\nsoon verse\n")
    with pytest.raises(ValueError, match=r"line 2 of .*0001_12step\.txt reads 'soon verse'"):
        load_harmonixset(harmonixset)
    (segments / "0001_12step.txt").write_text("")
    with pytest.raises(ValueError, match=r"0001_12step\.txt has no sections"):
        load_harmonixset(harmonixset)
    (segments / "0001_12step.txt").unlink()
    where = r"https://github\.com/urinieto/harmonixset"
    with pytest.raises(FileNotFoundError, match=rf"segments holds no 0001_12step\.txt; .*{where}"):
        load_harmonixset(harmonixset)
    with pytest.raises(FileNotFoundError, match=rf"holds no metadata\.csv; .*{where}"):
        load_harmonixset(harmonixset / "audio")


def test_the_real_annotations(shared_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = (shared_data / "harmonix" / "harmonix.jsonl").read_text(encoding="utf-8").splitlines()
    write_set(tmp_path, [json.loads(line) for line in lines])
    write_audio(tmp_path / "audio" / "0001_12step.wav", 142.47)
    (row,) = load_harmonixset(tmp_path)
    assert [section["label"] for section in row["structure"]][:3] == ["intro", "verse", "chorus"]
    assert len(row["structure"]) == 9
    assert row["structure"][-1]["end"] == pytest.approx(138.062)
    assert row["caption"].startswith("R&B song in 4/4 time at 113.0 beats per minute. Sections: intro, verse, chorus,")
    assert "911 of 912 recordings are not there" in caplog.text
