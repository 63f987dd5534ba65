"""Build the songbook: compositions in, Hub-layout parquet shards with embedded audio out.

A shard is one task of a process pool. It is written under a temporary name and renamed when complete, so that a build
that was killed goes on where it stopped.
"""

import json
import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..schema import dataset_features
from ..whole_files import whole_file
from .arrangement import Arrangement
from .arranger import arrange
from .caption import write_caption
from .composition import Composition
from .pop909 import load_pop909
from .render import AudioFormat, default_soundfont, encode, render, seed_of
from .songwriter import split_of, write_song
from .tags import section_tags

SPLITS = ("train", "validation", "test")
SETTINGS_FILE = "settings.json"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SongbookSettings:
    """What a songbook is made from; two builds with equal settings make the same rows."""

    pop909: str | None = None
    songwriter: int = 0  # number of songs written
    renderings: int = 1  # orchestrations of each training song
    first_rendering: int = 0  # their seeds count from here, so that another songbook can have others of the same songs
    validation_renderings: int = 1  # of each validation and test song
    soundfonts: tuple[str, ...] = ()  # () for the default; each rendering takes one, by its song and seed
    audio_format: AudioFormat = "flac"
    sampling_rate: int = 16_000
    augment: bool = False  # training rows only
    rows_per_shard: int = 100
    rows_per_group: int = 20

    def __post_init__(self) -> None:
        if not self.pop909 and self.songwriter < 1:
            raise ValueError("no songs to render: name a POP909 folder or ask for songwriter songs")
        if self.first_rendering < 0:
            raise ValueError(f"first_rendering must be at least 0, got {self.first_rendering}")
        for name in ("renderings", "validation_renderings", "rows_per_shard", "rows_per_group", "sampling_rate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for path in (*self.soundfonts, *([self.pop909] if self.pop909 else [])):
            if not Path(path).exists():
                raise FileNotFoundError(f"{path} does not exist")


@dataclass(frozen=True)
class Job:
    """One row to make: a composition, or the songwriter's seed for it, and the seed of the arrangement."""

    song: Composition | int
    seed: int


@dataclass(frozen=True)
class Failure:
    song: str
    reason: str


def make_row(
    composition: Composition,
    seed: int,
    soundfont: str | os.PathLike[str] | None = None,
    *,
    sampling_rate: int = 16_000,
    audio_format: AudioFormat = "flac",
    augment: bool = False,
) -> dict[str, Any]:
    """Arrange, caption and render one song: a row of `dataset_features()`, audio encoded and embedded."""
    arrangement = arrange(composition, seed)
    audio = render(arrangement, soundfont, sampling_rate, augment=augment)
    return _row(
        arrangement, {"bytes": encode(audio, sampling_rate, audio_format), "path": f"{arrangement.id}.{audio_format}"}
    )


def song_rows(
    compositions: Sequence[Composition],
    seeds: Sequence[int] = (0,),
    soundfont: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Rows of every composition under every seed; `options` as in `make_row`."""
    for composition in compositions:
        for seed in seeds:
            yield make_row(composition, seed, soundfont, **options)


def _row(arrangement: Arrangement, audio: dict[str, Any]) -> dict[str, Any]:
    composition, caption = arrangement.composition, write_caption(arrangement)
    passages = caption.passages
    return {
        "id": arrangement.id,
        "song_id": composition.id,
        "audio": audio,
        "duration": composition.duration,
        "caption": caption.caption,
        "global_caption": caption.global_caption,
        "structure": [{"start": p.start, "end": p.end, "label": p.label, "caption": p.caption} for p in passages],
        "section_tags": section_tags(arrangement),
        "source": composition.source,
        "caption_source": "notes",
        "provenance": f"rendered by dataset_scripts.songbook from {composition.id}",
        "licence": composition.licence,
        "split": composition.split,
    }


def build_songbook(output: Path, settings: SongbookSettings, *, workers: int = 2) -> list[Failure]:
    """Write the data set to `output`, going on from the complete shards there; returns the songs that were skipped.

    Raises:
        ValueError: `output` holds a build with other settings, or an unfinished one of an earlier version.
    """
    _claim(output, settings)
    data = output / "data"
    shards = _plan_shards(settings)
    waiting = {name: jobs for name, jobs in shards.items() if not (data / name).exists()}
    if waiting:
        _refuse_other_columns([data / name for name in shards if name not in waiting])
    failures: list[Failure] = []
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    kept = sum(len(jobs) for name, jobs in shards.items() if name not in waiting)
    with (
        _progress() as progress,
        ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(counter,)) as pool,
    ):
        task = progress.add_task("rendering", total=sum(len(jobs) for jobs in waiting.values()))
        if kept:
            logger.info("keeping %d complete shards with %d rows", len(shards) - len(waiting), kept)
        todo = iter(waiting.items())
        pending: set[Future] = set()
        while True:
            for name, jobs in islice(todo, workers + 1 - len(pending)):
                pending.add(pool.submit(_write_shard, data / name, jobs, settings))
            if not pending:
                break
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            progress.update(task, completed=counter.value)
            for future in done:
                failures += future.result()
    (output / "README.md").write_text(_card(settings, shards), encoding="utf-8")
    for failure in failures:
        logger.warning("skipped %s: %s", failure.song, failure.reason)
    return failures


def _claim(output: Path, settings: SongbookSettings) -> None:
    """Note the settings in `output`, or compare them with those noted there."""
    (output / "data").mkdir(parents=True, exist_ok=True)
    noted, wanted = output / SETTINGS_FILE, json.loads(json.dumps(asdict(settings)))
    if noted.exists():
        # What an earlier version did not note yet was as it is by default.
        before = json.loads(json.dumps({field.name: field.default for field in fields(SongbookSettings)}))
        found = before | json.loads(noted.read_text(encoding="utf-8"))
        changed = [key for key in wanted if found[key] != wanted[key]]
        if changed:
            difference = ", ".join(f"{key}: {found[key]!r} there, {wanted[key]!r} here" for key in changed)
            raise ValueError(
                f"{output} holds a songbook built with other settings ({difference}); choose another folder"
            )
    else:
        _write_atomically(noted, json.dumps(wanted, indent=2) + "\n")


def _refuse_other_columns(files: Sequence[Path]) -> None:
    """`load_dataset(output)` wants the columns of the first shard of all."""
    for file in files:
        if missing := [name for name in dataset_features() if name not in pq.read_schema(file).names]:
            raise ValueError(
                f"{file} is of an earlier version, without the column {missing[0]}, and the songbook beside it is not "
                "complete; choose another folder"
            )


def _plan_shards(settings: SongbookSettings) -> dict[str, list[Job]]:
    """Every row to make by the name of its shard; all renderings of a song share its split."""
    jobs: dict[str, list[Job]] = {split: [] for split in SPLITS}
    for song, split in _songs(settings):
        first, count = 0, settings.validation_renderings
        if split == "train":
            first, count = settings.first_rendering, settings.renderings
        jobs[split] += [Job(song, seed) for seed in range(first, first + count)]
    shards = {}
    for split, rows in jobs.items():
        total = -(-len(rows) // settings.rows_per_shard)
        # Dealing the rows out keeps the renderings of one song in different row groups.
        for index in range(total):
            shards[f"{split}-{index:05d}-of-{total:05d}.parquet"] = rows[index::total]
    return shards


def _songs(settings: SongbookSettings) -> Iterator[tuple[Composition | int, str]]:
    if settings.pop909:
        for composition in load_pop909(Path(settings.pop909)):
            yield composition, composition.split
    for seed in range(settings.songwriter):
        yield seed, split_of(seed)


_counter: Any = None


def _start_worker(counter: Any) -> None:
    """One thread a worker: pools whose workers have several each crawl."""
    global _counter
    _counter = counter
    import torch

    torch.set_num_threads(1)
    pa.set_cpu_count(1)


def _write_shard(path: Path, jobs: Sequence[Job], settings: SongbookSettings) -> list[Failure]:
    """Make the rows of one shard, write them in small row groups, and give the file its name when it is complete."""
    schema = dataset_features(sampling_rate=settings.sampling_rate).arrow_schema
    failures: list[Failure] = []
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        rows = _rows(jobs, settings, failures)
        while group := list(islice(rows, settings.rows_per_group)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
    return failures


def _rows(jobs: Sequence[Job], settings: SongbookSettings, failures: list[Failure]) -> Iterator[dict[str, Any]]:
    soundfonts = settings.soundfonts or (str(default_soundfont()),)
    for job in jobs:
        try:
            composition = write_song(job.song) if isinstance(job.song, int) else job.song
            yield make_row(
                composition,
                job.seed,
                soundfonts[seed_of(f"{composition.id}/{job.seed}") % len(soundfonts)],
                sampling_rate=settings.sampling_rate,
                audio_format=settings.audio_format,
                augment=settings.augment and composition.split == "train",
            )
        except Exception as error:  # one bad song must not cost the others
            name = f"songwriter seed {job.song}" if isinstance(job.song, int) else job.song.id
            failures.append(Failure(f"{name}, arrangement {job.seed}", f"{type(error).__name__}: {error}"))
        if _counter is not None:
            with _counter.get_lock():
                _counter.value += 1


def _write_atomically(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns)


def _card(settings: SongbookSettings, shards: dict[str, list[Job]]) -> str:
    """The dataset card; its YAML names the splits, so that `load_dataset(folder)` finds them."""
    present = [split for split in SPLITS if any(name.startswith(split) for name in shards)]
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*" for split in present)
    counts = {split: sum(len(jobs) for name, jobs in shards.items() if name.startswith(split)) for split in present}
    table = "\n".join(f"| {split} | {count} |" for split, count in counts.items())
    return f"""---
configs:
- config_name: default
  data_files:
{files}
language:
- en
task_categories:
- feature-extraction
tags:
- music
- audio-text-retrieval
---

# Songbook

Full-length songs, orchestrated and rendered by `dataset_scripts.songbook`, each with a caption of the whole and one for
every section. The captions are written from the notes that were played, so what they say is exact.

| split | rows |
| --- | --- |
{table}

Splits are by song: the renderings of one song (`song_id`) share a split. Audio is mono at {settings.sampling_rate} Hz,
embedded as {settings.audio_format}. Column `licence` gives the licence of each composition; `settings.json` holds what
this build was made with.
"""
