"""One's own music as a dataset: a folder of audio, and captions in a CSV file."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from torchcodec.decoders import AudioDecoder

from dataset_scripts.captions_file import read_captions_file
from dataset_scripts.schema import dataset_from_rows

MIN_TRACKS = 4
SPLITS = ("train", "validation")
_MIN_PER_SPLIT = 2
_TAIL_SECONDS = 1.0


@dataclass(frozen=True)
class CaptionedFile:
    """One row of the captions file and the recording it speaks of; `duration` in seconds, `digest` of the bytes."""

    row: int
    name: str
    caption: str
    split: str
    path: Path
    duration: float = 0.0
    digest: str = ""


def read_own_music(
    audio: Path,
    captions: Path,
    *,
    seconds: tuple[float, float],
    validation_share: float = 0.2,
    progress: Callable[[list[CaptionedFile]], Iterable[CaptionedFile]] = iter,
) -> dict[str, list[CaptionedFile]]:
    """The recordings of each split; whatever is wrong with any of them is found before anything is made of them.

    Args:
        audio: folder that the names in `captions` start from.
        captions: CSV file or JSON lines in UTF-8 with the columns `file` and `caption`, and `split` where rows are to
            be in "train" or "validation".
        seconds: shortest and longest recording that the model reads.
        validation_share: share of the recordings that validate. Which they are follows from the recordings' bytes, so
            that neither their names nor their order matter; rows with a `split` stay where they are.
        progress: iterates over what is to be decoded.

    Raises:
        OSError: if there is no such folder or file.
        ValueError: with a line for every row that cannot be used, or if there are too few.
    """
    if not audio.is_dir():
        raise NotADirectoryError(f"there is no folder of audio {audio}")
    files, problems = _read_captions(audio, captions)
    readable: list[CaptionedFile] = []
    first: dict[str, CaptionedFile] = {}
    for file in progress(files):
        try:
            file = examine(file, seconds)
        except ValueError as error:
            problems[file.row] = f"{file.name} {error}"
            continue
        if (twin := first.setdefault(file.digest, file)) is not file:
            problems[file.row] = f"{file.name} is the same recording as {twin.name} in row {twin.row}"
        readable.append(file)
    if problems:
        lines = [f"row {row}: {problem}" for row, problem in sorted(problems.items())]
        raise ValueError("\n  ".join([f"{captions} cannot be used:", *lines]))
    if len(readable) < MIN_TRACKS:
        raise ValueError(f"{captions} names {len(readable)} recordings; fine-tuning needs at least {MIN_TRACKS}.")
    splits = _split(readable, validation_share)
    for name, members in splits.items():
        if len(members) < _MIN_PER_SPLIT:
            raise ValueError(
                f"{captions} leaves {len(members)} recordings for {name}; it needs at least {_MIN_PER_SPLIT}."
            )
    return splits


def write_dataset(folder: Path, splits: dict[str, list[CaptionedFile]], source: str) -> None:
    """The recordings as a dataset in the schema, by reference: parquet files that name the audio where it lies.

    Raises:
        FileExistsError: if the folder holds a dataset of other recordings, captions or splits.
    """
    tables = {name: captioned_rows(name, files, source) for name, files in splits.items()}
    paths = {name: folder / "data" / f"{name}-00000-of-00001.parquet" for name in splits}
    if any(path.exists() for path in paths.values()):
        if all(path.exists() and _same(path, tables[name]) for name, path in paths.items()):
            return
        raise FileExistsError(f"{folder} holds other recordings, captions or splits; choose another output folder.")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        tables[name].to_parquet(str(path))


def _read_captions(audio: Path, captions: Path) -> tuple[list[CaptionedFile], dict[int, str]]:
    """Rows whose recording is there, in order, and by row what is wrong with the others."""
    files: list[CaptionedFile] = []
    problems: dict[int, str] = {}
    seen: dict[Path, int] = {}
    for number, row in read_captions_file(captions, ("file", "caption")):
        name, caption, split = (str(row.get(field) or "").strip() for field in ("file", "caption", "split"))
        path = (audio / name).resolve()
        if None in row:
            problems[number] = "more fields than columns; a caption with commas needs double quotes around it"
        elif not name:
            problems[number] = "the file is missing"
        elif path in seen:
            problems[number] = f"{name} is in row {seen[path]} already"
        elif not path.is_file():
            problems[number] = f"there is no file {name} in {audio}"
        elif not caption:
            problems[number] = f"the caption of {name} is empty"
        elif split and split not in SPLITS:
            problems[number] = f"the split of {name} is {split!r}, neither train nor validation"
        else:
            files.append(CaptionedFile(number, name, caption, split, path))
        if name:
            seen.setdefault(path, number)
    return files, problems


def examine(file: CaptionedFile, seconds: tuple[float, float]) -> CaptionedFile:
    """The file with its duration and digest, once its last second has been decoded.

    Raises:
        ValueError: if it cannot be decoded, or is shorter or longer than it may be.
    """
    shortest, longest = seconds
    try:
        decoder = AudioDecoder(file.path)
        claimed = decoder.metadata.duration_seconds or 0.0
        tail = decoder.get_samples_played_in_range(max(claimed - _TAIL_SECONDS, 0.0), None)
    except Exception as error:  # torchcodec raises several kinds
        raise ValueError(f"cannot be decoded: {_reason(error)}") from error
    duration = tail.pts_seconds + tail.duration_seconds
    if not shortest <= duration <= longest:
        raise ValueError(f"lasts {duration:.1f} s; the model reads {shortest:g} to {longest:g} s")
    with file.path.open("rb") as content:
        return replace(file, duration=duration, digest=hashlib.file_digest(content, "sha256").hexdigest())


def _reason(error: Exception) -> str:
    """What torchcodec says, without the place in its source."""
    message = str(error).rpartition(".cpp:")[2].partition(", ")[2] or str(error)
    return " ".join(message.split()) or type(error).__name__


def _split(files: list[CaptionedFile], validation_share: float) -> dict[str, list[CaptionedFile]]:
    """Validation takes what its rows say, and of rows without a split those of the smallest digests up to its share."""
    stated = sum(file.split == "validation" for file in files)
    wanted = max(_MIN_PER_SPLIT, round(validation_share * len(files))) - stated
    free = sorted(file.digest for file in files if not file.split)[: max(wanted, 0)]
    splits: dict[str, list[CaptionedFile]] = {name: [] for name in SPLITS}
    for file in files:
        splits[file.split or ("validation" if file.digest in free else "train")].append(file)
    return splits


def captioned_rows(split: str, files: list[CaptionedFile], source: str) -> Dataset:
    """The recordings in the schema, by reference, with their names as ids."""
    rows: list[dict[str, Any]] = [
        {
            "id": file.name,
            "song_id": file.name,
            "audio": {"bytes": None, "path": str(file.path)},
            "duration": file.duration,
            "caption": file.caption,
            "global_caption": file.caption,
            "structure": [],  # so that crops, too, go with the whole caption
            "source": source,
            "licence": "unknown",
            "split": split,
        }
        for file in files
    ]
    return dataset_from_rows(rows)


def _same(path: Path, table: Dataset) -> bool:
    return Dataset.from_parquet(str(path), features=table.features, keep_in_memory=True).to_list() == table.to_list()
