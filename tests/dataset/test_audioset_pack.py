"""Shards and card: what `load_dataset` makes of them, and that they go on after a kill."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from audioset_stages import melody, snapshot
from datasets import Audio, load_dataset

from dataset_scripts.audioset.blocks import StageFolder
from dataset_scripts.audioset.pack import Pack, split_of
from dataset_scripts.audioset.stage import ItemError, Outcome, Row
from dataset_scripts.schema import read_shards
from dataset_scripts.songbook.render import encode

TRACKS = 12
SHARE = 0.4


def track(number: int) -> Row:
    name = f"track{number:06d}"
    return {
        "id": name,
        "youtube_id": name,
        "audioset_labels": ["Music", "Guitar"],
        "provenance": "balanced.csv",
        "licence": None if number else "Creative Commons Attribution",
        "path": f"audio/{name}.flac",
        "duration": 2.0 + number,
        "caption_source": "imported",
        "caption_model": "FUTGA",
        "caption": "word " * (number + 1),
        "global_caption": "word",
        "structure": [{"start": 0.0, "end": 1.5, "label": "intro", "caption": "A guitar."}],
        "flags": ["gap"] if number % 2 else [],
    }


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with finished rows and stereo audio at 44.1 kHz."""
    work = tmp_path_factory.mktemp("work")
    (work / "audio").mkdir()
    for number in range(TRACKS):
        (work / track(number)["path"]).write_bytes(encode(melody(number, 2, 44_100), 44_100))
    folder = StageFolder(work / "structure")
    folder.claim({})
    for block in range(3):
        folder.write(block, Outcome([track(number) for number in range(4 * block, 4 * block + 4)]))
    folder.finish(3)
    return work


def pack(work: Path, output: Path, **options: object) -> list[dict]:
    """Pack as the engine does; the pieces that were left to write."""
    stage = Pack(work, output, validation_share=SHARE, **({"rows_per_shard": 3} | options))  # type: ignore[arg-type]
    stage.check()
    source = StageFolder(work / "structure")
    done = source.done()
    assert done is not None
    pieces = stage.plan(source.files(), done.digest)
    for piece in reversed(pieces):
        stage.write(piece)
    stage.finish(source.files())
    return pieces


