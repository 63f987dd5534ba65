"""The table of an index: whole commits that touch what changed, exact search, filters, several processes."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest
from stored_tracks import SETTINGS, same, track

from retrieval_collap.index import BadFilterError, IndexedTrack, TrackStore, store

NOW = timedelta(0)


@pytest.fixture
def uri(tmp_path: Path) -> Path:
    return tmp_path / "songs.lance"


@pytest.fixture
def filled(uri: Path) -> TrackStore:
    tracks = TrackStore.create(uri, SETTINGS)
    tracks.write([track(i) for i in range(40)])
    return tracks


def ids(found: Sequence[tuple[Any, ...]]) -> list[str]:
    return [near[0] for near in found]


def exact(tracks: list[IndexedTrack], query: np.ndarray) -> list[tuple[str, float]]:
    """By definition: cosines in float64, ties by id."""
    cosines = [(t.id, float(t.vector.astype(np.float64) @ query / np.linalg.norm(query))) for t in tracks]
    return sorted(cosines, key=lambda pair: (-pair[1], pair[0]))


def test_what_is_written_is_read_by_another_store(filled: TrackStore) -> None:
    other = TrackStore.open(filled.uri)
    assert (len(other), other.settings, other.version) == (40, SETTINGS, filled.version)
    wanted = ["track 31", "track 4", "track 17"]
    for found, number in zip(other.fetch(wanted), (31, 4, 17), strict=True):
        assert same(found, track(number))
    assert other.fetch([]) == []


def test_a_known_id_is_replaced_and_others_stay(filled: TrackStore) -> None:
    filled.write([track(5, version=1), track(99)])
    assert len(filled) == 41
    after = filled.fetch(["track 5", "track 6", "track 99"])
    assert all(map(same, after, [track(5, version=1), track(6), track(99)]))


def test_every_change_is_one_version(filled: TrackStore) -> None:
    before = filled.version
    filled.write([track(50), track(51)])
    assert filled.version == before + 1
    assert filled.remove(["track 50", "track 51", "nothing"]) == 2
    assert filled.version == before + 2
    assert filled.remove(["nothing"]) == filled.remove([]) == 0
    filled.write([])
    assert filled.version == before + 2
    assert len(filled) == 40


def test_ids_are_any_text(filled: TrackStore) -> None:
    strange = ["it's", "a\\b", '"', "日本", "%", "'); DROP TABLE", ""]
    filled.write([track(i, id=name) for i, name in enumerate(strange)])
    assert [found.id for found in filled.fetch(strange)] == strange
    assert filled.remove(strange) == len(strange)
    assert len(filled) == 40


def test_a_track_that_is_not_there(filled: TrackStore) -> None:
    with pytest.raises(KeyError, match="no track 'track 77'"):
        filled.fetch(["track 1", "track 77"])
    with pytest.raises(KeyError, match="no track 'track 77'"):
        filled.fetch(["track 77"])


def test_records_are_the_details_by_id(filled: TrackStore) -> None:
    records = filled.records()
    assert [record["id"] for record in records] == sorted(f"track {i}" for i in range(40))
    expected = track(0)
    assert records[0] == {name: getattr(expected, name) for name in records[0]}
    assert records[0].keys() == {f for f in IndexedTrack.__dataclass_fields__ if f not in ("vector", "sequence")}
    assert filled.records(columns=["size", "id"])[1] == {"size": track(1).size, "id": "track 1"}
    with pytest.raises(ValueError, match="no 'sequence'"):
        filled.records(columns=["id", "sequence"])


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("duration >= 37 AND array_has(tags, 'even')", [38]),
        ("path LIKE '/music/b/%' AND size < 1009", [1, 3, 5, 7]),
        ("id IN ('track 3', 'track 30')", [3, 30]),
        ("duration < 0", []),
    ],
)
def test_filters(filled: TrackStore, where: str, numbers: list[int]) -> None:
    expected = [track(number) for number in numbers]
    assert [record["id"] for record in filled.records(where)] == sorted(t.id for t in expected)
    query = track(7).vector
    found = filled.nearest(query, 10, where)
    assert ids(found) == ids(exact(expected, query))


@pytest.mark.parametrize("where", ["loudness > 3", "duration >", "title", "array_has(tags)", "CAST(title AS INT) > 3"])
def test_a_bad_filter_says_so(filled: TrackStore, where: str) -> None:
    for ask in (lambda: filled.records(where), lambda: filled.nearest(track(0).vector, 3, where)):
        with pytest.raises(
            BadFilterError, match=r"the filter .* cannot be used: .* It may name id, path, title"
        ) as caught:
            ask()
        assert repr(where) in str(caught.value)
        assert ".rs" not in str(caught.value)


def test_nearest_is_exact_with_few_rows(filled: TrackStore) -> None:
    filled.write([track(5, version=1)])
    everything = [track(i) for i in range(40) if i != 5] + [track(5, version=1)]
    query = np.random.default_rng(0).standard_normal(SETTINGS.dim).astype(np.float32) * 3
    found, expected = filled.nearest(query, 12), exact(everything, query)[:12]
    assert ids(found) == ids(expected)
    assert [near.cosine for near in found] == pytest.approx([s for _, s in expected], abs=1e-3)
    assert filled.nearest(query, 12) == found
    assert len(filled.nearest(query, 1000)) == 40


def test_ties_are_ordered_by_id_wherever_they_end(uri: Path) -> None:
    """More equal vectors than a search asks for at first, written in another order than that of their ids."""
    tracks = TrackStore.create(uri, SETTINGS)
    order = np.random.default_rng(3).permutation(90)
    twins = [track(int(i), vector=track(0).vector) for i in order]
    tracks.write(twins[:50])
    tracks.write(twins[50:])
    everything = sorted(t.id for t in twins)
    for count in (1, 5, 89):
        assert ids(tracks.nearest(track(0).vector, count)) == everything[:count]


def test_an_empty_index(uri: Path) -> None:
    tracks = TrackStore.create(uri, SETTINGS)
    assert (len(tracks), tracks.records(), tracks.nearest(track(0).vector, 5), tracks.remove(["a"])) == (0, [], [], 0)
    tracks.optimize()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vector": np.ones(SETTINGS.dim, np.float32)}, "of length 1"),
        ({"vector": np.ones(3, np.float32)}, r"must be \(16,\)"),
        ({"vector": np.full(SETTINGS.dim, np.nan, np.float32)}, "of length 1"),
        ({"steps": 3}, "does not hold 3 steps"),
        ({"sequence": b"123"}, "no whole number of steps"),
        ({"duration": float("nan")}, "finite"),
        ({"path": "/music/\udcff.mp3"}, "no Unicode text"),
    ],
)
def test_a_track_that_cannot_be_kept_is_refused_before_anything_is_written(
    filled: TrackStore, change: dict[str, object], message: str
) -> None:
    before = filled.version
    with pytest.raises(ValueError, match=message):
        filled.write([track(60), track(61, **change)])
    assert (filled.version, len(filled)) == (before, 40)


def test_an_id_twice_in_one_write_is_refused(filled: TrackStore) -> None:
    with pytest.raises(ValueError, match="'track 60' occurs twice"):
        filled.write([track(60), track(60, version=1)])


@pytest.mark.parametrize("query", [np.zeros(16), np.ones(15), np.full(16, np.nan)])
def test_a_query_without_direction_is_refused(filled: TrackStore, query: np.ndarray) -> None:
    with pytest.raises(ValueError, match="with a direction"):
        filled.nearest(query, 3)
    with pytest.raises(ValueError, match="at least 1"):
        filled.nearest(track(0).vector, 0)


def test_create_and_open_refuse_the_wrong_place(filled: TrackStore, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"an index in .* already"):
        TrackStore.create(filled.uri, SETTINGS)
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mp3").write_bytes(b"")
    with pytest.raises(FileExistsError, match="other things"):
        TrackStore.create(tmp_path / "music", SETTINGS)
    with pytest.raises(FileNotFoundError, match="no index in"):
        TrackStore.open(tmp_path / "music")
    with pytest.raises(FileNotFoundError, match="no index in"):
        TrackStore.open(tmp_path / "absent")
    lance.write_dataset(pa.table({"a": [1]}), str(tmp_path / "other"))
    with pytest.raises(ValueError, match="no track index"):
        TrackStore.open(tmp_path / "other")


def test_an_object_store_by_its_address(tmp_path: Path) -> None:
    """The same calls through Lance's object store layer, whose stand-in here is a folder."""
    tracks = TrackStore.create(f"file-object-store://{tmp_path}/songs", SETTINGS)
    tracks.write([track(i) for i in range(5)])
    assert ids(TrackStore.open(tracks.uri).nearest(track(2).vector, 1)) == ["track 2"]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.lance") if path.is_file()
    }


