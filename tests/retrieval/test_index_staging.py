"""Rows written beside a table and committed at once: unseen before, whole after, whatever others write meanwhile."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from stored_tracks import SETTINGS, track, version_of

from retrieval_collap.index import IndexedTrack, TrackStore, staging, store


@pytest.fixture
def tracks(tmp_path: Path) -> TrackStore:
    """Tracks 0 to 5 in two files."""
    tracks = TrackStore.create(tmp_path / "index", SETTINGS)
    tracks.write([track(i) for i in range(4)])
    tracks.write([track(i) for i in (4, 5)])
    return tracks


def versions(tracks: TrackStore) -> dict[str, int]:
    """The version of each track, all of which are as they were written and in the table once."""
    names = [row["id"] for row in tracks.records()]
    assert len(set(names)) == len(names) == len(tracks)
    return {found.id: version_of(found) for found in tracks.fetch(names)}


def expected(**changes: int) -> dict[str, int]:
    return {f"track {i}": 0 for i in range(6)} | {f"track {name[1:]}": version for name, version in changes.items()}


def commit(tracks: TrackStore, *batches: list[IndexedTrack]) -> None:
    staged = [part for batch in batches for part in tracks.stage(batch)]
    tracks.commit(staged, [new.id for batch in batches for new in batch])


def test_batches_are_inserted_and_replace_in_one_commit(tracks: TrackStore) -> None:
    version, reader = tracks.version, TrackStore.open(tracks.uri)
    batches = [track(i, version=1) for i in (1, 4, 5)], [track(7), track(2, version=1)], []
    staged = [TrackStore.open(tracks.uri).stage(batch) for batch in batches]
    assert (tracks.version, versions(tracks)) == (version, expected())
    tracks.commit([part for parts in staged for part in parts], [new.id for batch in batches for new in batch])
    after = expected(t1=1, t4=1, t5=1, t2=1, t7=0)
    assert (tracks.version, versions(tracks)) == (version + 1, after)
    assert versions(reader) == expected()
    reader.refresh()
    assert versions(reader) == after
    for i, new in (2, 1), (3, 0), (4, 1), (7, 0):
        assert tracks.nearest(track(i, version=new).vector, 1)[0][0] == f"track {i}"


def test_nothing_staged_is_no_commit(tracks: TrackStore) -> None:
    version = tracks.version
    commit(tracks)
    assert tracks.version == version


def test_what_is_never_committed_does_no_harm(tracks: TrackStore) -> None:
    tracks.stage([track(1, version=1), track(8)])
    tracks.write([track(2, version=2)])
    tracks.optimize(keep=timedelta(0))
    assert versions(TrackStore.open(tracks.uri)) == expected(t2=2)
    commit(tracks, [track(1, version=3), track(8)])
    assert versions(TrackStore.open(tracks.uri)) == expected(t2=2, t1=3, t8=0)


def test_what_was_staged_survives_cleaning(tracks: TrackStore) -> None:
    staged = tracks.stage([track(1, version=1), track(8)])
    other = TrackStore.open(tracks.uri)
    other.write([track(2, version=2)])
    other.optimize(keep=timedelta(0))
    tracks.commit(staged, ["track 1", "track 8"])
    assert versions(tracks) == expected(t1=1, t2=2, t8=0)


@pytest.mark.parametrize(
    ("change", "theirs"),
    [
        (lambda other: other.remove(["track 3"]), {"track 3": None}),  # from a file that the commit changes
        (lambda other: other.write([track(1, version=2)]), {}),
        (lambda other: other.write([track(8, version=2)]), {}),  # a track that is new to both
        (lambda other: other.write([track(9, version=2)]), {"track 9": 2}),
        (lambda other: other.optimize(), {}),
    ],
    ids=["removes", "replaces", "inserts the same", "inserts another", "optimizes"],
)
def test_another_process_writes_at_the_same_time(
    tracks: TrackStore,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[TrackStore], Any],
    theirs: dict[str, int | None],
) -> None:
    """It does so when it is known which rows are replaced, and the commit is not yet made."""
    look, others = staging._without, [TrackStore.open(tracks.uri)]

    def look_and_be_overtaken(*arguments: Any) -> Any:
        found = look(*arguments)
        if others:
            change(others.pop())
        return found

    monkeypatch.setattr(staging, "_without", look_and_be_overtaken)
    commit(tracks, [track(1, version=1), track(8, version=1)])
    after = expected(t1=1, t8=1) | theirs
    assert versions(tracks) == {name: version for name, version in after.items() if version is not None}


def test_the_index_of_vectors_follows(tracks: TrackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_ROWS_TO_INDEX", 500)
    tracks.write([track(i) for i in range(600)])
    tracks.optimize()
    commit(tracks, [track(i, version=1) for i in range(4)], [track(700)])
    for again in range(2):
        assert len(tracks) == 601
        for new in [track(i, version=1) for i in range(4)] + [track(700)]:
            assert tracks.nearest(new.vector, 1)[0][0] == new.id
            assert tracks.records(f"id = '{new.id}'")[0]["content_hash"] == new.content_hash
        if not again:
            tracks.optimize(keep=timedelta(0))


def test_bad_tracks_are_refused(tracks: TrackStore) -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        tracks.stage([track(1), track(1, version=1)])
    with pytest.raises(ValueError, match="length 1"):
        tracks.stage([track(1, vector=2 * track(1).vector)])


def test_a_commit_that_fails_leaves_the_table_as_it_was(tracks: TrackStore) -> None:
    staged = tracks.stage([track(1, version=1)])
    before = versions(tracks)
    with pytest.raises(OSError, match="could not be written, and is as it was"):
        tracks.commit([*staged, "{}"], ["track 1"])
    assert versions(TrackStore.open(tracks.uri)) == before
