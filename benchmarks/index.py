"""An index of 51,300 tracks: its size, what a search costs and takes, and whether it finds what exact scoring finds.

`python -m benchmarks.index` makes the tracks of `benchmarks.index_tracks`, 288 s each at D = 512 and 5 time steps a
second, of which the index keeps one a second in 8 bits; it takes 8 GB of disk, which it frees at the end.
Searches are by descriptions whose embedding is drawn, too: what a text encoder takes comes on top. The last two tables
are of collap-mini and real sound. Shares of time are of processor time on one thread, in turns within one process, so
that what else the machine does matters little.
"""

import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import Progress

from . import index_songbook
from .index_figures import Figure, at_least, at_most, figures_table, in_a_process, percentiles
from .index_search import costs, overlap
from .index_tracks import SCORES, MadeIndex

_BYTES_PER_TRACK = 150_000
_MIB = 2**20
_CANDIDATES = (100, 300, 500, 1000)
_DEFAULT_CANDIDATES = 500


def build(index: MadeIndex, tracks: int) -> list[Figure]:
    """Write the table, or what is missing of it.

    Raises:
        OSError: the disk has not the room.
    """
    folder = Path(index.store.uri)
    missing = max(tracks - len(index), 0)
    needed, free = 1.1 * missing * _BYTES_PER_TRACK, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{tracks:,} tracks take {needed / 1e9:.1f} GB more, and {folder} has {free / 1e9:.1f} GB")
    start = time.process_time()
    with Progress() as progress:
        task = progress.add_task("writing tracks", total=missing)
        for written in index.fill(tracks):
            progress.advance(task, written)
    taken = time.process_time() - start
    index.store.optimize(keep=timedelta(0))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    figures = [
        Figure("tracks", f"{len(index):,}"),
        at_most("bytes a track on disk, all files of the table", size / len(index), _BYTES_PER_TRACK),
    ]
    if missing:
        figures.append(Figure("processor time to draw, compress and write a track", f"{taken / missing * 1e3:.1f} ms"))
    return figures


def fresh(folder: Path, score: str) -> list[Figure]:
    """A process that opens the index and searches it."""
    found = in_a_process("index_fresh", str(folder), score)
    held, imported = found["peak"] / _MIB, found["imported"] / _MIB
    return [
        at_most("opening, nothing cached", found["opening"], 1.0, "{:.2f} s"),
        Figure("first search, nothing cached", f"{found['cold'][0] * 1e3:,.0f} ms"),
        Figure("searches with cold files, p50 / p95", percentiles(found["cold"])),
        Figure("the same with warm files, p50 / p95", percentiles(found["warm"])),
        at_most("most resident memory beyond the imports' (MiB)", held - imported, 1024),
        Figure("most resident memory in all (MiB)", f"{held:,.0f}"),
        Figure("resident memory after the imports (MiB)", f"{imported:,.0f}"),
    ]


