"""Bringing an index up to date with a folder: what is read again, what is listed, and what a killed run leaves."""

import multiprocessing
import os
import shutil
import signal
import subprocess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_readers import HangingReader, crash
from sounds import write_folder, write_sound
from tiny import model, processor

from retrieval_collap import TrackIndex
from retrieval_collap.index import encoding
from retrieval_collap.index.encoding import index_files
from retrieval_collap.index.metadata import Metadata, read_metadata
from retrieval_collap.index.report import IndexReport
from retrieval_collap.index.walk import KNOWN_COLUMNS, FolderChanges
from retrieval_collap.index.workers import CallError, call_in_parallel

GOOD = ("album one/high & clear.flac", "album one/middle.ogg", "low.wav")


def new_index(folder: Path) -> TrackIndex:
    return TrackIndex.create(folder, model(), processor(), name="tiny", seconds_per_step=0.2)


def update(index: TrackIndex, folder: Path, **options: Any) -> IndexReport:
    changes = FolderChanges.find(folder, index.store.records(columns=KNOWN_COLUMNS))
    return index_files(index, changes, **{"workers": 1, **options})


def content(index: TrackIndex) -> list[tuple[Any, ...]]:
    """All of an index, but for the time at which it was made."""
    tracks = index.store.fetch([row["id"] for row in index.store.records(columns=["id"])])
    names = ("id", "path", "title", "duration", "content_hash", "size", "modified", "tags", "sequence", "steps")
    return [(*(getattr(track, name) for name in names), track.vector.tobytes()) for track in tracks]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "music")


def test_every_file_is_indexed_or_listed(music: Path, tmp_path: Path) -> None:
    index, done = new_index(tmp_path / "index"), []
    report = update(index, music, on_file=lambda: done.append(1))
    assert report.added == [str(music / name) for name in GOOD]
    (failure,) = report.failures
    assert failure.id == str(music / "broken.mp3")
    assert "does not decode" in failure.reason
    assert "\n" not in failure.reason
    assert len(done) == 4
    assert [row["title"] for row in index.store.records()] == ["high & clear", "middle", "low"]
    assert [row["duration"] for row in index.store.records()] == pytest.approx([6.1, 4.0, 2.4], abs=0.02)


def test_files_are_encoded_as_the_index_encodes_them(music: Path, tmp_path: Path) -> None:
    index, other = new_index(tmp_path / "index"), new_index(tmp_path / "other")
    update(index, music)
    assert other.add((str(music / name), music / name) for name in GOOD) == []
    for (*_, vector), (*_, expected) in zip(content(index), content(other), strict=True):
        np.testing.assert_allclose(*(np.frombuffer(part, np.float32) for part in (vector, expected)), atol=2e-3)
    text = "a slow piano ballad"
    assert [match.id for match in index.search(text)] == [match.id for match in other.search(text)]


def test_only_what_changed_is_read_again(music: Path, tmp_path: Path) -> None:
    index = new_index(tmp_path / "index")
    (music / "broken.mp3").unlink()
    update(index, music)
    before, version = content(index), index.store.version
    again = update(index, music)
    assert (again.changes, again.unchanged, index.store.version) == (0, 3, version)

    touched, replaced, moved = (music / name for name in ("low.wav", "album one/middle.ogg", GOOD[0]))
    os.utime(touched, (1e9, 1e9))
    write_sound(replaced, 3.0, 500.0)
    target = music / "album two" / "renamed.flac"
    target.parent.mkdir()
    moved.rename(target)
    report = update(index, music)
    assert report.changed == [str(replaced), str(touched)]
    assert report.added == [str(target)]
    assert report.reused == [str(target), str(touched)]
    assert report.gone == [str(moved)]
    rows = {row["id"]: row for row in index.store.records()}
    assert rows[str(touched)]["modified"] == 1e9
    assert rows[str(target)]["title"] == "renamed"
    sequences = {track[0]: track[8] for track in content(index)}
    assert sequences[str(target)] == sequences[str(moved)] == before[0][8]
    assert sequences[str(replaced)] != before[1][8]

    report = update(index, music, prune=True)
    assert (report.removed, report.gone, report.changes) == ([str(moved)], [], 1)
    assert [row["id"] for row in index.store.records()] == sorted(map(str, (replaced, target, touched)))


