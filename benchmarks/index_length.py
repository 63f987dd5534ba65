"""What it costs to index files of given lengths with collap-mini.

`python -m benchmarks.index_length MINUTES...` prints what `benchmarks.index` reads, from a process that did nothing
else.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torchcodec.encoders import AudioEncoder

from evaluation_collap.scorers.collap import load_collap
from retrieval_collap import TrackIndex

from .index_figures import peak
from .index_tracks import MINI

_RATE = 16000


def main(minutes: list[float], rounds: Annotated[int, typer.Option(help="in turns; the least counts")] = 7) -> None:
    """Processor seconds of each length, and peak resident memory, as JSON."""
    torch.set_num_threads(1)
    model, processor = load_collap(str(MINI))
    with tempfile.TemporaryDirectory() as folder:
        index = TrackIndex.create(Path(folder) / "index", model, processor)
        paths = [_write_noise(Path(folder) / f"{length:g}.flac", length) for length in (0.5, *minutes)]
        _index(index, paths[0])  # the warm-up
        times = [[_index(index, path) for path in paths[1:]] for _ in range(rounds)]
    print(json.dumps({"seconds": [min(column) for column in zip(*times, strict=True)], "peak": peak()}))


def _write_noise(path: Path, minutes: float) -> Path:
    noise = 0.1 * torch.randn(1, round(minutes * 60 * _RATE), generator=torch.Generator().manual_seed(0))
    AudioEncoder(noise, sample_rate=_RATE).to_file(str(path))
    return path


def _index(index: TrackIndex, path: Path) -> float:
    start = time.process_time()
    failures = index.add([(path.stem, path)])
    if failures:
        raise ValueError(failures[0].reason)
    return time.process_time() - start


if __name__ == "__main__":
    typer.run(main)
