"""An index made by a Ray job: the same as by one process, in one commit, whatever becomes of the job."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sounds import write_folder, write_sound
from tiny import model, processor
from typer.testing import CliRunner

from dataset_scripts.audioset.cluster import JobError, ray_running
from modeling_collap import CollapModel
from retrieval_collap import TrackIndex
from retrieval_collap.cli import app
from retrieval_collap.index import encoding, ray_job
from retrieval_collap.index.encoding import index_files
from retrieval_collap.index.ray_job import Processes, index_files_on_ray
from retrieval_collap.index.report import IndexReport
from retrieval_collap.index.store import TrackStore
from retrieval_collap.index.walk import KNOWN_COLUMNS, FolderChanges
from retrieval_collap.index.workers import CallError

GOOD = ("album one/high & clear.flac", "album one/middle.ogg", "low.wav", "z/five.mp3", "z/four.wav", "z/six.wav")


@pytest.fixture(scope="module")
def running() -> Iterator[None]:
    with ray_running(workers=1):
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-collap"
    model().save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Six tracks and a broken file."""
    folder = write_folder(tmp_path / "music")
    for number, name in enumerate(GOOD[3:]):
        write_sound(folder / name, 1.3 + number, 300.0 + 100 * number)
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As a process of Ray's that has one core: with more threads, sums are rounded in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run without Ray and without processes that read: a batch of three after another."""

    def each(job: Any, pieces: Sequence[Any]) -> Iterator[Any]:
        job.start()
        for piece in pieces:
            yield json.loads(json.dumps(job(json.loads(json.dumps(piece)))))

    def read(function: Callable[[Path], Any], paths: Iterable[Path], **_: Any) -> Iterator[tuple[Path, Any]]:
        for path in paths:
            try:
                yield path, function(path)
            except ValueError as error:
                yield path, CallError(str(error))

    nodes = [{"Alive": True, "Resources": {"CPU": 1.0}}, {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}}]
    monkeypatch.setattr(ray_job, "each", each)
    monkeypatch.setattr(encoding, "call_in_parallel", read)
    monkeypatch.setattr(ray_job.ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray_job.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray_job, "_FILES_PER_BATCH", 3)


def new_index(place: Path, checkpoint: Path) -> TrackIndex:
    return TrackIndex.create(place, CollapModel.from_pretrained(checkpoint), processor(), seconds_per_step=0.2)


def changes_of(index: TrackIndex, folder: Path) -> FolderChanges:
    return FolderChanges.find(folder, index.store.records(columns=KNOWN_COLUMNS))


def update(index: TrackIndex, folder: Path, **options: Any) -> IndexReport:
    return index_files_on_ray(index, changes_of(index, folder), **options)


def content(index: TrackIndex | TrackStore) -> list[tuple[Any, ...]]:
    """All of an index."""
    store = index if isinstance(index, TrackStore) else index.store
    tracks = store.fetch([row["id"] for row in store.records(columns=["id"])])
    names = ("id", "path", "title", "duration", "content_hash", "size", "modified", "tags", "sequence", "steps")
    return [(*(getattr(track, name) for name in names), track.vector.tobytes()) for track in tracks]


