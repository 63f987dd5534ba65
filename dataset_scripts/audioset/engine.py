"""Runs stages: cuts their input into fixed blocks, has Ray work on those that are not finished, shows how far it is.

A run that is killed loses the blocks that were being worked on, and nothing else: the next one starts from the blocks
that are there, and ends in the same bytes. Workers read their rows from files and write their results to files; what
goes through Ray is names and counts, so the memory taken does not depend on the number of rows.
"""

import fcntl
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from .blocks import Done, Slice, StageFolder, read_slices
from .cluster import JobError, check_resources, each
from .stage import ItemError, Outcome, OutputStage, Row, Stage, WholeStage

AnyStage = Stage | WholeStage | OutputStage


class StageError(RuntimeError):
    """A stage met with something unexpected; says where, and where its traceback is."""


class Engine:
    """Runs stages in a work folder, where Ray is running (`ray_running`)."""

    def __init__(self, work: Path, *, block_size: int = 100, console: Console | None = None) -> None:
        self.work, self.block_size = work, block_size
        self.console = console or Console(stderr=True)

    def folder(self, name: str) -> StageFolder:
        return StageFolder(self.work / name)

    def run(self, stage: AnyStage, source: StageFolder | None = None) -> Done:
        """Do what is left to do of a stage.

        Args:
            source: the stage before, which is finished; None for the first.

        Raises:
            FileNotFoundError: the stage before is not finished.
            ValueError: the stage was begun with other settings or other input, or needs what Ray has not.
            StageError: the stage met with something unexpected; finished blocks stay.
        """
        folder = self.folder(stage.name)
        files, before = (source.files(), source.done()) if source else ([], None)
        size = (stage.block_size if isinstance(stage, Stage) else None) or self.block_size
        folder.claim({"settings": stage.settings(), "input": before.digest if before else None, "block_size": size})
        if done := folder.done():
            return done
        trace = folder.path / "error.txt"
        trace.unlink(missing_ok=True)
        try:
            if isinstance(stage, WholeStage):
                total = before.kept if before else None
                return folder.finish(self._run_whole(stage, folder, files, total))
            if source is None or before is None:
                raise ValueError(f"the stage {stage.name} needs the rows of another")
            check_resources(stage, stage.name)
            if isinstance(stage, OutputStage):
                self._run_output(stage, files, before.digest)
                return folder.note(before._replace(blocks=0, dropped=0))
            return folder.finish(self._run_blocks(stage, folder, source.cut(size)))
        except JobError as error:
            trace.write_text(error.trace, encoding="utf-8")
            raise StageError(
                f"the stage {stage.name} failed: {error}. What was finished is kept, and the same command goes on from "
                f"there; the traceback is in {trace}"
            ) from error

    def _run_blocks(self, stage: Stage, folder: StageFolder, cuts: list[list[Slice]]) -> int:
        waiting = [block for block in range(len(cuts)) if not folder.is_finished(block)]
        total = sum(map(_length, cuts))
        left = sum(_length(cuts[block]) for block in waiting)
        with self._bar(stage.name, total, total - left) as advance:
            for result in each(_BlockJob(stage, folder), [{"block": block, "cut": cuts[block]} for block in waiting]):
                advance(result["rows"])
        return len(cuts)

    def _run_whole(self, stage: WholeStage, folder: StageFolder, files: list[Path], total: int | None) -> int:
        block = -1
        with self._bar(stage.name, total, 0) as advance, _as_job_errors():
            for block, outcome in enumerate(stage(_Blocks(files))):
                folder.write(block, outcome)
                advance(len(outcome.kept) + len(outcome.dropped))
        return block + 1

    def _run_output(self, stage: OutputStage, files: list[Path], digest: str) -> None:
        with _as_job_errors():
            pieces = stage.plan(files, digest)
        with self._bar(stage.name, sum(piece["rows"] for piece in pieces), 0) as advance:
            for result in each(_OutputJob(stage), pieces):
                advance(result["rows"])
        with _as_job_errors():
            stage.finish(files)

    @contextmanager
    def _bar(self, name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _Pace(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(name, total=total, completed=done, before=done)
            yield lambda rows: progress.advance(task, rows)


@contextmanager
def work_folder(path: Path) -> Iterator[Path]:
    """The folder, made where it is not there, for as long as nobody else works in it.

    Raises:
        BlockingIOError: another process does.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"another process is building in {path}: wait for it, or end it") from error
        for leftover in path.glob(".*.tmp"):  # of a run that was killed
            leftover.unlink(missing_ok=True)
        yield path


class _BlockJob:
    """A stage at work on one block, in a process of Ray's."""

    def __init__(self, stage: Stage, folder: StageFolder) -> None:
        self.stage, self.folder = stage, folder
        self.actor, self.concurrency = stage.actor, stage.concurrency
        self.num_cpus, self.num_gpus = stage.num_cpus, stage.num_gpus

    def start(self) -> None:
        try:
            self.stage.start()
        except Exception as error:
            raise RuntimeError(f"it could not start: {_sentence(error)}") from error

    def __call__(self, piece: Any) -> dict[str, Any]:
        rows = read_slices([Slice(*part) for part in piece["cut"]])
        try:
            outcome = self.stage(rows)
            _check_nothing_lost(rows, outcome)
            self.folder.write(piece["block"], outcome)
        except Exception as error:
            where = ", " if isinstance(error, ItemError) else f" ({rows[0]['id']} to {rows[-1]['id']}): "
            raise RuntimeError(f"block {piece['block']}{where}{_sentence(error)}") from error
        return {"rows": len(rows)}


class _OutputJob:
    """A stage at work on one of its files, in a process of Ray's."""

    actor = False
    num_gpus = 0.0

    def __init__(self, stage: OutputStage) -> None:
        self.stage = stage
        self.num_cpus, self.concurrency = stage.num_cpus, stage.concurrency

    def start(self) -> None: ...

    def __call__(self, piece: Any) -> dict[str, Any]:
        try:
            self.stage.write(piece)
        except Exception as error:
            raise RuntimeError(f"{piece['file']}: {_sentence(error)}") from error
        return {"rows": piece["rows"]}


class _Blocks(Sequence[list[Row]]):
    """The rows of a stage, block by block, from disk each time."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, block: Any) -> Any:
        return pq.read_table(self.files[block]).to_pylist()


@contextmanager
def _as_job_errors() -> Iterator[None]:
    """For what runs in the main process: its errors come out as those of the others do."""
    try:
        yield
    except Exception as error:
        raise JobError(_sentence(error), traceback.format_exc()) from error


class _Pace(ProgressColumn):
    """Throughput of this run, and the time that what is left takes at it."""

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["before"]
        if not done or not task.elapsed:
            return Text("-")
        rate = done / task.elapsed
        unit, seconds = next((unit for unit in (("s", 1), ("min", 60)) if rate * unit[1] >= 1), ("h", 3600))
        pace = f"{rate * seconds:,.1f} rows/{unit}"
        if task.remaining:
            pace += f", {timedelta(seconds=round(task.remaining / rate))} left"
        return Text(pace)


def _length(cut: list[Slice]) -> int:
    return sum(part.stop - part.start for part in cut)


def _check_nothing_lost(rows: list[Row], outcome: Outcome) -> None:
    """Raises ValueError where a row is in neither list of the outcome, in both, or came from nowhere."""
    came = Counter(row["id"] for row in rows)
    went = Counter([row["id"] for row in outcome.kept] + [item.id for item in outcome.dropped])
    if came != went:
        example = next(iter((came - went) + (went - came)))
        raise ValueError(
            f"{len(rows)} rows came, {len(outcome.kept)} were kept and {len(outcome.dropped)} dropped: item {example} "
            f"came {came[example]} times and went {went[example]} times"
        )


def _sentence(error: Exception) -> str:
    """The error's message; its kind too where it was not written to be read."""
    written = isinstance(error, ValueError | RuntimeError | OSError) and str(error)
    return f"{error}" if written else f"{type(error).__name__}: {error}"
