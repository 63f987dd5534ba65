"""An index under kill -9, a full disk, other processes, and files that were cut or changed."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from index_children import (
    BASE,
    Children,
    children,
    kill,
    read,
    read_until_the_last,
    wait_for_end,
    wait_for_line,
    write_for_ever,
    write_too_much,
)
from stored_tracks import CHILD, SETTINGS, same, track

from retrieval_collap.index import DamagedIndexError, IndexedTrack, TrackStore

KILLS = 20


@pytest.fixture(scope="module")
def processes() -> Iterator[Children]:
    with children(CHILD) as started:
        yield started


@pytest.fixture
def uri(tmp_path: Path) -> Path:
    TrackStore.create(tmp_path / "songs", SETTINGS).write([track(i, version=0) for i in BASE])
    return tmp_path / "songs"


def test_killed_at_any_moment_the_last_whole_commit_is_there(processes: Children, uri: Path, tmp_path: Path) -> None:
    """What a writer had told before it was killed is there, and of the commit it was at all or nothing."""
    moments, versions = random.Random(0), [0]
    for number in range(KILLS):
        report = tmp_path / f"report {number}"
        writer = processes.start(write_for_ever, uri, report)
        wait_for_line(report)
        time.sleep(moments.uniform(0, 0.2))
        kill(writer)
        told = [int(line) for line in report.read_text().splitlines()]
        versions.append(read(TrackStore.open(uri)))
        assert told == list(range(versions[-2] + 1, told[-1] + 1))
        assert versions[-1] in (told[-1], told[-1] + 1)
    tracks = TrackStore.open(uri)
    tracks.optimize(keep=timedelta(0))
    assert read(TrackStore.open(uri)) == versions[-1] >= KILLS
    tracks.write([track(i, version=0) for i in BASE])
    tracks.remove(["track 100", "track 101"])
    assert read(TrackStore.open(uri)) == 0


def test_two_processes_read_while_one_writes(processes: Children, uri: Path, tmp_path: Path) -> None:
    """Every commit replaces all tracks: a reader that sees two versions at once has seen half a commit."""
    reports = [tmp_path / "first", tmp_path / "second"]
    readers = [processes.start(read_until_the_last, uri, report) for report in reports]
    for report in reports:
        wait_for_line(report)
    tracks = TrackStore.open(uri)
    for version in range(1, 9):
        tracks.write([track(i, version=version) for i in BASE])
        if version % 4 == 0:
            tracks.optimize()
    for reader, report in zip(readers, reports, strict=True):
        wait_for_end(reader)
        *seen, end = report.read_text().splitlines()
        assert end == "end"
        assert seen[0] == "0"
        assert seen == sorted(seen)


def test_a_full_disk_leaves_the_index_as_it_was(processes: Children, uri: Path, tmp_path: Path) -> None:
    wait_for_end(processes.start(write_too_much, uri, tmp_path / "report"))
    refused, optimized, seen = (tmp_path / "report").read_text().splitlines()
    assert f"the index {uri} could not be written, and is as it was: " in refused
    assert (optimized, seen) == ("written", "0")
    tracks = TrackStore.open(uri)
    assert read(tracks) == 0
    tracks.write([track(i, version=1) for i in BASE])
    assert read(tracks) == 1


def changed(folder: Path, found: bytes, becomes: bytes) -> None:
    """The same data with some bytes of a file changed."""
    assert len(found) == len(becomes)
    files = [path for path in (folder / "data").iterdir() if found in path.read_bytes()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes().replace(found, becomes))


@pytest.mark.parametrize("what", ["sketch", "sequence", "vector"])
def test_a_changed_number_is_seen_when_the_track_is_fetched(uri: Path, what: str) -> None:
    sequence, vector = track(3).sequence, track(3).vector.astype(np.float16).tobytes()
    data = {"sketch": sequence[:34], "sequence": sequence[-40:], "vector": vector}[what]
    changed(uri, data, data[:-1] + bytes([data[-1] ^ 1]))
    tracks = TrackStore.open(uri)
    with pytest.raises(DamagedIndexError, match=r"vector or sequence of track 'track 3' are not what was written"):
        tracks.fetch(["track 2", "track 3"])
    assert same(tracks.fetch(["track 2"])[0], track(2))


def test_a_changed_word_is_seen_wherever_it_is_read(uri: Path) -> None:
    changed(uri, b"Song no. 3", b"Song no. 4")
    tracks = TrackStore.open(uri)
    for ask in (tracks.records, lambda: tracks.records(columns=["size"]), lambda: tracks.fetch(["track 3"])):
        with pytest.raises(DamagedIndexError, match=r"details of track 'track 3' are not what was written"):
            ask()


@pytest.mark.parametrize("folder", ["data", "_versions"])
def test_a_missing_file_says_so(uri: Path, folder: str) -> None:
    for path in (uri / folder).iterdir():
        path.unlink()
    with pytest.raises((DamagedIndexError, FileNotFoundError), match=str(uri)):
        TrackStore.open(uri).records()


def outcome(folder: Path, expected: list[IndexedTrack]) -> str:
    """Whether an index is refused in so many words.

    Raises:
        AssertionError: it is not, and holds other than the expected tracks.
    """
    try:
        tracks = TrackStore.open(folder)
        names = [record["id"] for record in tracks.records()]
        found = tracks.fetch([t.id for t in expected])
    except (DamagedIndexError, FileNotFoundError) as error:
        return "refused" if str(folder) in str(error) else str(error)
    assert len(tracks) == len(expected)
    assert names == sorted(t.id for t in expected)
    assert all(map(same, found, expected))
    return "unchanged"


def test_cut_and_changed_files_never_pass_for_the_index(uri: Path, tmp_path: Path) -> None:
    """One bit or the end of a file, anywhere: the index is refused, or what was hit is not part of its last version."""
    TrackStore.open(uri).remove(["track 4"])
    expected = [track(i) for i in BASE if i != 4]
    moments, outcomes = random.Random(0), Counter[str]()
    for number in range(60):
        copy = tmp_path / f"copy {number}"
        shutil.copytree(uri, copy)
        files = [path for path in sorted(copy.rglob("*")) if path.is_file() and path.parent.name != "_transactions"]
        path = moments.choice(files)
        content = bytearray(path.read_bytes())
        place = moments.randrange(len(content))
        if number % 3:
            content[place] ^= 1 << moments.randrange(8)
        else:
            del content[place:]
        path.write_bytes(content)
        outcomes[outcome(copy, expected)] += 1
        shutil.rmtree(copy)
    assert outcomes.keys() == {"refused", "unchanged"}
    assert outcomes["refused"] > 10
