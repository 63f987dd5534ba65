"""MusicCaps: the real table where it lies beside the checkout, small ones elsewhere, with tones as clips."""

import logging
from pathlib import Path
from shutil import copy

import pytest
from stand_ins import write_audio, write_table

from dataset_scripts.benchmarks import load_musiccaps
from dataset_scripts.benchmarks.recordings import clip_names

CLIPS = [
    ("-0Gj8-vB1q4", 30, "A ballad, with strings"),
    ("Yes_is_an_id", 30, "An id that starts with a Y"),
    ("aaaaaaaaaaa", 2, "Drums"),
    ("bbbbbbbbbbb", 0, "Bass"),
]


def write_captions(folder: Path) -> None:
    table = [
        {"ytid": name, "start_s": start, "end_s": start + 10, "audioset_positive_labels": "/m/04rlf",
         "aspect_list": "['sad']", "caption": caption, "author_id": 4, "is_balanced_subset": False,
         "is_audioset_eval": True}
        for name, start, caption in CLIPS
    ]  # fmt: skip
    write_table(folder / "musiccaps-public.csv", table)


@pytest.mark.parametrize(
    "name",
    [
        "ID",
        "YID",
        "ID_30",
        "ID_30_40",
        "ID-30-40",
        "YID_30_40",
        "ID_30000",
        "ID_30000_40000",
        "YID_30000",
        "[ID]-[30-40]",
    ],
)
def test_names_of_clips(name: str, tmp_path: Path) -> None:
    write_captions(tmp_path)
    path = write_audio(tmp_path / "wav" / f"{name.replace('ID', CLIPS[0][0])}.wav")
    rows = load_musiccaps(tmp_path)
    assert list(rows["id"]) == [CLIPS[0][0]]
    assert rows[0]["audio"]["path"] == str(path)


def test_no_two_clips_share_a_name() -> None:
    names = [name for video in ("Yaaaaaaaaaaa", "aaaaaaaaaaa") for name in clip_names(video[:11], 30, 40)]
    assert len(set(names)) == len(names)


def test_clips_and_whole_videos(tmp_path: Path) -> None:
    write_captions(tmp_path)
    write_audio(tmp_path / "audio" / "aaaaaaaaaaa.flac", 13.0, 1)
    write_audio(tmp_path / "audio" / "bbbbbbbbbbb.flac", 10.5, 2)  # a clip may be cut a little late
    video, clip = load_musiccaps(tmp_path)
    assert video["structure"] == [{"start": 2.0, "end": 12.0, "label": "", "caption": "Drums"}]
    assert clip["structure"] == []
    assert (clip["caption"], clip["global_caption"], clip["youtube_id"]) == ("Bass", "Bass", "bbbbbbbbbbb")
    assert clip["duration"] == pytest.approx(10.5, abs=0.01)
    assert clip["licence"].startswith("text CC-BY-SA-4.0")
    assert clip["provenance"].endswith("musiccaps-public.csv, bbbbbbbbbbb 0-10 s")


def test_what_is_absent_or_broken_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"holds no musiccaps-public\.csv; .* https://www\.kaggle\.com/datasets/"
    ):
        load_musiccaps(tmp_path)
    write_captions(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none of the 4 recordings is there, such as .*audio/-0Gj8-vB1q4\.wav"):
        load_musiccaps(tmp_path)
    write_audio(tmp_path / "aaaaaaaaaaa.mp3")
    (tmp_path / "bbbbbbbbbbb.mp3").write_bytes(b"this is no sound")
    with caplog.at_level(logging.WARNING):
        assert list(load_musiccaps(tmp_path)["id"]) == ["aaaaaaaaaaa"]
    assert "2 of 4 recordings are not there and left out, -0Gj8-vB1q4 the first" in caplog.text
    assert "bbbbbbbbbbb.mp3, which does not decode" in caplog.text
    table = (tmp_path / "musiccaps-public.csv").read_text()
    (tmp_path / "musiccaps-public.csv").write_text(table.replace("aaaaaaaaaaa,2,", "aaaaaaaaaaa,soon,"))
    with pytest.raises(ValueError, match=r"row 4 of .*: start_s is 'soon', which is no number"):
        load_musiccaps(tmp_path)


def test_the_real_table(shared_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy(shared_data / "musiccaps" / "musiccaps-public.csv", tmp_path)
    for number, name in enumerate(("-0Gj8-vB1q4", "Y02VBGoTi9w")):
        write_audio(tmp_path / "audio" / f"{name}.opus", 10.0, number)
    rows = load_musiccaps(tmp_path)
    assert list(rows["id"]) == ["-0Gj8-vB1q4", "Y02VBGoTi9w"]
    assert rows[0]["caption"].startswith("The low quality recording features a ballad song")
    assert "5519 of 5521 recordings are not there" in caplog.text