def test_a_small_change_leaves_the_other_rows_files_alone(uri: Path) -> None:
    tracks = TrackStore.create(uri, SETTINGS)
    for start in range(0, 3000, 1000):
        tracks.write([track(i) for i in range(start, start + 1000)])
    tracks.optimize()
    before = digests(uri / "data")
    tracks.write([track(i) for i in range(3000, 3010)])
    tracks.write([track(7, version=1)])
    tracks.remove(["track 8"])
    after = digests(uri / "data")
    assert before.items() <= after.items()
    new = sum(Path(path).stat().st_size for path in after.keys() - before.keys())
    assert 0 < new < 0.05 * sum(Path(path).stat().st_size for path in before)
    assert len(tracks) == 3009


def test_optimize_joins_small_files_and_keeps_every_row(uri: Path) -> None:
    tracks = TrackStore.create(uri, SETTINGS)
    for i in range(12):
        tracks.write([track(i), track(i + 100)])
    tracks.remove(["track 3"])
    tracks.optimize(keep=NOW)
    assert len(digests(uri / "data")) == 1
    numbers = [i for i in (*range(12), *range(100, 112)) if i != 3]
    assert all(map(same, tracks.fetch([f"track {i}" for i in numbers]), map(track, numbers)))
    assert tracks.settings == TrackStore.open(uri).settings


