"""Blocks, resume, and what is said when a stage fails; Ray runs once for the whole module."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import audioset_stages
import pyarrow.parquet as pq
import pytest
import ray
from audioset_stages import Make, Mark, Resident, run_tiny, snapshot

from dataset_scripts.audioset.blocks import StageFolder, read_slices
from dataset_scripts.audioset.cluster import ray_running
from dataset_scripts.audioset.engine import Engine, StageError, _BlockJob, work_folder
from dataset_scripts.audioset.stage import Dropped, Outcome, Row, Stage


@pytest.fixture(scope="module")
def running() -> Iterator[None]:
    with ray_running(workers=2):
        yield


def make(work: Path, rows: int = 30) -> Engine:
    """An engine whose work folder holds the finished stage `make`; that takes no Ray."""
    engine = Engine(work, block_size=4)
    engine.run(Make(rows))
    return engine


def ids(folder: StageFolder) -> list[str]:
    return [name for file in folder.files() for name in pq.read_table(file)["id"].to_pylist()]


# --- without Ray ------------------------------------------------------------------------------------------------------


def test_blocks_are_cut_by_input_order_whatever_the_files(tmp_path: Path) -> None:
    folder = make(tmp_path).folder("make")
    assert [pq.read_metadata(file).num_rows for file in folder.files()] == [7, 7, 7, 7, 2]
    for size in (1, 4, 7, 100):
        blocks = [[row["id"] for row in read_slices(cut)] for cut in folder.cut(size)]
        assert [name for block in blocks for name in block] == [f"{i:04d}" for i in range(30)]
        assert {len(block) for block in blocks[:-1]} <= {size}


def test_a_stage_without_rows_has_no_blocks(tmp_path: Path) -> None:
    assert make(tmp_path, rows=0).folder("make").cut(4) == []


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, rows=30)
    with pytest.raises(ValueError, match=r"make was begun with something else \(rows: 30 there, 31 now\)"):
        make(tmp_path, rows=31)


def test_other_block_size_or_input_is_refused(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "mark")
    folder.claim({"settings": {}, "input": "a", "block_size": 4})
    folder.claim({"settings": {}, "input": "a", "block_size": 4})
    with pytest.raises(ValueError, match="input: 'a' there, 'b' now"):
        folder.claim({"settings": {}, "input": "b", "block_size": 4})
    with pytest.raises(ValueError, match="block_size: 4 there, 5 now"):
        folder.claim({"settings": {}, "input": "a", "block_size": 5})


def test_what_a_kill_leaves_is_tidied(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "mark")
    folder.claim({"settings": {}})
    leftover = tmp_path / "mark" / "rows" / ".00000.parquet.123.tmp"
    leftover.touch()
    folder.claim({"settings": {}})
    assert not leftover.exists()


def test_two_builds_do_not_share_a_work_folder(tmp_path: Path) -> None:
    with (
        work_folder(tmp_path),
        pytest.raises(BlockingIOError, match="another process is building"),
        work_folder(tmp_path),
    ):
        pass
    with work_folder(tmp_path):
        pass


class Loses(Stage):
    name = "loses"

    def __call__(self, rows: list[Row]) -> Outcome:
        return Outcome(rows[1:])


class Doubles(Stage):
    name = "doubles"

    def __call__(self, rows: list[Row]) -> Outcome:
        return Outcome(rows, [Dropped(rows[0]["id"], self.name, "both")])


class Invents(Stage):
    name = "invents"

    def __call__(self, rows: list[Row]) -> Outcome:
        return Outcome([row | {"tempo": 120} for row in rows])


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Loses(), r"block 3 \(0012 to 0015\): 4 rows came, 3 were kept .* item 0012 came 1 times and went 0 times"),
        (Doubles(), r"item 0012 came 1 times and went 2 times"),
        (Invents(), r"item 0012: rows have no column 'tempo'"),
    ],
)
def test_no_row_is_lost_doubled_or_given_unknown_columns(tmp_path: Path, stage: Stage, message: str) -> None:
    folder = make(tmp_path).folder("make")
    job = _BlockJob(stage, StageFolder(tmp_path / stage.name))
    with pytest.raises(RuntimeError, match=message):
        job({"block": 3, "cut": folder.cut(4)[3]})
    assert not (tmp_path / stage.name).exists()


# --- with Ray ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("running")
def test_what_a_killed_run_left_in_the_work_folder_goes(tmp_path: Path) -> None:
    leftover = tmp_path / ".ledger.parquet.1.tmp"
    leftover.write_bytes(b"half")
    with work_folder(tmp_path):
        assert not leftover.exists()


def test_rows_and_ledger(tmp_path: Path) -> None:
    done = run_tiny(tmp_path, rows=30)
    folder = StageFolder(tmp_path / "mark")
    assert (done.blocks, done.kept, done.dropped) == (8, 24, 6)
    assert ids(folder) == [f"{i:04d}" for i in range(30) if i % 5]
    assert pq.read_table(folder.rows_file(0))["caption"].to_pylist() == ["song 0001", "song 0002", "song 0003"]
    assert pq.read_table(folder.ledger_file(1)).to_pylist() == [
        {"id": "0005", "stage": "mark", "reason": "fifth: 0005"}
    ]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert run_tiny(tmp_path, rows=30) == done
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}


@pytest.mark.usefixtures("running")
def test_an_actor_starts_once_and_order_does_not_matter(tmp_path: Path) -> None:
    engine = make(tmp_path)
    engine.run(Resident(tmp_path), engine.folder("make"))
    assert len(list(tmp_path.glob("started-*"))) == 1
    assert ids(engine.folder("resident")) == ids(engine.folder("make"))


@pytest.mark.usefixtures("running")
def test_a_failing_item_is_named_and_finished_blocks_stay(tmp_path: Path) -> None:
    engine = make(tmp_path)
    with pytest.raises(
        StageError, match=r"the stage mark failed: block 5, item 0022: KeyError: 'no such tune'"
    ) as caught:
        engine.run(Mark(tmp_path, fails_at="0022"), engine.folder("make"))
    trace = tmp_path / "mark" / "error.txt"
    assert str(trace) in str(caught.value)
    assert "raise KeyError" in trace.read_text()
    folder = engine.folder("mark")
    assert not folder.is_finished(5)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "mark" / "rows").glob("*.parquet")}
    assert engine.run(Mark(tmp_path), engine.folder("make")).kept == 24
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    assert not trace.exists()


@pytest.mark.usefixtures("running")
def test_what_the_machine_has_not_is_said_instead_of_waited_for(tmp_path: Path) -> None:
    engine = make(tmp_path)
    stage = Mark(tmp_path)
    stage.num_gpus = 64
    with pytest.raises(ValueError, match="mark needs 64 GPU for each process"):
        engine.run(stage, engine.folder("make"))


@pytest.mark.usefixtures("running")
def test_a_stage_waits_for_the_one_before(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    with pytest.raises(FileNotFoundError, match="no finished stage make"):
        engine.run(Mark(tmp_path), engine.folder("make"))


@pytest.mark.usefixtures("running")
@pytest.mark.slow
def test_killed_at_any_moment_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """The process that runs the stages is killed when a drawn number of blocks is there, and the last run goes on."""
    rows = 80
    run_tiny(tmp_path / "undisturbed", rows=rows)
    work = tmp_path / "killed"
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, audioset_stages.__file__, address, str(work), str(rows)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    moments = sorted(random.Random(0).sample(range(1, 16), 2))
    for moment in moments:
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while len(list((work / "mark" / "rows").glob("0*.parquet"))) < moment:
                assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
                time.sleep(0.005)
            process.kill()
    assert not (work / "mark" / "done.json").exists()
    run_tiny(work, rows=rows)
    assert snapshot(work) == snapshot(tmp_path / "undisturbed")
