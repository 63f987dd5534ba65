"""Which files of a folder are new, changed, unchanged or gone."""

import os
from pathlib import Path
from typing import Any

import pytest

from retrieval_collap.index.walk import FolderChanges


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp3", "sub/b.flac", "sub/deeper/c", "cover.jpg", ".hidden.mp3", "own.index/data/part.lance"):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "music"


def row(path: Path, track_id: str | None = None) -> dict[str, Any]:
    stat = path.stat()
    return {"id": track_id or str(path), "path": str(path), "size": stat.st_size, "modified": stat.st_mtime}


def test_files_of_an_unknown_folder_are_new(folder: Path) -> None:
    changes = FolderChanges.find(folder, [], exclude=folder / "own.index")
    files = [folder / "a.mp3", folder / "sub/b.flac", folder / "sub/deeper/c"]
    assert list(changes.waiting.items()) == [(file, str(file)) for file in files]
    assert (changes.changed, changes.unchanged, changes.gone, changes.failures) == (frozenset(), 0, (), ())


def test_size_and_time_tell_changed_files(folder: Path) -> None:
    known = [row(path) for path in (folder / "a.mp3", folder / "sub/b.flac", folder / "sub/deeper/c")]
    (folder / "sub/b.flac").write_bytes(b"other content")
    stat = (folder / "a.mp3").stat()
    os.utime(folder / "a.mp3", (stat.st_atime, stat.st_mtime + 2))
    changes = FolderChanges.find(folder, known, exclude=folder / "own.index")
    assert list(changes.waiting) == [folder / "a.mp3", folder / "sub/b.flac"]
    assert changes.changed == {str(path) for path in changes.waiting}
    assert changes.unchanged == 1


def test_ids_of_known_tracks_are_kept(folder: Path) -> None:
    """Tracks that were added through the Python API have ids of their own."""
    known = row(folder / "a.mp3", "first")
    (folder / "a.mp3").write_bytes(b"another")
    changes = FolderChanges.find(folder, [known], exclude=folder / "own.index")
    assert changes.waiting[folder / "a.mp3"] == "first"
    assert changes.changed == {"first"}


def test_only_tracks_of_this_folder_can_be_gone(folder: Path, tmp_path: Path) -> None:
    lost = {"id": "lost", "path": str(folder / "lost.mp3"), "size": 1, "modified": 0.0}
    elsewhere = {"id": "elsewhere", "path": str(tmp_path / "music2" / "x.mp3"), "size": 1, "modified": 0.0}
    without_file = {"id": "bytes", "path": "", "size": 1, "modified": 0.0}
    changes = FolderChanges.find(folder, [lost, elsewhere, without_file], exclude=folder / "own.index")
    assert changes.gone == ("lost",)


def test_a_folder_is_the_same_however_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FolderChanges.find(folder, [], exclude=folder / "own.index")
    monkeypatch.chdir(folder)
    assert FolderChanges.find(Path("."), [], exclude=Path("own.index")) == whole
    assert FolderChanges.find(Path("sub/.."), [], exclude=Path("own.index")) == whole


def test_a_name_that_no_table_can_hold_is_listed(folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp3")).write_bytes(b"sound")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    changes = FolderChanges.find(folder, [], exclude=folder / "own.index")
    assert len(changes.waiting) == 3
    (failure,) = changes.failures
    assert failure.id == f"{folder}/caf\N{REPLACEMENT CHARACTER}.mp3"
    assert "not UTF-8" in failure.reason


def test_folders_without_audio_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no music")
    with pytest.raises(FileNotFoundError, match="holds no audio files"):
        FolderChanges.find(tmp_path, [])
    with pytest.raises(NotADirectoryError, match="is no folder"):
        FolderChanges.find(tmp_path / "notes.txt", [])
