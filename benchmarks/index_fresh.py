"""A process that opens an index and searches it, as `collap search` is one: its memory, and its time with cold files.

`python -m benchmarks.index_fresh FOLDER SCORE` prints what `benchmarks.index` reads. "Cold" is that the operating
system was told to forget the table's files before every search; "warm", that the same searches were made just before.
"""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from processing_collap import CollapProcessor

from .index_figures import peak, resident
from .index_tracks import MINI, MadeIndex, model


def forget(folder: Path) -> None:
    """Drop a folder's files from the page cache, once they are on disk."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def main(folder: Path, score: str, searches: Annotated[int, typer.Option(help="of each kind")] = 20) -> None:
    """Bytes and seconds of a fresh process, as JSON."""
    torch.set_num_threads(1)
    forget(folder)
    imported = resident()
    made, processor = model(score), CollapProcessor.from_pretrained(MINI)
    start = time.perf_counter()
    index = MadeIndex.open(folder, made, processor)
    opening = time.perf_counter() - start
    tracks = len(index)
    seconds: dict[str, list[float]] = {"cold": [], "warm": []}
    for number in range(searches):
        forget(folder)
        for kind in seconds:
            start = time.perf_counter()
            index.search(str(number * 97 % tracks))
            seconds[kind].append(time.perf_counter() - start)
    print(json.dumps({"imported": imported, "peak": peak(), "opening": opening, **seconds}))


if __name__ == "__main__":
    typer.run(main)
