"""AudioSet's evaluation segments: the real tables where they lie beside the checkout, small ones elsewhere."""

import json
import logging
from pathlib import Path
from shutil import copy

import pytest
from stand_ins import write_audio

from dataset_scripts.benchmarks import load_audioset_eval

# The header as the owners write it.
SEGMENTS = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=4, num_segs=4, num_unique_labels=4, num_positive_labels=6
# YTID, start_seconds, end_seconds, positive_labels
aaaaaaaaaaa, 30.000, 40.000, "/m/guitar,/m/speech"
bbbbbbbbbbb, 0.000, 9.000, "/m/music"
ccccccccccc, 10.000, 20.000, "/m/speech"
-dddddddddd, 5.500, 15.500, "/m/speech,/m/guitar"
"""
ONTOLOGY = [
    {"id": "/m/music", "name": "Music", "child_ids": ["/m/instrument"]},
    {"id": "/m/instrument", "name": "Musical instrument", "child_ids": ["/m/guitar"]},
    {"id": "/m/guitar", "name": "Guitar", "child_ids": []},
    {"id": "/m/speech", "name": "Speech", "child_ids": []},
]


@pytest.fixture
def audioset(tmp_path: Path) -> Path:
    (tmp_path / "eval_segments.csv").write_text(SEGMENTS)
    (tmp_path / "ontology.json").write_text(json.dumps(ONTOLOGY))
    for number, name in enumerate(("Yaaaaaaaaaaa", "bbbbbbbbbbb_0_9000", "ccccccccccc", "-dddddddddd_5.5_15.5")):
        write_audio(tmp_path / "eval" / f"{name}.wav", number=number)
    return tmp_path


def test_clips_with_labels_below_music(audioset: Path) -> None:
    rows = load_audioset_eval(audioset)
    assert list(rows["youtube_id"]) == ["aaaaaaaaaaa", "bbbbbbbbbbb", "-dddddddddd"]
    assert list(rows["audioset_labels"]) == [["Guitar", "Speech"], ["Music"], ["Speech", "Guitar"]]
    assert list(rows["caption"]) == [
        "The sounds of guitar and speech.",
        "The sound of music.",
        "The sounds of speech and guitar.",
    ]
    assert rows[0]["audio"]["path"] == str(audioset / "eval" / "Yaaaaaaaaaaa.wav")
    assert rows[2]["provenance"].endswith("eval_segments.csv, -dddddddddd 5.5-15.5 s")
    assert rows[0]["caption_source"] == "audioset labels"


def test_captions_of_the_caption_stage_take_the_place_of_labels(
    audioset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    captions = audioset / "captions.jsonl"
    captions.write_text(json.dumps({"id": "-dddddddddd", "caption": "A guitar solo.", "caption_model": "some/model"}))
    with caplog.at_level(logging.WARNING):
        (row,) = load_audioset_eval(audioset, captions)
    assert (row["id"], row["caption"], row["caption_model"]) == ("-dddddddddd", "A guitar solo.", "some/model")
    assert row["audioset_labels"] == ["Speech", "Guitar"]
    assert "2 of 3 recordings have no caption" in caplog.text


def test_what_is_absent_or_broken_is_named(audioset: Path) -> None:
    ontology = (audioset / "ontology.json").read_text()
    (audioset / "ontology.json").write_text(json.dumps(ONTOLOGY[:3]))
    with pytest.raises(ValueError, match=r"ontology\.json does not know the label /m/speech"):
        load_audioset_eval(audioset)
    (audioset / "ontology.json").write_text(ontology)
    (audioset / "eval_segments.csv").write_text(SEGMENTS + "eeeeeeeeeee, 1, 2\n")
    with pytest.raises(ValueError, match="is no table of segments: row 8 reads 'eeeeeeeeeee,1,2'"):
        load_audioset_eval(audioset)
    (audioset / "eval_segments.csv").write_text('ccccccccccc, 10.000, 20.000, "/m/speech"')
    with pytest.raises(ValueError, match="has no clip with music"):
        load_audioset_eval(audioset)
    (audioset / "ontology.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no ontology\.json; .*github\.com/audioset/ontology"):
        load_audioset_eval(audioset)


def test_the_real_tables(shared_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("eval_segments.csv", "ontology.json"):
        copy(shared_data / "audioset" / name, tmp_path)
    write_audio(tmp_path / "audio" / "--i-y1v8Hy8.wav")
    (row,) = load_audioset_eval(tmp_path)
    assert row["audioset_labels"][:2] == ["Music", "Speech"]
    # 7,848 of the 20,371 segments are labelled with Music or something below it.
    assert "7847 of 7848 recordings are not there" in caplog.text
