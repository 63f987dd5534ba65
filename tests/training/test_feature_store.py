"""Features that are computed once say what the processor says."""

from pathlib import Path

import pytest
import tiny
import torch

from processing_collap import CollapProcessor
from training_collap import CaptionedTracks, CollapCollator, FeatureStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return FeatureStore.build(tmp_path_factory.mktemp("store"), tiny.rows(3), tiny.processor().feature_extractor)


def test_features_are_those_of_the_live_processor(store: FeatureStore) -> None:
    songs, processor = tiny.rows(3), tiny.processor()
    collate = CollapCollator(processor)
    live = CaptionedTracks(songs, window_seconds=tiny.WINDOW_SECONDS)
    stored = CaptionedTracks(songs, window_seconds=tiny.WINDOW_SECONDS, features=store)
    expected, found = (collate([tracks[i] for i in range(3)]) for tracks in (live, stored))
    assert expected.keys() == found.keys()
    assert expected.pop("ids") == found.pop("ids")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3, check_dtype=False)  # half precision


def test_a_crop_is_a_run_of_windows(store: FeatureStore) -> None:
    whole, crop = store.read(2), store.read(2, 1, 3)
    for name, value in whole.items():
        assert torch.equal(crop[name], value[1:3])
    assert len(store.read(0, 2, 9)["fbank"]) == 1  # never the next track's


def test_a_complete_store_is_kept(store: FeatureStore) -> None:
    index = store.folder / "index.json"
    written = index.stat().st_mtime_ns
    again = FeatureStore.build(store.folder, tiny.rows(3), tiny.processor().feature_extractor)
    assert again.ids == store.ids
    assert index.stat().st_mtime_ns == written


def test_a_saved_extractor_reads_the_same_store(store: FeatureStore, tmp_path: Path) -> None:
    """What stands in its file about where its code lies makes no other features."""
    tiny.processor().save_pretrained(tmp_path)
    loaded = CollapProcessor.from_pretrained(tmp_path).feature_extractor
    assert loaded.to_dict() != tiny.processor().feature_extractor.to_dict()
    assert FeatureStore.build(store.folder, tiny.rows(3), loaded).ids == store.ids


def test_a_store_of_something_else_is_refused(store: FeatureStore) -> None:
    with pytest.raises(ValueError, match="ids is a list of 3 there and a list of 2 here"):
        FeatureStore.build(store.folder, tiny.rows(2), tiny.processor().feature_extractor)
    with pytest.raises(ValueError, match=r"feature_extractor.fbank_mean is 15.41663 there and 3.0 here"):
        FeatureStore.build(store.folder, tiny.rows(3), tiny.processor(fbank_mean=3.0).feature_extractor)
    with pytest.raises(ValueError, match="other rows"):
        CaptionedTracks(tiny.rows(2), features=store)


def test_an_interrupted_build_is_no_store(tmp_path: Path) -> None:
    songs = tiny.rows(3)
    songs = songs.map(lambda row: {"audio": {"bytes": b"no audio", "path": None}} if row["id"] == "song-2" else row)
    with pytest.raises(ValueError, match="decode"):
        FeatureStore.build(tmp_path, songs, tiny.processor().feature_extractor)
    with pytest.raises(FileNotFoundError, match="no complete feature store"):
        FeatureStore(tmp_path)
    assert len(FeatureStore.build(tmp_path, tiny.rows(3), tiny.processor().feature_extractor)) == 3