# --- with Ray ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("running", "one_thread")
def test_the_command_makes_the_same_index_as_one_process(music: Path, checkpoint: Path, tmp_path: Path) -> None:
    place = tmp_path / "index"
    options = ["--model", str(checkpoint), "--seconds-per-step", "0.2", "--ray-address", "local"]
    result = CliRunner().invoke(app, ["index", str(music), "--output", str(place), *options], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "6 added, 1 failed" in result.output
    index, other = TrackStore.open(place), new_index(tmp_path / "other", checkpoint)
    assert other.add((str(music / name), music / name) for name in GOOD) == []
    assert content(index) == content(other)
    assert index.settings == other.store.settings
    report = json.loads((tmp_path / "index.report.json").read_text())
    assert report["added"] == [str(music / name) for name in GOOD]
    assert [Path(failure["id"]).name for failure in report["failures"]] == ["broken.mp3"]
    assert "does not decode" in report["failures"][0]["reason"]


@pytest.mark.usefixtures("running")
def test_what_the_cluster_has_not_is_said(music: Path, checkpoint: Path, tmp_path: Path) -> None:
    index = new_index(tmp_path / "index", checkpoint)
    with pytest.raises(ValueError, match="no machine of the Ray cluster has 64 GPUs"):
        update(index, music, num_gpus=64)
    unsaved = TrackIndex.create(tmp_path / "unsaved", model(), processor(), seconds_per_step=0.2)
    with pytest.raises(ValueError, match="model is in memory alone"):
        update(unsaved, music)


# --- without Ray ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_this_process")
def test_only_what_changed_is_read_again(music: Path, checkpoint: Path, tmp_path: Path) -> None:
    index, other, done = new_index(tmp_path / "index", checkpoint), new_index(tmp_path / "other", checkpoint), []
    before = index.store.version
    update(index, music, on_file=lambda: done.append(1))
    index_files(other, changes_of(other, music), workers=1)
    assert content(index) == content(other)
    assert len(done) == 7
    version = index.store.version
    assert update(index, music).changes == 0
    assert before < version == index.store.version

    replaced, touched, moved = music / "z/four.wav", music / "low.wav", music / "album one/middle.ogg"
    write_sound(replaced, 3.0, 500.0)
    os.utime(touched, (1e9, 1e9))
    moved.rename(music / "moved.ogg")
    for prune in (False, True):
        reports = [
            update(index, music, prune=prune),
            index_files(other, changes_of(other, music), workers=1, prune=prune),
        ]
        assert reports[0] == reports[1]
        assert content(index) == content(other)
    assert reports[0].removed == [str(moved)]
    assert str(music / "moved.ogg") in [row["id"] for row in TrackStore.open(tmp_path / "index").records()]


@pytest.mark.usefixtures("in_this_process")
def test_a_track_is_known_by_its_content(music: Path, checkpoint: Path, tmp_path: Path) -> None:
    index = new_index(tmp_path / "index", checkpoint)
    update(index, music)
    for name in GOOD:
        shutil.copy(music / name, music / f"copy of {Path(name).name}")
    report = update(index, music)
    assert report.reused == report.added
    assert len(report.reused) == len(GOOD)


@pytest.mark.usefixtures("in_this_process")
def test_a_killed_job_leaves_the_index_as_it_was(
    music: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, undisturbed = new_index(tmp_path / "index", checkpoint), new_index(tmp_path / "undisturbed", checkpoint)
    update(undisturbed, music)
    index.add([(str(music / "low.wav"), music / "low.wav")])
    os.utime(music / "low.wav", (1e9, 1e9))
    before, version = content(index), index.store.version

    def be_killed(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(TrackStore, "commit", be_killed)
        with pytest.raises(SystemExit):
            update(index, music)
    again = TrackIndex.open(tmp_path / "index", index.model, index.processor)
    assert (content(again), again.store.version) == (before, version)
    assert len(list((tmp_path / "index" / "data").iterdir())) > 1  # of which nobody knows
    report = update(again, music)
    assert (len(report.added), len(report.changed)) == (5, 1)
    update(undisturbed, music)
    assert content(again) == content(undisturbed)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (JobError("a machine burnt", ""), OSError, r"a machine burnt\. .* goes on from there"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
    ids=["lost", "stopped"],
)
def test_what_was_finished_is_kept(
    music: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    expected: type[BaseException],
    message: str | None,
) -> None:
    index, run = new_index(tmp_path / "index", checkpoint), ray_job.each

    def fail_in_the_second(job: Any, pieces: Sequence[Any]) -> Iterator[Any]:
        yield from run(job, pieces[:1])
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ray_job, "each", fail_in_the_second)
        with pytest.raises(expected, match=message):
            update(index, music)
    kept = len(index)
    assert 0 < kept < len(GOOD)
    report = update(index, music)
    assert (report.unchanged, len(report.added)) == (kept, len(GOOD) - kept)


@pytest.mark.parametrize(
    ("nodes", "num_gpus", "workers", "expected"),
    [
        ([{"CPU": 4.0}, {"CPU": 2.0}, {"memory": 1.0}], 0, None, (6, 1)),
        ([{"CPU": 4.0}, {"CPU": 2.0}], 0, 3, (3, 1)),
        ([{"CPU": 4.0}], 0, 9, (4, 1)),
        ([{"CPU": 32.0, "GPU": 4.0}, {"CPU": 16.0}], 1, None, (4, 8)),
        ([{"CPU": 32.0, "GPU": 4.0}, {"CPU": 20.0, "GPU": 4.0}], 1, None, (8, 5)),
        ([{"CPU": 32.0, "GPU": 4.0}], 0.5, None, (8, 4)),
        ([{"CPU": 32.0, "GPU": 4.0}], 1, 12, (4, 3)),
        ([{"CPU": 32.0, "GPU": 4.0}], 1, 2, (2, 1)),
        ([{"CPU": 2.0, "GPU": 8.0}], 1, None, (2, 1)),
    ],
)
def test_processes_fit_on_the_machines(
    nodes: list[dict[str, float]], num_gpus: float, workers: int | None, expected: tuple[int, int]
) -> None:
    assert Processes.for_nodes(nodes, num_gpus, workers) == expected


def test_a_cluster_where_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="has a core"):
        Processes.for_nodes([{"CPU": 0.0}], 0)
    with pytest.raises(ValueError, match="has 2 GPUs and a core"):
        Processes.for_nodes([{"CPU": 8.0, "GPU": 1.0}], 2)