def test_a_reader_keeps_its_version_until_it_refreshes(filled: TrackStore) -> None:
    reader = TrackStore.open(filled.uri)
    filled.write([track(3, version=1), track(70)])
    filled.remove(["track 4"])
    filled.optimize()
    assert len(reader) == 40
    assert all(map(same, reader.fetch(["track 3", "track 4"]), [track(3), track(4)]))
    assert "track 70" not in ids(reader.nearest(track(70).vector, 40))
    reader.refresh()
    assert reader.version == filled.version
    assert ids(reader.nearest(track(70).vector, 1)) == ["track 70"]


def test_a_version_stays_for_as_long_as_it_is_kept(filled: TrackStore) -> None:
    """Counted from when it was replaced: the one before last may be old, and in use all the same."""
    for i in range(5):
        filled.write([track(i, version=1)])
    reader = TrackStore.open(filled.uri)
    filled.optimize(keep=timedelta(minutes=10))
    assert all(map(same, reader.fetch(["track 2"]), [track(2, version=1)]))
    filled.optimize(keep=NOW)
    assert len(lance.dataset(filled.uri).versions()) == 1
    reader.refresh()
    assert all(map(same, reader.fetch(["track 2"]), [track(2, version=1)]))


def test_writers_at_once_lose_nothing(filled: TrackStore) -> None:
    """Each begins from the newest version, and a second insert of an id replaces the first."""
    other = TrackStore.open(filled.uri)
    filled.write([track(60), track(61)])
    other.write([track(61, version=1), track(62)])
    other.refresh()
    assert len(other) == 43
    assert same(other.fetch(["track 61"])[0], track(61, version=1))


def test_search_through_the_index_of_vectors(uri: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracks written before and after the index was built, and replaced, removed and filtered ones."""
    monkeypatch.setattr(store, "_ROWS_TO_INDEX", 1000)
    monkeypatch.setattr(store, "_ROWS_PER_PARTITION", 64)
    monkeypatch.setattr(store, "_PARTITIONS_LOOKED_AT", 12)
    tracks = TrackStore.create(uri, SETTINGS)
    tracks.write([track(i) for i in range(1200)])
    tracks.optimize()
    assert {index.name for index in lance.dataset(str(uri)).describe_indices()} == {"track_ids", "track_vectors"}
    tracks.write([track(i) for i in range(1190, 1300)])
    tracks.write([track(4, version=1)])
    tracks.remove(["track 5"])
    everything = [track(i) for i in range(1300) if i not in (4, 5)] + [track(4, version=1)]
    for again in range(2):
        hits = 0
        for seed in range(10):
            query = track(seed * 50, version=2).vector
            found, expected = tracks.nearest(query, 10), exact(everything, query)
            assert found == tracks.nearest(query, 10)
            assert [near.cosine for near in found] == pytest.approx([dict(expected)[i] for i in ids(found)], abs=1e-3)
            hits += len(set(ids(found)) & set(ids(expected[:10])))
        assert hits > 0.8 * 100
        assert ids(tracks.nearest(track(4, version=1).vector, 1)) == ["track 4"]
        assert "track 5" not in ids(tracks.nearest(track(5).vector, 300))
        few = "array_has(tags, 'even') AND duration < 40"
        assert len(tracks.nearest(track(1).vector, 500, few)) == len(tracks.records(few)) == 20
        if not again:
            tracks.optimize(keep=NOW)
    assert len(tracks.fetch([f"track {i}" for i in range(0, 1300, 100)])) == 13
