"""Captions that the caption stage wrote, in the place of a benchmark's own."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_scripts.benchmarks.recordings import Recording
from dataset_scripts.benchmarks.rows import benchmark_row
from dataset_scripts.benchmarks.written_captions import recaptioned
from dataset_scripts.schema import dataset_from_rows

SECTIONS = [
    {"start": 0.0, "end": 60.0, "label": "verse", "caption": "A voice."},
    {"start": 60.0, "end": 150.0, "label": "chorus", "caption": "Voices."},
    {"start": 150.0, "end": 200.0, "label": "outro", "caption": "Silence."},
]
WRITTEN: dict[str, Any] = {
    "id": "one",
    "caption": "A song. A voice. Voices.",
    "global_caption": "A song.",
    "structure": SECTIONS,
    "caption_source": "transformers",
    "caption_model": "some/model",
}


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Two captions of one recording of 100 s and one of another."""
    return [
        benchmark_row(
            Recording(tmp_path / f"{song}.wav", 100.0),
            id=f"{song}-{number}",
            song_id=song,
            caption=f"official {number}",
            source="test",
            caption_source="human",
            licence="text CC0-1.0",
            provenance=f"table, row {number}",
        )
        for number, song in enumerate(("one", "one", "two"))
    ]


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_rows_of_the_structure_stage(rows: list[dict[str, Any]], tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "captions" / "00000.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist([{**WRITTEN, "flags": []}]), path)
    (row,) = dataset_from_rows(recaptioned(rows, path.parent if folder else path, "Test"))
    assert (row["id"], row["song_id"], row["caption"]) == ("one", "one", WRITTEN["caption"])
    assert (row["caption_source"], row["caption_model"]) == ("transformers", "some/model")
    # The captioner heard a longer version: what this one lacks is cut.
    assert [(section["start"], section["end"]) for section in row["structure"]] == [(0.0, 60.0), (60.0, 100.0)]
    place = Path(*path.parent.parts[-3:]) if folder else path.name
    assert row["provenance"] == f"table, row 0; caption from {place}"


def test_texts_as_music_language_models_write_them(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "futga.csv"
    path.write_text(
        'id,caption\ntwo,"A song.\n\n**0-40%: Verse:**\n- A voice, alone.\n\n**40-100%: Chorus:**\n- Voices."\n'
    )
    (row,) = dataset_from_rows(recaptioned(rows, path, "Test"))
    assert (row["id"], row["global_caption"], row["caption_source"]) == ("two", "A song.", "imported")
    sections = [(section["start"], section["end"], section["caption"]) for section in row["structure"]]
    assert sections == [(0.0, 40.0, "A voice, alone."), (40.0, 100.0, "Voices.")]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([{"id": "three", "caption": "a"}], r"has no caption of any recording of Test; they are called as one is"),
        ([{"id": "one", "caption": " "}], r"row 1 of .*: the caption of one is empty"),
        ([{"id": "one", "caption": "a"}, {"id": "one", "caption": "b"}], r"row 2 of .*: one has a caption already"),
        ([{"id": "one"}], r"row 1 of .* lacks the field caption"),
    ],
)
def test_files_that_cannot_be_used(
    rows: list[dict[str, Any]], tmp_path: Path, lines: list[dict[str, str]], problem: str
) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(ValueError, match=problem):
        recaptioned(rows, path, "Test")


def test_files_that_are_absent_or_of_another_kind(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    for name in ("none.jsonl", "none.parquet"):
        with pytest.raises(FileNotFoundError, match="there is no file of captions"):
            recaptioned(rows, tmp_path / name, "Test")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="is no parquet file"):
        recaptioned(rows, tmp_path / "broken.parquet", "Test")
    pq.write_table(pa.table({"id": ["one"], "caption": ["a"]}), tmp_path / "short.parquet")
    with pytest.raises(ValueError, match="lacks the column global_caption; it has id, caption"):
        recaptioned(rows, tmp_path / "short.parquet", "Test")
    (tmp_path / "wide.csv").write_text("id,caption\none,slow, and soft\n")
    with pytest.raises(ValueError, match=r"row 2 of .* has more fields than columns"):
        recaptioned(rows, tmp_path / "wide.csv", "Test")