@pytest.fixture(scope="module")
def packed(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("packed") / "corpus"
    pack(work, output)
    return output


def of_split(split: str) -> list[Row]:
    return [row for row in map(track, range(TRACKS)) if split_of(row["id"], SHARE) == split]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("streaming", [False, True])
def test_captions_load_without_audio(packed: Path, tmp_path: Path, split: str, streaming: bool) -> None:
    for options in ({"name": "captions"}, {}):  # and are the default
        data = load_dataset(str(packed), **options, split=split, streaming=streaming, cache_dir=str(tmp_path))
        rows, expected = list(data), of_split(split)
        assert expected
        assert [row["id"] for row in rows] == [row["id"] for row in expected]
        assert "audio" not in rows[0]
        for found, wanted in zip(rows, expected, strict=True):
            for column in ("caption", "duration", "structure", "flags", "audioset_labels", "caption_model"):
                assert found[column] == wanted[column]
            assert found["split"] == split
            assert found["provenance"] == f"https://www.youtube.com/watch?v={wanted['id']} (balanced.csv)"
            assert found["licence"] == (wanted["licence"] or "not stated")


@pytest.mark.parametrize("streaming", [False, True])
def test_audio_is_mono_at_16_khz(packed: Path, tmp_path: Path, streaming: bool) -> None:
    data = load_dataset(str(packed), "audio", split="validation", streaming=streaming, cache_dir=str(tmp_path))
    assert data.features["audio"] == Audio(sampling_rate=16_000)
    for found, wanted in zip(data, of_split("validation"), strict=True):
        samples = found["audio"].get_all_samples()
        assert samples.sample_rate == 16_000
        assert samples.data.shape == (1, 32_000)
        original = melody(int(wanted["id"][5:]), 2, 44_100)
        level = np.sqrt(np.mean(samples.data.numpy() ** 2)) / np.sqrt(np.mean(original**2))
        assert level == pytest.approx(1, abs=0.03)


def test_shards_are_in_the_schema(packed: Path) -> None:
    files = sorted((packed / "audio").glob("*.parquet"))
    data = read_shards(files)
    assert sorted(data["id"]) == [track(number)["id"] for number in range(TRACKS)]


def test_the_card_computes_table_i(packed: Path) -> None:
    card = (packed / "README.md").read_text()
    durations = [track(number)["duration"] for number in range(TRACKS)]
    hours, mean = sum(durations) / 3600, sum(durations) / TRACKS
    assert f"| this data set | 12 | {hours:.2f} | {mean:.2f} | 6.50 |" in card
    assert "| arXiv 2410.02271, Table I | 51.3K | 4,109.50 | 288.25 | 256.94 |" in card
    assert "| gap | 6 | 50.0% |" in card
    assert "| imported | FUTGA | 12 |" in card


def test_packing_goes_on_where_it_was_killed(work: Path, packed: Path, tmp_path: Path) -> None:
    output = tmp_path / "corpus"
    pack(work, output)
    assert snapshot(output) == snapshot(packed)
    victim = sorted((output / "captions").glob("train-*"))[-1]
    victim.rename(victim.with_name(f".{victim.name}.123.tmp"))
    (output / "README.md").unlink()
    assert [piece["file"] for piece in pack(work, output)] == [f"captions/{victim.name}"]
    assert snapshot(output) == snapshot(packed)


def test_without_audio_there_is_one_configuration(work: Path, tmp_path: Path) -> None:
    pack(work, tmp_path / "corpus", audio=False)
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == ["README.md", "build.json", "captions"]
    data = load_dataset(str(tmp_path / "corpus"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in data.items()} == {
        split: len(of_split(split)) for split in ("train", "validation")
    }


def test_files_of_other_builds_are_refused(work: Path, tmp_path: Path) -> None:
    output = tmp_path / "corpus"
    (output / "captions").mkdir(parents=True)
    (output / "captions" / "train-00000-of-00001.parquet").touch()
    with pytest.raises(ValueError, match=r"train-00000-of-00001\.parquet is not of this build"):
        pack(work, output)


def test_other_rows_or_settings_are_refused(work: Path, tmp_path: Path) -> None:
    pack(work, tmp_path / "corpus", audio=False)
    with pytest.raises(ValueError, match="packed from other rows or with other settings"):
        pack(work, tmp_path / "corpus", audio=False, rows_per_shard=5)


def test_audio_that_does_not_decode_is_named_and_leaves_no_shard(work: Path, tmp_path: Path) -> None:
    stage = Pack(work, tmp_path / "corpus")
    source = StageFolder(work / "structure")
    piece = next(piece for piece in stage.plan(source.files(), "") if piece["config"] == "audio")
    victim = work / track(3)["path"]
    content = victim.read_bytes()
    victim.write_bytes(b"none")
    try:
        with pytest.raises(ItemError, match=r"item track000003: its audio file .* does not decode"):
            stage.write(piece)
    finally:
        victim.write_bytes(content)
    assert list((tmp_path / "corpus" / "audio").iterdir()) == []


def test_splits_follow_the_id_alone() -> None:
    names = [f"{i:011d}" for i in range(4000)]
    share = sum(split_of(name, 0.05) == "validation" for name in names) / len(names)
    assert share == pytest.approx(0.05, abs=0.015)
    assert {split_of(name, 0.0) for name in names} == {"train"}
    small = {name for name in names if split_of(name, 0.05) == "validation"}
    assert small < {name for name in names if split_of(name, 0.1) == "validation"}


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="validation_share must lie from 0 to below 1, not 1"):
        Pack(tmp_path, tmp_path / "o", validation_share=1.0).check()
    with pytest.raises(ValueError, match="rows_per_shard must be at least 1"):
        Pack(tmp_path, tmp_path / "o", rows_per_shard=0).check()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file is no folder"):
        Pack(tmp_path, tmp_path / "file").check()


def test_rows_are_written_in_groups(packed: Path) -> None:
    """A shard never has to lie in memory as a whole."""
    file = sorted((packed / "audio").glob("train-*"))[0]
    assert pq.read_metadata(file).row_group(0).num_rows <= 10
