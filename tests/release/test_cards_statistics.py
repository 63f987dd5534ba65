"""What a dataset card counts, against rows that are counted by hand."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tiny

from dataset_scripts.audioset.pack import packed_features
from dataset_scripts.schema import dataset_from_rows
from release_collap.card_statistics import dataset_statistics
from release_collap.cards import render_dataset_card, unfilled


def audioset_row(number: int) -> dict:
    row = tiny.row(number, seconds=4.0, source="audioset")
    del row["audio"]
    return row | {
        "youtube_id": f"video{number}",
        "audioset_labels": ["Jazz", "Piano"] if number else ["Piano"],
        "caption_source": "transformers, prompt 1",
        "caption_model": "listener" if number else "other",
        "provenance": "https://www.youtube.com/watch?v=video",
        "caption": "one two three" if number else "one",
        "licence": "not stated",
        "flags": ["json"] if number else [],
    }


def captions(folder: Path) -> list[Path]:
    rows = dataset_from_rows([audioset_row(i) for i in range(3)], packed_features(audio=False))
    (folder / "captions").mkdir(parents=True)
    files = [folder / "captions" / f"{split}-00000-of-00001.parquet" for split in ("train", "validation")]
    rows.select([0, 1]).to_parquet(str(files[0]))
    rows.select([2]).to_parquet(str(files[1]))
    return files


def test_counts(tmp_path: Path) -> None:
    found = dataset_statistics(captions(tmp_path))
    assert found.rows == 3
    assert found.hours == pytest.approx(12 / 3600)
    assert found.mean_seconds == pytest.approx(4.0)
    assert found.mean_words == pytest.approx(7 / 3)
    assert found.sections == pytest.approx(2.0)
    assert list(found.labels.items()) == [("Piano", 3), ("Jazz", 2)]
    assert found.captions == {("transformers, prompt 1", "listener"): 2, ("transformers, prompt 1", "other"): 1}
    assert found.licences == {"not stated": 3}
    assert found.sources == {"audioset": 3}
    assert found.flags == {"json": 2}
    assert (found.config, found.split_rows) == ("captions", {"train": 2, "validation": 1})
    assert [split.path for split in found.splits] == ["captions/train-*.parquet", "captions/validation-*.parquet"]
    assert not found.audio
    assert found.size_category == "n<1K"


def test_card_of_captions(tmp_path: Path) -> None:
    text = render_dataset_card("collap-audioset", org="org", statistics=dataset_statistics(captions(tmp_path)))
    assert unfilled(text) == []
    assert "| these rows | 3 | 0.00 | 4.00 | 2.33 | 2.0 |" in text
    assert "| Piano | 3 | 100.0% |" in text
    assert "| transformers, prompt 1 | listener | 2 | 66.7% |" in text
    assert "| json | 2 | 66.7% |" in text
    assert "the recordings are not in it" in text
    assert "no rows yet" not in text


def test_shards_without_the_later_columns(tmp_path: Path) -> None:
    """The songbook's: in `data`, with audio, without labels, models of captions, and flags."""
    folder = tiny.write_dataset(tmp_path)
    found = dataset_statistics(sorted((folder / "data").glob("*.parquet")))
    assert (found.config, found.rows, found.audio) == ("default", 11, True)
    assert found.captions == {("not stated", "none"): 11}
    assert found.labels == {}
    assert found.flags == {}


def test_what_is_no_shard_is_named(tmp_path: Path) -> None:
    files = captions(tmp_path)
    with pytest.raises(FileNotFoundError, match="no shards are named"):
        dataset_statistics([])
    with pytest.raises(FileNotFoundError, match=r"absent\.parquet"):
        dataset_statistics([tmp_path / "absent.parquet"])
    with pytest.raises(ValueError, match="lie in one folder"):
        dataset_statistics([*files, tiny.write_dataset(tmp_path / "other") / "data" / "train-00000-of-00001.parquet"])
    broken = tmp_path / "captions" / "test-00000-of-00001.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"test-00000-of-00001\.parquet is no parquet file"):
        dataset_statistics([broken])
    pq.write_table(pq.read_table(files[0]).drop(["caption"]), broken)
    with pytest.raises(ValueError, match="lacks the field caption"):
        dataset_statistics([broken])
