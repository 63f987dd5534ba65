"""Building a library: from songs and from files, whole or not at all, and going on after a kill."""

import io
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
import typer
from rich.console import Console
from space_collap import build_library as building
from space_collap import library_indexing
from space_collap.build_library import build_library, cached_library
from space_collap.engine import Engine
from space_collap.library_entries import Entry, file_entries, song_entries
from space_collap.limits import SpaceError
from torchcodec.decoders import AudioDecoder
from torchcodec.encoders import AudioEncoder
from typer.testing import CliRunner

from dataset_scripts.songbook.songwriter import split_of
from retrieval_collap import TrackIndex

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "space", HERE, HERE.parent))),
    "OMP_NUM_THREADS": "1",
}


def write_tone(path: Path, hertz: float, seconds: float = 2.5) -> None:
    encoder = AudioEncoder(torch.from_numpy(tiny.tone(seconds, hertz))[None], sample_rate=tiny.RATE)
    path.write_bytes(encoder.to_tensor("mp3", bit_rate=48_000).numpy().tobytes())


def entry(number: int) -> Entry:
    write = partial(write_tone, hertz=200.0 + 50 * number)
    return Entry(f"tone-{number}", f"Tone {number}", f"{number}.mp3", "CC0-1.0", "a tone", write)


def build(checkpoint: Path, output: Path, entries: list[Entry]) -> tuple[Path, str]:
    """The library, and what was printed."""
    console = Console(file=io.StringIO(), width=200)
    folder = build_library(entries, str(checkpoint), output, console, workers=0)
    assert isinstance(console.file, io.StringIO)
    return folder, console.file.getvalue()


