"""Opening a library: what is checked, and how the app says what is amiss."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from space_collap.library import SpaceLibrary
from space_collap.limits import SpaceError


@pytest.fixture
def folder(tiny_library: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_library, tmp_path / "moved library"))


def open_library(folder: Path) -> SpaceLibrary:
    return SpaceLibrary.open(folder, tiny.model(), tiny.processor())


def test_a_library_opens_wherever_it_was_moved(folder: Path) -> None:
    library = open_library(folder)
    assert list(library.tracks) == ["song-2", "song-0", "song-1"]  # by title
    assert all(track.path.is_relative_to(folder) and track.path.is_file() for track in library.tracks.values())
    assert len(library.index) == 3


def test_no_path_of_this_machine_is_in_it(tiny_library: Path, tiny_checkpoint: Path) -> None:
    private = [
        str(tiny_library.parent).encode(),
        str(tiny_checkpoint.parent).encode(),
        str(Path.home()).encode() + b"/",
    ]
    for path in tiny_library.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(place in content for place in private), path


def edit(folder: Path, change: Callable[[list[dict]], object]) -> None:
    file = folder / "tracks.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def remove_audio(folder: Path) -> None:
    (folder / "audio" / "song-1.mp3").unlink()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no list": (lambda folder: (folder / "tracks.jsonl").unlink(), "no library"),
    "empty list": (lambda folder: (folder / "tracks.jsonl").write_text(""), "is empty"),
    "half a line": (lambda folder: (folder / "tracks.jsonl").write_text('{"id": "song'), "Line 1 .* is no track"),
    "a field missing": (lambda folder: edit(folder, lambda rows: rows[1].pop("title")), "Line 2 .*'title'"),
    "a file outside": (lambda folder: edit(folder, lambda rows: rows[0].update(file="../x.mp3")), "outside"),
    "no audio": (remove_audio, "lacks the audio of “Middle tones”"),
    "no index": (lambda folder: shutil.rmtree(folder / "index"), "cannot be searched: there is no index"),
    "a track not listed": (lambda folder: edit(folder, lambda rows: rows.pop()), "differ in 1 tracks, such as song-2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_library_is_not_opened(folder: Path, damage: str) -> None:
    inflict, reason = DAMAGES[damage]
    inflict(folder)
    with pytest.raises(SpaceError, match=reason):
        open_library(folder)


def test_a_library_of_another_model_is_not_opened(folder: Path) -> None:
    with pytest.raises(SpaceError, match="made with the model tiny-collap"):
        SpaceLibrary.open(folder, tiny.model(seed=1), tiny.processor())
