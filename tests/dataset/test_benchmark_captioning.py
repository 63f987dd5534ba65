"""Recordings of a benchmark through the stages that caption the corpus."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stand_ins import write_audio, write_table

from dataset_scripts.audioset import BuildConfig, pipeline
from dataset_scripts.audioset.captioners import Captioner, Refusal, Track
from dataset_scripts.audioset.stage import ROW_SCHEMA
from dataset_scripts.benchmarks import caption_benchmark, load_musiccaps
from dataset_scripts.benchmarks.captioning import Recordings


@dataclass
class SizeTeller(Captioner):
    """Describes a file by the number of its bytes, and refuses one."""

    source: ClassVar[str] = "sizes"
    refused: str

    @property
    def writer(self) -> str:
        return "a ruler"

    def check(self) -> None: ...

    def describe(self, tracks: Sequence[Track]) -> list[str | Refusal]:
        return [self._describe(track) for track in tracks]

    def _describe(self, track: Track) -> str | Refusal:
        assert track.path is not None
        if track.id == self.refused:
            return Refusal("silent: nothing to tell")
        sections = "**0-50%: Half:**\n- Loud.\n\n**50-100%: Other half:**\n- Soft."
        return f"A file of {track.path.stat().st_size} bytes.\n\n{sections}"


@pytest.fixture
def musiccaps(tmp_path: Path) -> Path:
    folder = tmp_path / "musiccaps"
    table = [{"ytid": name * 11, "start_s": 0, "end_s": 10, "caption": f"official {name}"} for name in "abc"]
    write_table(folder / "musiccaps-public.csv", table)
    for number, name in enumerate("abc"):
        write_audio(folder / "audio" / f"{name * 11}.flac", 2.0 + number, number)
    return folder


def test_each_recording_is_captioned_once(musiccaps: Path) -> None:
    rows = load_musiccaps(musiccaps)
    twice = Recordings(rows.select([0, 0, 1, 2]), block_size=2)
    blocks = list(twice())
    assert [[row["id"] for row in block.kept] for block in blocks] == [["a" * 11, "b" * 11], ["c" * 11]]
    assert blocks[0].kept[0]["path"] == rows[0]["audio"]["path"]
    assert twice.settings() == Recordings(rows).settings() != Recordings(rows.select([0, 1])).settings()


def test_from_official_to_long_captions(musiccaps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_here(config: BuildConfig, **options: Any) -> None:
        """The stages one after another in this process, as the engine runs them in others."""
        recordings, caption, structure = config.stages
        rows = [row for block in recordings(()) for row in block.kept]
        rows = structure(caption(rows).kept).kept
        (config.work / "structure" / "rows").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, ROW_SCHEMA), config.work / "structure" / "rows" / "00000.parquet")

    monkeypatch.setattr(pipeline, "build", build_here)
    captions = caption_benchmark(load_musiccaps(musiccaps), SizeTeller("b" * 11), tmp_path / "work")
    one, other = load_musiccaps(musiccaps, captions)
    size = (musiccaps / "audio" / f"{'a' * 11}.flac").stat().st_size
    assert (one["id"], one["global_caption"]) == ("a" * 11, f"A file of {size} bytes.")
    assert [section["label"] for section in other["structure"]] == ["Half", "Other half"]
    assert other["structure"][1]["end"] == pytest.approx(other["duration"])
    assert other["caption_model"] == "a ruler"
