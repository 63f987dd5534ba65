"""Which videos are music, from tables in the owners' form."""

import json
from pathlib import Path

import pytest

from dataset_scripts.audioset.select import Select, labels_below, read_segments
from dataset_scripts.audioset.stage import Dropped

OWNERS_TABLE = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=5, num_segs=5, num_unique_labels=3, num_positive_labels=6
# YTID, start_seconds, end_seconds, positive_labels
aaaaaaaaaaa, 30.000, 40.000, "/m/guitar,/m/speech"
-aaaaaaaaa_, 0.000, 10.000, "/m/speech"
bbbbbbbbbbb, 50.000, 60.000, "/m/music"
aaaaaaaaaaa, 90.000, 100.000, "/m/music"
ccccccccccc, 0.000, 10.000, "/m/strings,/m/unheard_of"
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    children = {"music": ["instrument"], "instrument": ["strings"], "strings": ["guitar"], "guitar": [], "speech": []}
    labels = [
        {"id": f"/m/{name}", "name": name.capitalize(), "child_ids": [f"/m/{child}" for child in below]}
        for name, below in children.items()
    ]
    files = {"segments": tmp_path / "balanced.csv", "ontology": tmp_path / "ontology.json"}
    files["segments"].write_text(OWNERS_TABLE)
    files["ontology"].write_text(json.dumps(labels))
    return files


def select(files: dict[str, Path], **options: object) -> tuple[list[dict], list[Dropped]]:
    stage = Select((files["segments"],), files["ontology"], **options)  # type: ignore[arg-type]
    stage.check()
    outcomes = list(stage([]))
    return [row for o in outcomes for row in o.kept], [item for o in outcomes for item in o.dropped]


def test_labels_descend_from_music_and_videos_come_once(files: dict[str, Path]) -> None:
    kept, dropped = select(files)
    assert [(row["id"], row["youtube_id"], row["audioset_labels"]) for row in kept] == [
        ("aaaaaaaaaaa", "aaaaaaaaaaa", ["Guitar", "Speech"]),
        ("bbbbbbbbbbb", "bbbbbbbbbbb", ["Music"]),
        ("ccccccccccc", "ccccccccccc", ["Strings", "/m/unheard_of"]),
    ]
    assert {row["provenance"] for row in kept} == {"balanced.csv"}
    assert dropped == [
        Dropped("-aaaaaaaaa_", "select", "not Music: no label at or below it"),
        Dropped("aaaaaaaaaaa", "select", "known already: in balanced.csv"),
    ]


def test_limit_and_excluded_tables_leave_a_reason(files: dict[str, Path], tmp_path: Path) -> None:
    benchmark = tmp_path / "benchmark.csv"
    benchmark.write_text("ytid,caption\naaaaaaaaaaa,A guitar\n")
    kept, dropped = select(files, limit=1, exclude=(benchmark,))
    assert [row["id"] for row in kept] == ["bbbbbbbbbbb"]
    assert [(item.id, item.reason) for item in dropped] == [
        ("aaaaaaaaaaa", "known already: in benchmark.csv"),
        ("-aaaaaaaaa_", "not Music: no label at or below it"),
        ("aaaaaaaaaaa", "known already: in benchmark.csv"),
        ("ccccccccccc", "beyond the limit: after the first 1"),
    ]


def test_blocks_hold_the_rows_in_order(files: dict[str, Path]) -> None:
    outcomes = list(Select((files["segments"],), files["ontology"], block_size=2)([]))
    assert [[row["id"][0] for row in outcome.kept] for outcome in outcomes] == [["a", "b"], ["c"]]


def test_settings_follow_the_content_of_files_not_their_place(files: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_text(OWNERS_TABLE)
    before = Select((files["segments"],), files["ontology"]).settings()
    assert Select((copy,), files["ontology"]).settings() == before
    copy.write_text(OWNERS_TABLE.replace("bbb", "ddd"))
    assert Select((copy,), files["ontology"]).settings() != before


@pytest.mark.parametrize("line", ["aaaaaaaaaaa,30.0,40.0", "tooshort,30.0,40.0,/m/music", "aaaaaaaaaaa,1,2,/m/a,/m/b"])
def test_a_bad_line_is_named(files: dict[str, Path], line: str) -> None:
    files["segments"].write_text(OWNERS_TABLE + line + "\n")
    with pytest.raises(ValueError, match=r"line 9 of .*balanced\.csv is no segment"):
        list(read_segments(files["segments"]))


def test_what_is_missing_is_said_before_anything_is_read(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*unbalanced\.csv"):
        Select((files["segments"], tmp_path / "unbalanced.csv"), files["ontology"]).check()
    with pytest.raises(ValueError, match="names no table"):
        Select((), files["ontology"]).check()
    with pytest.raises(ValueError, match="has no label 'Musik'"):
        Select((files["segments"],), files["ontology"], root="Musik").check()
    with pytest.raises(ValueError, match="is no AudioSet ontology"):
        Select((files["segments"],), files["segments"]).check()
    with pytest.raises(ValueError, match="limit must be at least 1"):
        Select((files["segments"],), files["ontology"], limit=0).check()


def test_cycles_in_the_ontology_come_to_an_end(tmp_path: Path) -> None:
    path = tmp_path / "ontology.json"
    path.write_text(
        json.dumps([{"id": "a", "name": "Music", "child_ids": ["b"]}, {"id": "b", "name": "Jazz", "child_ids": ["a"]}])
    )
    assert labels_below(path, "Music") == {"a": "Music", "b": "Jazz"}


def test_real_tables(shared_data: Path) -> None:
    """In AudioSet singing is a human sound, and only what is said to be music is below Music."""
    folder = shared_data / "audioset"
    below = set(labels_below(folder / "ontology.json", "Music").values())
    assert {"Music", "Guitar", "Jazz", "Happy music", "Background music"} <= below
    assert below.isdisjoint({"Speech", "Singing", "Music for dogs", "Dog"})
    tables = (folder / "balanced_train_segments.csv", folder / "eval_segments.csv")
    files = {"segments": tables[0], "ontology": folder / "ontology.json"}
    kept, dropped = select(files)
    assert len(kept) + len(dropped) == 22_160
    assert len({row["id"] for row in kept}) == len(kept)
    assert all(below & set(row["audioset_labels"]) for row in kept)
    music = {segment.youtube_id for segment in read_segments(tables[0]) if "/m/04rlf" in segment.labels}
    assert music <= {row["id"] for row in kept}
    assert select(files, exclude=(tables[1],))[0] == kept  # the owners keep train and eval apart
