"""Short recordings and small tables in the place of a benchmark's official files."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tiny import RATE, tone
from torch import from_numpy
from torchcodec.encoders import AudioEncoder


def write_audio(path: Path, seconds: float = 1.0, number: int = 0) -> Path:
    """A tone that no other `number` has, in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    AudioEncoder(from_numpy(tone(seconds, 150.0 * 1.2**number, seed=number))[None], sample_rate=RATE).to_file(str(path))
    return path


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
