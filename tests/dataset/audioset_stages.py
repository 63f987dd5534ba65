"""Tiny stages for the engine, and a command that runs them in a process that can be killed."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import ray
from ray import cloudpickle

from dataset_scripts.audioset.blocks import Done
from dataset_scripts.audioset.cluster import ray_running
from dataset_scripts.audioset.engine import Engine, work_folder
from dataset_scripts.audioset.stage import Dropped, Outcome, Row, RowStage, Stage, WholeStage

if __name__ != "__main__":
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's processes do not find the tests


@dataclass
class Make(WholeStage):
    """`rows` rows in blocks of 7."""

    name: ClassVar[str] = "make"
    rows: int = 30

    def __call__(self, blocks: Sequence[list[Row]]) -> Iterator[Outcome]:
        for start in range(0, self.rows, 7):
            yield Outcome([{"id": f"{i:04d}", "duration": float(i)} for i in range(start, min(start + 7, self.rows))])


@dataclass
class Mark(RowStage):
    """Gives rows a caption, drops every fifth one, and fails at an item of choice."""

    name: ClassVar[str] = "mark"
    incidental: ClassVar[tuple[str, ...]] = ("work", "seconds", "fails_at")

    work: Path
    word: str = "song"
    seconds: float = 0.0
    fails_at: str | None = None

    def process(self, row: Row) -> Row | Dropped:
        time.sleep(self.seconds)
        if row["id"] == self.fails_at:
            raise KeyError("no such tune")
        if int(row["id"]) % 5 == 0:
            return self.drop(row, f"fifth: {row['id']}")
        return row | {"caption": f"{self.word} {row['id']}"}


@dataclass
class Resident(Stage):
    """Counts the processes in which it was started."""

    name: ClassVar[str] = "resident"

    work: Path

    def __post_init__(self) -> None:
        self.actor = True

    def start(self) -> None:
        self.model = "resident"
        (self.work / f"started-{time.time_ns()}").touch()

    def __call__(self, rows: list[Row]) -> Outcome:
        return Outcome([row | {"caption_model": self.model} for row in rows])


def run_tiny(work: Path, *, rows: int, seconds: float = 0.0) -> Done:
    """Both tiny stages, with blocks of 4."""
    with work_folder(work):
        engine = Engine(work, block_size=4)
        engine.run(Make(rows))
        return engine.run(Mark(work, seconds=seconds), engine.folder("make"))


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files below a folder but the lock, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def melody(seed: int, seconds: float, sampling_rate: int = 16_000) -> np.ndarray:
    """Chords of drawn notes, float32 (samples,): enough of a tune for a fingerprint."""
    rng = np.random.default_rng(seed)
    time_ = np.arange(round(0.25 * sampling_rate)) / sampling_rate
    fade = np.exp(-6 * time_)
    notes = []
    for _ in range(-(-round(4 * seconds) // 1)):
        pitches = 110 * 2 ** (rng.integers(0, 37, 3) / 12)
        tones = sum(np.sin(2 * np.pi * pitch * h * time_) / h for pitch in pitches for h in (1, 2, 3))
        notes.append(tones * fade)
    samples = np.concatenate(notes)[: round(seconds * sampling_rate)]
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)


if __name__ == "__main__":
    address, folder, count = sys.argv[1:]
    with ray_running(None if address == "local" else address, 2):
        run_tiny(Path(folder), rows=int(count), seconds=0.02)
    assert not ray.is_initialized()
