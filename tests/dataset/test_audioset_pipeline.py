"""The stages together, from tables to a data set; only the network is stood in for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import audioset_stages
import numpy as np
import pyarrow.parquet as pq
import pytest
from audioset_stages import melody, snapshot
from datasets import load_dataset
from ray import cloudpickle
from typer.testing import CliRunner

from dataset_scripts.audioset import BuildConfig, build
from dataset_scripts.audioset.caption import Caption
from dataset_scripts.audioset.captioners import ImportedCaptions
from dataset_scripts.audioset.cluster import ray_running
from dataset_scripts.audioset.duplicates import Duplicates
from dataset_scripts.audioset.filter import Filter
from dataset_scripts.audioset.pack import Pack
from dataset_scripts.audioset.select import Select
from dataset_scripts.audioset.stage import Dropped, Row, RowStage
from dataset_scripts.audioset.structure import Structure
from dataset_scripts.songbook.render import encode
from retrieval_collap.cli import app

RATE = 16_000
DESCRIPTION = "A calm song.\n\n**0-50% - Intro:**\n* A piano.\n\n**50-100% - Verse:**\n* A voice."
TUNES = {
    "tune0000000": melody(0, 8),
    "tune0000001": melody(1, 9),
    "tune0000002": melody(2, 10),
    "again000000": melody(0, 8) / 2,
    "silent00000": np.zeros(8 * RATE, np.float32),
    "short000000": melody(3, 2),
    "nowords0000": melody(4, 8),
}


@dataclass
class Fetch(RowStage):
    """Stands in for the download: the files are there already, or not."""

    name: ClassVar[str] = "download"
    work: Path

    def process(self, row: Row) -> Row | Dropped:
        path = f"audio/{row['id']}.flac"
        return row | {"path": path} if (self.work / path).exists() else self.drop(row, "gone (HTTP 404)")


cloudpickle.register_pickle_by_value(__import__(__name__))  # Ray's processes do not find the tests
cloudpickle.register_pickle_by_value(audioset_stages)


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    with ray_running(workers=2):
        yield


@pytest.fixture
def config(tmp_path: Path) -> BuildConfig:
    work = tmp_path / "work"
    (work / "audio").mkdir(parents=True)
    for name, samples in TUNES.items():
        (work / "audio" / f"{name}.flac").write_bytes(encode(samples, RATE))
    table = tmp_path / "segments.csv"
    names = [*TUNES, "vanished000"]
    table.write_text("".join(f'{name}, 0.000, 10.000, "/m/music"\n' for name in names) + 'speech00000,0,10,"/m/sp"\n')
    ontology = tmp_path / "ontology.json"
    ontology.write_text(json.dumps([{"id": "/m/music", "name": "Music", "child_ids": []}]))
    captions = tmp_path / "captions.jsonl"
    told = [json.dumps({"id": name, "caption": DESCRIPTION}) for name in TUNES if name != "nowords0000"]
    captions.write_text("\n".join(told))
    return BuildConfig(
        work,
        (
            Select((table,), ontology, block_size=3),
            Fetch(work),
            Filter(work, min_seconds=5, max_seconds=20),
            Duplicates(),
            Caption(work, ImportedCaptions(captions, "FUTGA")),
            Structure(),
            Pack(work, tmp_path / "corpus", validation_share=0.5),
        ),
        block_size=3,
    )


def test_from_tables_to_a_data_set(config: BuildConfig, tmp_path: Path) -> None:
    done = build(config)
    assert [(name, stage.kept, stage.dropped) for name, stage in done.items()] == [
        ("select", 8, 1),
        ("download", 7, 1),
        ("filter", 5, 2),
        ("duplicates", 4, 1),
        ("caption", 3, 1),
        ("structure", 3, 0),
        ("pack", 3, 0),
    ]
    ledger = {
        item["id"]: (item["stage"], item["reason"])
        for item in pq.read_table(config.work / "ledger.parquet").to_pylist()
    }
    assert ledger == {
        "speech00000": ("select", "not Music: no label at or below it"),
        "vanished000": ("download", "gone (HTTP 404)"),
        "silent00000": ("filter", "silent: 100% of its length"),
        "short000000": ("filter", "too short: 2.0 s, less than 5 s"),
        "again000000": ("duplicates", "duplicate: the recording of tune0000000"),
        "nowords0000": ("caption", "no caption: captions.jsonl has none for it"),
    }
    data = load_dataset(str(tmp_path / "corpus"), "audio", cache_dir=str(tmp_path / "cache"))
    rows = {row["id"]: row for split in data.values() for row in split}
    assert sorted(rows) == ["tune0000000", "tune0000001", "tune0000002"]
    row = rows["tune0000001"]
    assert [(section["start"], section["end"]) for section in row["structure"]] == [(0.0, 4.5), (4.5, 9.0)]
    assert row["audio"].get_all_samples().data.shape == (1, 9 * RATE)

    before = snapshot(tmp_path / "work") | snapshot(tmp_path / "corpus")
    assert build(config) == done
    assert snapshot(tmp_path / "work") | snapshot(tmp_path / "corpus") == before

    # A stage alone, after its files were removed.
    (tmp_path / "work" / "pack" / "done.json").unlink()
    (tmp_path / "corpus" / "README.md").unlink()
    assert build(config, only=["pack"]) == done
    assert snapshot(tmp_path / "work") | snapshot(tmp_path / "corpus") == before

    # Other settings are refused where they matter.
    stages = [replace(stage, min_seconds=6) if isinstance(stage, Filter) else stage for stage in config.stages]
    with pytest.raises(ValueError, match=r"filter was begun with something else \(min_seconds: 5 there, 6 now\)"):
        build(replace(config, stages=tuple(stages)))


def test_everything_is_checked_before_anything_starts(config: BuildConfig) -> None:
    broken = tuple(
        replace(stage, validation_share=2.0) if isinstance(stage, Pack) else stage for stage in config.stages
    )
    with pytest.raises(ValueError, match="validation_share"):
        build(replace(config, stages=broken))
    assert not (config.work / "select").exists()


def test_stages_are_named_rightly_and_in_order(config: BuildConfig) -> None:
    with pytest.raises(ValueError, match=r"there is no stage filters \(did you mean 'filter'\?\)"):
        build(config, only=["filters"])
    with pytest.raises(FileNotFoundError, match="no finished stage download"):
        build(config, only=["filter"])


def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "build.yaml"
    path.write_text("work: w\n")
    result = CliRunner().invoke(app, ["dataset", "build", "--config", str(path)])
    assert result.exit_code == 2
    assert "select.segments is missing" in result.output
    assert "caption.backend must be one of" in result.output