def speed(index: MadeIndex, queries: int) -> list[Figure]:
    """Searches against one that scores every track, and against numpy over all global vectors."""
    taken = costs(index, range(0, len(index), len(index) // queries)[:queries])
    median, vectors = (
        float(np.median([cost.processor for cost in column])) for column in (taken.searches, taken.vectors)
    )
    walls = [cost.wall for cost in taken.searches]
    return [
        Figure(f"{queries} searches, warm, p50 / p95", percentiles(walls)),
        Figure("processor time, p50 / p95", percentiles(cost.processor for cost in taken.searches)),
        Figure("scoring every track, wall clock and processor time", "{:,.0f} / {:,.0f} s".format(*taken.everything)),
        at_least("a search is faster, in processor time", taken.everything.processor / median, 50, "{:,.0f} x"),
        Figure("a search is faster, by the wall clock's p50", f"{taken.everything.wall / np.median(walls):,.0f} x"),
        Figure("numpy over all global vectors, p50 / p95", percentiles(cost.wall for cost in taken.vectors)),
        Figure("a search takes, beside numpy in processor time", f"{median / vectors:,.0f} x"),
    ]


def quality(index: MadeIndex, queries: int) -> list[Figure]:
    """The top ten of searches against those by the score of whole sequences."""
    found = overlap(index, range(7, len(index), len(index) // queries)[:queries], _CANDIDATES)
    figures = [
        Figure(f"exact top ten found with {count:,} candidates", f"{share:.1%}")
        for count, share in found.candidates.items()
    ]
    default = found.candidates[_DEFAULT_CANDIDATES]
    figures[_CANDIDATES.index(_DEFAULT_CANDIDATES)] = at_least(
        f"exact top ten found with {_DEFAULT_CANDIDATES:,} candidates, the default", default, 0.95, "{:.1%}"
    )
    return [
        *figures,
        Figure("exact top ten found by scoring every compressed track", f"{found.compressed:.1%}"),
        Figure("deepest of the exact top ten, by compressed scores (100 were scored in full)", f"{found.deepest}"),
    ]


def songbook(folder: Path) -> list[Figure]:
    """R@1 and R@5, text to audio, of collap-mini on the songbook's validation songs."""
    songs = index_songbook.songs(folder)
    if not songs:
        return [Figure("songbook", f"skipped: {folder} has no validation songs (make songbook)")]
    exact, searches = index_songbook.recalls(songs)
    figures = [Figure("songs", f"{len(songs)}")]
    for k in (1, 5):
        name = f"text_to_audio_R@{k}"
        figures += [
            Figure(f"R@{k}, exact / index", f"{exact[name]:.1f} / {searches[name]:.1f}"),
            at_most(f"R@{k}, apart (points)", abs(exact[name] - searches[name]), 1.0, "{:.1f}"),
        ]
    return figures


def length() -> list[Figure]:
    """Indexing 10 minutes against 5, in turns; and the memory of each, in a process of its own."""
    five, ten = in_a_process("index_length", "5", "10")["seconds"]
    peaks = [in_a_process("index_length", minutes, "--rounds", "1")["peak"] / _MIB for minutes in ("5", "10")]
    return [
        Figure("processor time of 5 / 10 minutes", f"{five:.2f} / {ten:.2f} s"),
        at_most("10 minutes beside 5, processor time", ten / five, 2.1, "{:.2f} x"),
        Figure("most resident memory with 5 / 10 minutes", "{:,.0f} / {:,.0f} MiB".format(*peaks)),
        at_most("10 minutes beside 5, most resident memory", peaks[1] / peaks[0], 1.1, "{:.2f} x"),
    ]


def main(
    tracks: Annotated[int, typer.Option(help="made tracks; the paper's corpus has 51,300")] = 51_300,
    queries: Annotated[int, typer.Option(help="searches that are timed")] = 100,
    judged: Annotated[int, typer.Option(help="searches that are compared with exact scoring")] = 25,
    score: Annotated[str, typer.Option(help=f"weights of the three terms: {', '.join(SCORES)}")] = "collap-mini",
    table: Annotated[Path | None, typer.Option(help="keep the made table here, and go on with it next time")] = None,
) -> None:
    """All figures of the index, with the bars that were set for them."""
    if score not in SCORES:
        raise typer.BadParameter(f"{score} is none of {', '.join(SCORES)}")
    torch.set_num_threads(1)
    console = Console(width=130)
    console.print(figures_table("Length, collap-mini", length()))
    console.print(figures_table("Songbook, collap-mini", songbook(index_songbook.SONGBOOK)))
    with tempfile.TemporaryDirectory(prefix="collap-") as temporary:
        folder = table or Path(temporary) / "index"
        index = MadeIndex.at(folder, score)
        console.print(figures_table("Size", build(index, tracks)))
        console.print(figures_table("A fresh process", fresh(folder, score)))
        console.print(figures_table(f"Speed, weights: {score}", speed(index, queries)))
        console.print(figures_table(f"Agreement with exact scoring, weights: {score}", quality(index, judged)))


if __name__ == "__main__":
    typer.run(main)