def test_the_index_hears_what_listeners_hear(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder, printed = build(tiny_checkpoint, tmp_path / "library", [entry(0), entry(1)])
    assert sorted(path.name for path in folder.iterdir()) == ["audio", "index", "tracks.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library"]
    assert "2 of 2 tracks" in printed
    index = TrackIndex.open(folder / "index", tiny.model(), tiny.processor())
    by_file = {match.id: match.score for match in index.similar(folder / "audio" / "1.mp3")}
    assert by_file["tone-1"] == pytest.approx(1.0, abs=1e-3)
    rows = {row["id"]: row for row in index.store.records()}
    assert [rows["tone-0"][name] for name in ("path", "title")] == ["audio/0.mp3", "Tone 0"]
    assert index.store.settings.model == "tiny-collap"


def test_what_is_there_is_never_touched(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "precious").write_text("work")
    with pytest.raises(SpaceError, match="is there already"):
        build(tiny_checkpoint, tmp_path / "library", [entry(0)])
    assert (tmp_path / "library" / "precious").read_text() == "work"


def test_tracks_that_cannot_be_used_are_left_out(tiny_checkpoint: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    (music / "album").mkdir(parents=True)
    AudioEncoder(torch.from_numpy(tiny.tone(2.0))[None], sample_rate=tiny.RATE).to_file(
        music / "album" / "good one.flac"
    )
    (music / "bad.mp3").write_bytes(b"no sound")
    folder, printed = build(tiny_checkpoint, tmp_path / "library", file_entries(music, "all rights reserved"))
    assert "Left out: bad.mp3: it does not decode" in printed
    (row,) = map(json.loads, (folder / "tracks.jsonl").read_text().splitlines())
    assert (row["id"], row["title"], row["licence"]) == ("album/good one.flac", "good one", "all rights reserved")
    assert (row["caption"], row["sections"]) == ("", [])
    engine = Engine.open(str(tiny_checkpoint), folder)
    description = engine.describe(engine.tracks[0].id, labels=["a", "b"])
    assert description.texts == ()  # nobody has described these tracks
    assert len(description.tags) == 2
    with pytest.raises(SpaceError, match="None of the 1 tracks"):
        build(tiny_checkpoint, tmp_path / "none", file_entries(music, "")[1:])
    assert not (tmp_path / "none").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from rich.console import Console
from test_build_library import entry
from dataclasses import replace
from space_collap import build_library as building, library_indexing

def die(path):
    path.with_name(".half.tmp").write_bytes(b"half a file")
    os.kill(os.getpid(), signal.SIGKILL)

library_indexing._TRACKS_PER_COMMIT = 2
entries = [entry(0), entry(1), entry(2), replace(entry(3), write=die)]
building.build_library(entries, sys.argv[1], Path(sys.argv[2]), Console(quiet=True), workers=0)
"""


def test_a_killed_build_goes_on(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "library"
    command = [sys.executable, "-c", KILLED, str(tiny_checkpoint), str(output)]
    killed = subprocess.run(command, env=ENVIRONMENT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not output.exists()
    partial_audio = tmp_path / ".library.partial" / "audio"
    stamps = {path.name: path.stat().st_mtime_ns for path in partial_audio.glob("*.mp3")}
    assert sorted(stamps) == ["0.mp3", "1.mp3", "2.mp3"]
    encoded: list[str] = []
    true_row = library_indexing.row_of
    monkeypatch.setattr(
        library_indexing, "row_of", lambda track_id, *rest: encoded.append(track_id) or true_row(track_id, *rest)
    )
    # Without the first track, as if fewer had been asked for this time.
    folder, _ = build(tiny_checkpoint, output, [entry(1), entry(2), entry(3)])
    assert encoded == ["tone-2", "tone-3"]  # the first two were in the index
    assert sorted(path.name for path in (folder / "audio").iterdir()) == ["1.mp3", "2.mp3", "3.mp3"]
    assert all((folder / "audio" / name).stat().st_mtime_ns == stamps[name] for name in ("1.mp3", "2.mp3"))
    assert [track.id for track in Engine.open(str(tiny_checkpoint), folder).tracks] == ["tone-1", "tone-2", "tone-3"]


def test_half_a_library_of_another_model_is_encoded_anew(tiny_checkpoint: Path, tmp_path: Path) -> None:
    work = tmp_path / ".library.partial"
    (work / "audio").mkdir(parents=True)
    TrackIndex.create(work / "index", tiny.model(seed=1), tiny.processor(), seconds_per_step=0.1)
    folder, _ = build(tiny_checkpoint, tmp_path / "library", [entry(0)])
    assert len(Engine.open(str(tiny_checkpoint), folder).tracks) == 1


def test_songs_were_heard_by_no_model_and_have_names_for_people() -> None:
    entries = song_entries(4, seed=0)
    assert len({made.id for made in entries}) == len({made.title for made in entries}) == 4
    for made in entries:
        assert split_of(int(made.id.split("-")[1])) == "test"
        style, key, tempo = made.title.split(", ")
        assert style[0].isupper()
        assert key.endswith(("major", "minor"))
        assert tempo.endswith("BPM")
        assert made.licence
        assert made.sections[0].start == 0
        assert all(section.caption in made.caption for section in made.sections)


def test_a_song_becomes_a_small_file_that_browsers_play(tmp_path: Path) -> None:
    (made,) = song_entries(1, seed=0)
    made.write(tmp_path / made.name)
    metadata = AudioDecoder(tmp_path / made.name).metadata
    assert metadata.codec == "mp3"
    assert metadata.duration_seconds_from_header == pytest.approx(made.sections[-1].end, abs=0.2)
    assert (tmp_path / made.name).stat().st_size < 8000 * made.sections[-1].end  # 64 kb/s


def test_the_cache_is_filled_by_another_process_once(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    commands: list[list[str]] = []

    def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess:
        commands.append(command)
        build(tiny_checkpoint, Path(command[command.index("--output") + 1]), [entry(0)])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(building, "subprocess", SimpleNamespace(run=run))
    folder = cached_library(str(tiny_checkpoint), songs=7)
    assert folder.is_relative_to(tmp_path)
    assert cached_library(str(tiny_checkpoint), songs=7) == folder
    assert len(commands) == 1
    assert commands[0][1:3] == ["-m", "space_collap.build_library"]
    failing = SimpleNamespace(run=lambda command, env: subprocess.CompletedProcess(command, 3))
    monkeypatch.setattr(building, "subprocess", failing)
    with pytest.raises(SpaceError, match="exit code 3"):
        cached_library(str(tiny_checkpoint), songs=8)


def test_tracks_are_written_by_other_processes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for number in range(2):
        write_tone(music / f"{number}.mp3", 300.0 + 40 * number)
    (music / "2.mp3").write_bytes(b"no sound")
    console = Console(file=io.StringIO(), width=200)
    folder = build_library(file_entries(music, ""), str(tiny_checkpoint), tmp_path / "library", console, workers=1)
    assert [track.id for track in Engine.open(str(tiny_checkpoint), folder).tracks] == ["0.mp3", "1.mp3"]
    assert "Left out: 2.mp3: it does not decode" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_command_says_what_is_amiss(tiny_checkpoint: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(building.main)
    (tmp_path / "empty").mkdir()
    for options, reason in {
        ("--output", str(tmp_path)): "is there already",
        ("--output", str(tmp_path / "new"), "--audio", str(tmp_path / "empty")): "holds no audio files",
        ("--output", str(tmp_path / "new"), "--model", str(HERE)): "no model in",
    }.items():
        done = CliRunner().invoke(app, ["--songs", "1", *options])
        assert done.exit_code == 1
        assert reason in done.output
        assert isinstance(done.exception, SystemExit)
