"""Rows per second of each stage of the dataset pipeline, and its peak memory, which must not grow with the rows.

`python -m benchmarks.dataset_pipeline` builds a corpus from a made table of videos. What the network, FFmpeg and a
captioner do is stood in for: rows get a drawn fingerprint of five minutes, one in a hundred that of the row before with
bits changed, and a description in FUTGA's format of some 250 words. All else is the pipeline as it is: Ray, blocks,
ledgers, selection, search for duplicates, parser, shards and card.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from dataset_scripts.audioset.blocks import Done
from dataset_scripts.audioset.cluster import ray_running
from dataset_scripts.audioset.duplicates import Duplicates
from dataset_scripts.audioset.engine import AnyStage, Engine, work_folder
from dataset_scripts.audioset.ledger import write_ledger
from dataset_scripts.audioset.pack import Pack
from dataset_scripts.audioset.select import Select
from dataset_scripts.audioset.stage import Row, RowStage
from dataset_scripts.audioset.structure import Structure

PAPER_ROWS = 51_300
_SECONDS = 288.25  # of a track
_WORDS_PER_SECOND = 7.8  # of a fingerprint
_SENTENCE = "The drums enter with a steady pulse while the guitar repeats its figure over the bass line. "


class StandInDownload(RowStage):
    """Every video is there."""

    name: ClassVar[str] = "download"

    def process(self, row: Row) -> Row:
        return row | {"path": f"audio/{row['id']}.opus", "sha256": f"{row['id']:0>64}"}


class StandInFilter(RowStage):
    """Every recording is fit, and one in a hundred is another encoding of the one before."""

    name: ClassVar[str] = "filter"

    def process(self, row: Row) -> Row:
        number = int(row["id"])
        again = number % 100 == 99
        rng = np.random.default_rng(number - again)
        words = rng.integers(0, 2**32, round(_SECONDS * _WORDS_PER_SECOND), dtype=np.uint32)
        if again:
            words[::3] ^= np.uint32(1) << rng.integers(0, 16, len(words[::3]), dtype=np.uint32)
        return row | {"duration": _SECONDS, "fingerprint": words.tobytes()}


@dataclass
class StandInCaption(RowStage):
    """A description in FUTGA's format, 5 sections."""

    name: ClassVar[str] = "caption"

    def __post_init__(self) -> None:
        self.actor = True

    def process(self, row: Row) -> Row:
        sections = [f"**{20 * i}-{20 * i + 20}% - Verse:**\n* {_SENTENCE * 2}" for i in range(5)]
        description = "\n\n".join([f"A song with the number {row['id']}. {_SENTENCE * 4}", *sections])
        return row | {"description": description, "caption_source": "stand-in", "caption_model": "none"}


def build(folder: Path, rows: int) -> None:
    """Run all stages with a Ray of their own; prints seconds and rows of each as a line of JSON."""
    table, ontology, work = folder / "segments.csv", folder / "ontology.json", folder / "work"
    table.write_text("".join(f'{number:011d}, 0.000, 10.000, "/m/04rlf"\n' for number in range(rows)))
    ontology.write_text(json.dumps([{"id": "/m/04rlf", "name": "Music", "child_ids": []}]))
    stages: list[AnyStage] = [
        Select((table,), ontology),
        StandInDownload(),
        StandInFilter(),
        Duplicates(),
        StandInCaption(),
        Structure(),
        Pack(work, folder / "corpus", audio=False),
    ]
    with work_folder(work), ray_running():
        engine = Engine(work)
        before = None
        for stage in stages:
            start = time.perf_counter()
            done: Done = engine.run(stage, before)
            seconds = time.perf_counter() - start
            told = {"stage": stage.name, "seconds": seconds, "rows": rows, "dropped": done.dropped}
            print(json.dumps(told), flush=True)
            rows = done.kept
            before = engine.folder(stage.name)
        write_ledger(work / "ledger.parquet", [engine.folder(stage.name) for stage in stages])


def peak_memory(process: subprocess.Popen, interval: float = 0.5) -> int:
    """Bytes that a process and all below it take at most, shared pages divided among those that share them."""
    peak = 0
    while process.poll() is None:
        total = 0
        try:
            root = psutil.Process(process.pid)
            for one in [root, *root.children(recursive=True)]:
                try:
                    total += one.memory_full_info().pss
                except psutil.Error:
                    continue  # it has ended
        except psutil.Error:
            continue
        peak = max(peak, total)
        time.sleep(interval)
    return peak


def main(
    rows: Annotated[list[int] | None, typer.Option(help="Sizes of the corpus; repeatable.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Run one size in this folder, unmeasured.")] = None,
) -> None:
    """Rows per second by stage and peak memory for each size."""
    sizes = rows or [5_000, PAPER_ROWS]
    if folder is not None:
        build(folder, sizes[0])
        return
    results, peaks = {}, {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="collap-") as name:
            command = [sys.executable, "-m", "benchmarks.dataset_pipeline", "--rows", f"{size}", "--folder", name]
            with open(Path(name) / "out.jsonl", "w+") as out, subprocess.Popen(command, stdout=out) as process:
                peaks[size] = peak_memory(process)
                out.seek(0)
                results[size] = [json.loads(line) for line in out]
            if process.returncode:
                raise typer.Exit(process.returncode)
    table = Table(title="Dataset pipeline, rows per second")
    table.add_column("stage")
    for size in sizes:
        table.add_column(f"{size:,} rows", justify="right")
    for lines in zip(*results.values(), strict=True):
        table.add_row(lines[0]["stage"], *(f"{line['rows'] / line['seconds']:,.0f}" for line in lines))
    table.add_row("duplicates found", *(f"{lines[3]['dropped']:,}" for lines in results.values()), end_section=True)
    table.add_row("peak memory, MB", *(f"{peak / 1e6:,.0f}" for peak in peaks.values()))
    table.add_row("beside the first", *(f"{peak / peaks[sizes[0]]:.2f}" for peak in peaks.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