def test_files_that_swap_their_names_keep_their_own_content(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With commits in between, the track whose content a file has is overwritten before it can be copied."""
    monkeypatch.setattr(encoding, "_TRACKS_PER_COMMIT", 1)
    (music / "broken.mp3").unlink()
    one, two = write_sound(music / "one.wav", 3.0, 300.0), write_sound(music / "two.wav", 2.0, 600.0)
    index = new_index(tmp_path / "index")
    update(index, music)
    one.rename(music / "three.wav")
    two.rename(one)
    (music / "three.wav").rename(two)
    assert update(index, music).changed == [str(one), str(two)]
    fresh = new_index(tmp_path / "fresh")
    update(fresh, music)
    assert content(index) == content(fresh)


def test_a_file_that_went_bad_keeps_its_track(music: Path, tmp_path: Path) -> None:
    index = new_index(tmp_path / "index")
    update(index, music)
    before = content(index)
    (music / "low.wav").write_bytes(b"RIFF and nothing more")
    report = update(index, music)
    assert [failure.id for failure in report.failures] == [str(music / "broken.mp3"), str(music / "low.wav")]
    assert content(index) == before


def test_random_bytes_are_all_listed(tmp_path: Path) -> None:
    draw, endings = np.random.default_rng(0), ("mp3", "wav", "flac", "ogg", "m4a", "opus", "aac", "aiff", "wma", "mp4")
    folder = tmp_path / "noise"
    folder.mkdir()
    for number in range(200):
        size = int(draw.integers(0, 20_000)) if number else 0
        (folder / f"{number:03d}.{endings[number % len(endings)]}").write_bytes(draw.bytes(size))
    index = new_index(tmp_path / "index")
    report = update(index, folder)
    assert [Path(failure.id).stem for failure in report.failures] == [f"{number:03d}" for number in range(200)]
    assert len(index) == report.changes == 0
    assert all(failure.reason.strip() and "\n" not in failure.reason for failure in report.failures)


def test_cut_and_flipped_files_are_indexed_or_listed(tmp_path: Path) -> None:
    draw, folder = np.random.default_rng(0), tmp_path / "damaged"
    for ending in ("wav", "flac", "mp3", "ogg"):
        whole = write_sound(folder / f"whole.{ending}", 8.0, 440.0).read_bytes()
        (folder / f"half.{ending}").write_bytes(whole[: len(whole) // 2])
        (folder / f"start.{ending}").write_bytes(whole[:40])
        bits = np.unpackbits(np.frombuffer(whole, np.uint8))
        bits ^= draw.random(len(bits)) < 1e-3
        (folder / f"flipped.{ending}").write_bytes(np.packbits(bits).tobytes())
    index = new_index(tmp_path / "index")
    report = update(index, folder)
    indexed, listed = set(report.added), {failure.id for failure in report.failures}
    assert not indexed & listed
    assert indexed | listed == set(map(str, folder.iterdir()))
    assert {str(path) for path in folder.glob("whole.*")} <= indexed
    assert {str(path) for path in folder.glob("start.*")} <= listed
    short = {failure.id: failure.reason for failure in report.short}
    assert short[str(folder / "half.mp3")] == "it decodes to 0:04 of the 0:08 that its header states"
    assert [row["id"] for row in index.store.records(columns=["id"])] == report.added


def test_a_decoder_that_hangs_is_killed_and_listed(music: Path, tmp_path: Path) -> None:
    for name in ("a hangs.mp3", "z hangs.mp3"):
        shutil.copy(music / "low.wav", music / name)
    index = new_index(tmp_path / "index")
    read = HangingReader(processor().feature_extractor)
    report = update(index, music, read=read, seconds=4, workers=2)
    assert report.added == [str(music / name) for name in GOOD]
    reasons = {Path(failure.id).name: failure.reason for failure in report.failures}
    assert sorted(reasons) == ["a hangs.mp3", "broken.mp3", "z hangs.mp3"]
    assert reasons["a hangs.mp3"] == reasons["z hangs.mp3"] == "decoding took longer than 4 s"


def test_a_crash_costs_one_call() -> None:
    items = ["a", "segfault", "b", "exit", "error", "c"]
    outcomes = {item: str(outcome) for item, outcome in call_in_parallel(crash, items, seconds=60, workers=2)}
    assert outcomes == {
        "a": "A",
        "b": "B",
        "c": "C",
        "segfault": "the decoder crashed (SIGSEGV)",
        "exit": "the decoder crashed (exit code 3)",
        "error": "first line",
    }
    assert list(call_in_parallel(crash, [], seconds=60, workers=2)) == []


def test_a_missing_library_is_no_fault_of_the_file() -> None:
    with pytest.raises(ImportError, match="no FFmpeg"):
        list(call_in_parallel(crash, ["a", "library"], seconds=60, workers=1))


def test_calls_of_a_run_that_is_given_up_end() -> None:
    calls = call_in_parallel(crash, ["a", "b", "c"], seconds=60, workers=2)
    assert not isinstance(next(calls)[1], CallError)
    before = multiprocessing.active_children()
    calls.close()  # type: ignore[attr-defined]
    assert before
    assert multiprocessing.active_children() == []


def index_until_stopped(place: Path, music: Path, files: int, stopped: Event) -> None:
    """Index a folder with a commit for each file, and stand still after some of them."""
    encoding._TRACKS_PER_COMMIT = 1
    done = []

    def on_file() -> None:
        done.append(1)
        if len(done) == files:
            stopped.set()
            signal.pause()

    update(new_index(place), music, on_file=on_file)


def test_a_killed_run_goes_on_where_it_was(music: Path, tmp_path: Path) -> None:
    (music / "broken.mp3").unlink()
    write_sound(music / "last.wav", 3.0, 300.0)
    undisturbed = new_index(tmp_path / "undisturbed")
    update(undisturbed, music)

    place, context = tmp_path / "killed", multiprocessing.get_context("forkserver")
    stopped = context.Event()
    child = context.Process(target=index_until_stopped, args=(place, music, 3, stopped))
    child.start()
    assert stopped.wait(300)
    child.kill()
    child.join()
    # The third file was encoded, but not yet written.
    assert content(TrackIndex.open(place, model(), processor())) == content(undisturbed)[:2]
    index = TrackIndex.open(place, model(), processor())
    report = update(index, music)
    assert (report.unchanged, len(report.added)) == (2, 2)
    assert content(index) == content(undisturbed)


def test_metadata_are_those_of_the_file(tmp_path: Path) -> None:
    plain = write_sound(tmp_path / "plain name.flac", 1.0, 440.0)
    assert read_metadata(plain) == Metadata("plain name", (), pytest.approx(1.0))
    assert read_metadata(tmp_path / "absent.mp3") == Metadata("absent")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's programs are not here, only its libraries")
@pytest.mark.parametrize("ending", ["mp3", "ogg", "flac", "m4a"])
def test_titles_and_tags_are_read(tmp_path: Path, ending: str) -> None:
    plain, tagged = write_sound(tmp_path / "plain.wav", 1.0, 440.0), tmp_path / f"-tagged: 1.{ending}"
    fields = {
        "title": "Señor & <Blues>",
        "genre": "Jazz; Hard Bop",
        "artist": "A. Band",
        "album": "jazz",
        "date": "1999",
    }
    options = [option for name, value in fields.items() for option in ("-metadata", f"{name}={value}")]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(plain), *options, f"file:{tagged}"], check=True)
    found = read_metadata(tagged)
    assert (found.title, found.tags) == ("Señor & <Blues>", ("jazz", "hard bop", "a. band"))
    assert found.duration == pytest.approx(1.0, abs=0.2)


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    report = IndexReport(str(tmp_path), added=["b", "a"])
    report.sort()
    report.write(tmp_path / "new" / "report.json")
    assert '"added": [\n    "a",\n    "b"\n  ]' in (tmp_path / "new" / "report.json").read_text()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.json"]
