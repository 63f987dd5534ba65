"""Build a library: `python -m space_collap.build_library --output FOLDER --songs 24`, with `space` on the Python path.

The folder is built beside its place under a hidden name, and renamed when it is whole. A build that was killed goes on
from there: what was rendered and encoded is not made again.
"""

import fcntl
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .library_entries import Entry, file_entries, song_entries
from .library_files import AUDIO_FOLDER, TRACKS_FILE
from .limits import SpaceError

if TYPE_CHECKING:
    from .library_indexing import LibraryIndexing

DEFAULT_SONGS = 24
# How often a log, where no bar can move, says how far the build is.
_LINES_OF_LOG = 12


def build_library(entries: Iterable[Entry], model: str, output: Path, console: Console, *, workers: int = 2) -> Path:
    """Render, compress and index tracks into a new library.

    Args:
        entries: what goes in; tracks that cannot be used are left out, and told of at the end.
        model: folder or Hub name.
        workers: processes that render, of one thread each; 0 renders in this one.

    Returns:
        `output`, as an absolute path.

    Raises:
        SpaceError: `output` exists, the model cannot be loaded, or none of the tracks can be used.
    """
    from .library_indexing import LibraryIndexing  # here, so that processes which only render need not wait for it

    output = output.expanduser().absolute()
    _refuse_existing(output)
    entries = list(entries)
    with _work_folder(output, console) as work:
        indexing = LibraryIndexing.open(work, model)
        audio = work / AUDIO_FOLDER
        audio.mkdir(exist_ok=True)
        kept = _fill(indexing, entries, audio, console, workers)
        if not kept:
            raise SpaceError(f"None of the {len(entries)} tracks can be used; the reasons stand above.")
        indexing.finish(kept)
        work.rename(output)
    return output


def cached_library(model: str, songs: int = DEFAULT_SONGS) -> Path:
    """The library of so many songs in the user's cache, built by a process of its own where it is not there yet.

    Raises:
        SpaceError: the model cannot be loaded, or the library cannot be built.
    """
    from evaluation_collap.scorers.collap import CollapScorer, load_collap
    from retrieval_collap.index.settings import LAYOUT

    try:
        fingerprint = CollapScorer(*load_collap(model)).fingerprint
    except ValueError as error:
        raise SpaceError(f"{error}.") from error
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    output = cache / "collap" / f"space-library-{fingerprint[:12]}-{songs}-{LAYOUT}"
    if not (output / TRACKS_FILE).is_file():
        command = [sys.executable, "-m", __name__, "--output", str(output), "--model", model, "--songs", str(songs)]
        built = subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        if not (output / TRACKS_FILE).is_file():  # it may be there by another process, and this one have failed
            raise SpaceError(f"The library could not be built (exit code {built.returncode}); the log says why.")
    return output


def _fill(
    indexing: "LibraryIndexing", entries: list[Entry], audio: Path, console: Console, workers: int
) -> list[Entry]:
    """Write what audio is missing, and index it; returns the tracks that can be used, and tells of the others."""
    failures: dict[str, str] = {}
    for entry, failure in _reported(_written(entries, audio, workers), len(entries), console):
        try:
            if failure is not None:
                raise ValueError(failure)
            indexing.add(entry)
        except (ValueError, OSError) as error:
            failures[entry.id] = str(error)
    for track_id, reason in failures.items():
        console.print(f"Left out: {escape(track_id)}: {escape(reason)}", highlight=False, soft_wrap=True)
    return [entry for entry in entries if entry.id not in failures]


def _written(entries: list[Entry], folder: Path, workers: int) -> Iterator[tuple[Entry, str | None]]:
    """The entries as soon as their audio is there, each with why it cannot be, if so."""
    missing = [entry for entry in entries if not (folder / entry.name).exists()]
    yield from ((entry, None) for entry in entries if (folder / entry.name).exists())
    if not workers:
        yield from ((entry, _write(entry, folder)) for entry in missing)
    elif missing:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(missing)), context, initializer=_one_thread) as pool:
            jobs = {pool.submit(_write, entry, folder): entry for entry in missing}
            yield from ((jobs[job], job.result()) for job in as_completed(jobs))


def _write(entry: Entry, folder: Path) -> str | None:
    try:
        entry.write(folder / entry.name)
    except (ValueError, OSError, RuntimeError) as error:
        return str(error)
    return None


def _one_thread() -> None:
    torch.set_num_threads(1)


def _reported(
    written: Iterable[tuple[Entry, str | None]], total: int, console: Console
) -> Iterator[tuple[Entry, str | None]]:
    """Say how far the build is: by a bar in a terminal, by some lines in a log."""
    columns = (TextColumn("Building the library"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        for number, item in enumerate(written, start=1):
            yield item
            progress.advance(task)
            if not console.is_terminal and number * _LINES_OF_LOG // total > (number - 1) * _LINES_OF_LOG // total:
                console.print(f"Building the library: {number} of {total} tracks", highlight=False)


@contextmanager
def _work_folder(output: Path, console: Console) -> Iterator[Path]:
    """A folder beside `output`, kept until it is renamed, that no other process builds in meanwhile.

    Raises:
        SpaceError: another process has built `output` meanwhile.
    """
    work = output.with_name(f".{output.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    lock = os.open(work, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"Waiting for another process that builds {output}", highlight=False)
            fcntl.flock(lock, fcntl.LOCK_EX)
        _refuse_existing(output)
        yield work
    finally:
        with suppress(OSError):
            work.rmdir()  # only an empty one goes: that of a process that came too late
        os.close(lock)  # which gives the lock back


def _refuse_existing(output: Path) -> None:
    if output.exists():
        raise SpaceError(f"{output} is there already: choose another folder, or remove it first.")


def main(
    output: Annotated[Path, typer.Option(help="Folder that is to hold the library.")],
    songs: Annotated[int, typer.Option(min=1, help="How many songs are composed and rendered.")] = DEFAULT_SONGS,
    model: Annotated[str, typer.Option(help="Folder or Hub name.")] = "checkpoints/collap-mini",
    seed: Annotated[int, typer.Option(min=0, help="From which on songs are looked for.")] = 0,
    audio: Annotated[Path | None, typer.Option(help="A folder of your own tracks, instead of songs.")] = None,
    licence: Annotated[str, typer.Option(help="Of your own tracks, as the app shows it.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes that render.")] = 2,
) -> None:
    """Build a library for the app: songs with their descriptions, or your own tracks."""
    console = Console()
    try:
        try:
            entries = file_entries(audio, licence) if audio else song_entries(songs, seed)
        except OSError as error:
            raise SpaceError(f"{error}.") from error
        folder = build_library(entries, model, output, console, workers=workers)
    except SpaceError as error:
        console.print(f"[red]{escape(str(error))}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    console.print(f"The library is in {folder}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
