"""The cache of encodings: nothing is encoded twice, nothing half, and broken tracks are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from fakes import RATE, FakeScorer, sound
from tiny import row, rows

from dataset_scripts.schema import dataset_from_rows
from evaluation_collap.embeddings import BrokenTracksError, EmbeddingCache, load_samples


class FailingScorer(FakeScorer):
    """Is killed at its third track."""

    def encode_track(self, samples: np.ndarray) -> dict[str, torch.Tensor]:
        if self.tracks_encoded == 2:
            raise KeyboardInterrupt
        return super().encode_track(samples)


def cache(folder: Path, scorer: FakeScorer) -> EmbeddingCache:
    return EmbeddingCache(folder, scorer, progress=False)


def with_broken(good: int) -> Dataset:
    items = [row(i, seconds=3.0) for i in range(good)]
    items.insert(1, {**row(7), "id": "noise", "audio": {"bytes": b"this is no sound", "path": None}})
    items.append({**row(8), "id": "gone", "audio": {"bytes": None, "path": "/no/such/file.flac"}})
    return dataset_from_rows(items)


def test_tracks_and_texts_are_encoded_once(tmp_path: Path) -> None:
    data, first, second = rows(3), FakeScorer(), FakeScorer()
    tracks = cache(tmp_path, first).tracks(data)
    texts = cache(tmp_path, first).texts(["low high", "middle", "low high"])
    again = cache(tmp_path, second)
    known = [*again.tracks(data), *again.texts(["low high", "middle", "low high"])]
    for old, new in zip([*tracks, *texts], known, strict=True):
        assert old.keys() == new.keys()
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert (first.tracks_encoded, first.texts_encoded) == (3, 2)
    assert (second.tracks_encoded, second.texts_encoded, again.tracks_encoded) == (0, 0, 0)


def test_what_is_cached_is_what_the_scorer_encodes(tmp_path: Path) -> None:
    data, scorer = rows(2), FakeScorer()
    for item, encoded in zip(data, cache(tmp_path, scorer).tracks(data), strict=True):
        expected = scorer.encode_track(load_samples(item["audio"], RATE))
        torch.testing.assert_close(encoded["features"], expected["features"], rtol=0, atol=0)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    data, killed, second = rows(4), FailingScorer(), FakeScorer()
    with pytest.raises(KeyboardInterrupt):
        cache(tmp_path, killed).tracks(data)
    assert not list(tmp_path.rglob("*.tmp"))
    assert len(cache(tmp_path, second).tracks(data)) == 4
    assert second.tracks_encoded == 2


def test_another_version_of_a_model_shares_nothing(tmp_path: Path) -> None:
    data, other = rows(2), FakeScorer(version="2")
    cache(tmp_path, FakeScorer()).tracks(data)
    cache(tmp_path, other).tracks(data)
    assert other.tracks_encoded == 2


def test_another_way_to_read_texts_leaves_the_tracks(tmp_path: Path) -> None:
    class OtherReader(FakeScorer):
        text_fingerprint = "by sentences"

    data, other = rows(2), OtherReader()
    for scorer in (FakeScorer(), other):
        cache(tmp_path, scorer).tracks(data)
        cache(tmp_path, scorer).texts(["low", "high"])
    assert (other.tracks_encoded, other.texts_encoded) == (0, 2)


def test_recordings_count_and_not_their_names(tmp_path: Path) -> None:
    data, scorer = rows(2), FakeScorer()
    renamed = data.map(lambda item: {"id": f"new {item['id']}"})
    first, second = cache(tmp_path, scorer).tracks(data), cache(tmp_path, scorer).tracks(renamed)
    assert scorer.tracks_encoded == 2
    assert first.digests == second.digests
    assert len(set(first.digests)) == 2


def test_the_samples_of_a_row_are_known_too(tmp_path: Path) -> None:
    """A probe that decodes and alters tracks itself finds the unaltered ones."""
    data, scorer = rows(1), FakeScorer()
    store = cache(tmp_path, scorer)
    store.tracks(data)
    samples = load_samples(data[0]["audio"], RATE)
    store.encode_track(samples)
    assert scorer.tracks_encoded == 1
    store.encode_track(0.5 * samples)
    store.encode_track(0.5 * samples)
    assert scorer.tracks_encoded == 2


def test_tracks_are_read_one_by_one(tmp_path: Path) -> None:
    tracks = cache(tmp_path, FakeScorer()).tracks(rows(3))
    assert len(tracks) == 3
    assert [len(track["features"]) for track in tracks[1:]] == [len(tracks[1]["features"]), len(tracks[2]["features"])]
    with pytest.raises(IndexError):
        tracks[3]


def test_broken_tracks_are_refused_by_name(tmp_path: Path) -> None:
    data, scorer = with_broken(3), FakeScorer()
    with pytest.raises(
        BrokenTracksError, match=r"2 tracks cannot be used:\n  row 1 \(noise\): .*does not decode"
    ) as error:
        cache(tmp_path, scorer).tracks(data)
    assert "row 4 (gone)" in str(error.value)
    assert scorer.tracks_encoded == 3  # what could be encoded is kept for the next run
    tracks = cache(tmp_path, scorer).tracks(data, skip_broken=True)
    assert scorer.tracks_encoded == 3
    assert list(tracks.rows["id"]) == ["song-0", "song-1", "song-2"]
    assert [track.id for track in tracks.broken] == ["noise", "gone"]
    assert len(tracks) == 3


def test_a_track_too_short_for_the_model_is_broken(tmp_path: Path) -> None:
    data = dataset_from_rows([row(0), row(1, seconds=0.2)])
    with pytest.raises(BrokenTracksError, match=r"row 1 \(song-1\): the track is too short"):
        cache(tmp_path, FakeScorer()).tracks(data)


def test_it_stands_for_its_scorer(tmp_path: Path) -> None:
    scorer = FakeScorer()
    store = cache(tmp_path, scorer)
    tracks = [store.encode_track(sound("low", "high")), store.encode_track(sound("middle"))]
    texts: list[Any] = [store.encode_text("low"), store.encode_text("middle")]
    assert torch.equal(store.score(tracks, texts), scorer.score(tracks, texts))
    relevance, per_second = store.relevance(tracks[0], texts[0])
    assert torch.equal(relevance, scorer.relevance(tracks[0], texts[0])[0])
    assert per_second == scorer.relevance(tracks[0], texts[0])[1]
    assert store.can_locate
    assert (store.name, store.fingerprint, store.sampling_rate) == ("fake", "fake-1", RATE)
    assert store.protocol == scorer.protocol
