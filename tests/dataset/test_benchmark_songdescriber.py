"""SongDescriber in its owners' layout, made small."""

from pathlib import Path
from typing import Any

import pytest
from stand_ins import write_audio, write_table

from dataset_scripts.benchmarks import load_songdescriber
from processing_collap import load_audio

# caption_id, track_id, caption, is_valid_subset (empty: not decided)
CAPTIONS = [
    (859, 1004034, "Electronic music, with a constant melody", "True"),
    (12, 1004034, "a synth that goes on and on", "False"),
    (7, 214, "punk rock", "True"),
    (8, 214, 'fast "punk"', "True"),
    (9, 1007274, "acoustic guitar", ""),
]


def path_of(track: int) -> str:
    return f"{track % 100:02d}/{track}.mp3"


@pytest.fixture
def songdescriber(tmp_path: Path) -> Path:
    table = [
        {"caption_id": caption_id, "track_id": track, "caption": caption, "is_valid_subset": valid, "familiarity": 0,
         "artist_id": 1, "album_id": 2, "path": path_of(track), "duration": 202.5}
        for caption_id, track, caption, valid in CAPTIONS
    ]  # fmt: skip
    write_table(tmp_path / "song_describer.csv", table)
    for number, track in enumerate((1004034, 214, 1007274)):
        write_audio(tmp_path / "audio" / path_of(track).replace(".mp3", ".2min.mp3"), 1.0 + number, number)
    (tmp_path / "audio_licenses.txt").write_text(
        "34/1004034.mp3\nA Song by Someone from Jamendo: http://www.jamendo.com/track/1004034\n"
        "Available under a Creative Commons Attribution license: http://creativecommons.org/licenses/by/3.0/\n\n"
        "14/214.mp3\nAnother by Someone from Jamendo: http://www.jamendo.com/track/214\n"
        "Available under a Creative Commons license: http://creativecommons.org/licenses/by-nc-sa/3.0/\n"
    )
    return tmp_path


def test_a_row_for_each_caption_of_a_track(songdescriber: Path) -> None:
    rows = load_songdescriber(songdescriber)
    assert list(rows["id"]) == ["1004034-859", "1004034-12", "214-7", "214-8", "1007274-9"]
    assert list(rows["song_id"]) == ["1004034", "1004034", "214", "214", "1007274"]
    assert list(rows["caption"]) == [caption for _, _, caption, _ in CAPTIONS]
    # Of the two minutes, not of the whole track that the table speaks of.
    assert list(rows["duration"]) == pytest.approx([1, 1, 2, 2, 3], abs=0.1)
    first: dict[str, Any] = rows[0]
    assert first["audio"]["path"] == str(songdescriber / "audio" / "34" / "1004034.2min.mp3")
    assert len(load_audio(first["audio"]["path"], sampling_rate=16000)) == pytest.approx(16000, rel=0.1)
    assert first["licence"] == "text CC-BY-SA-4.0, audio http://creativecommons.org/licenses/by/3.0/"
    assert "audio_licenses.txt" in rows[4]["licence"]  # which does not name the track
    assert first["provenance"].endswith("song_describer.csv, caption 859")
    assert (first["split"], first["source"], first["caption_source"]) == ("test", "songdescriber", "human")
    assert first["global_caption"] == first["caption"]


def test_the_valid_subset_leaves_out_what_was_refused_or_not_decided(songdescriber: Path) -> None:
    assert list(load_songdescriber(songdescriber, "valid")["id"]) == ["1004034-859", "214-7", "214-8"]
    with pytest.raises(ValueError, match="no subset 'half'; it has full and valid"):
        load_songdescriber(songdescriber, "half")


def test_an_archive_that_was_unpacked_into_a_folder_of_its_name(songdescriber: Path) -> None:
    before = load_songdescriber(songdescriber).remove_columns("audio").to_list()
    (songdescriber / "audio").rename(songdescriber / "unpacked")
    (songdescriber / "audio").mkdir()
    (songdescriber / "unpacked").rename(songdescriber / "audio" / "audio")
    assert load_songdescriber(songdescriber).remove_columns("audio").to_list() == before


def test_what_is_absent_is_named_with_its_place(songdescriber: Path, tmp_path: Path) -> None:
    where = r"publishes it at https://zenodo\.org/records/10072001"
    (songdescriber / "audio" / "14" / "214.2min.mp3").unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"lacks the audio of 1 of 3 tracks, such as audio/14/214.2min.*{where}"
    ):
        load_songdescriber(songdescriber)
    (songdescriber / "song_describer.csv").unlink()
    with pytest.raises(FileNotFoundError, match=rf"holds no song_describer\.csv; .*{where}"):
        load_songdescriber(songdescriber)
    with pytest.raises(FileNotFoundError, match=rf"there is no folder .*none; .*{where}"):
        load_songdescriber(tmp_path / "none")


def test_what_is_broken_is_named(songdescriber: Path) -> None:
    (songdescriber / "audio" / "14" / "214.2min.mp3").write_bytes(b"this is no sound")
    with pytest.raises(ValueError, match=r"1 of 3 recordings do not decode: .*214\.2min\.mp3"):
        load_songdescriber(songdescriber)
    table = (songdescriber / "song_describer.csv").read_text()
    (songdescriber / "song_describer.csv").write_text(table.replace("is_valid_subset", "valid"))
    with pytest.raises(ValueError, match="is not the table of SongDescriber: it has no column is_valid_subset"):
        load_songdescriber(songdescriber)
    (songdescriber / "song_describer.csv").write_text(table[: table.index("path")] + "path\n1,2\n")
    with pytest.raises(ValueError, match="is cut off: row 2 has no caption"):
        load_songdescriber(songdescriber)
    (songdescriber / "song_describer.csv").write_text(table.splitlines()[0])
    with pytest.raises(ValueError, match="has no rows"):
        load_songdescriber(songdescriber)
