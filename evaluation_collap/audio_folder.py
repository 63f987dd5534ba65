"""A folder of recordings with a file of captions, as rows in the dataset schema."""

import math
from pathlib import Path

from datasets import Dataset

from dataset_scripts.captions_file import read_captions_file
from training_collap.own_music import CaptionedFile, captioned_rows, examine

CAPTIONS_FILES = ("captions.csv", "metadata.csv", "captions.jsonl", "metadata.jsonl")


def read_audio_folder(folder: Path, captions: Path | None = None, caption_column: str = "caption") -> Dataset:
    """Rows that name the recordings where they lie; their ids are the names of the files.

    A recording may be in several rows, with a caption each. Those that do not decode are in the rows all the same, with
    a duration of 0.

    Args:
        folder: where the names in `captions` start from.
        captions: CSV with a header, or JSON lines, with the columns `file` and `caption_column`. By default the first
            of `CAPTIONS_FILES` that is in the folder.
        caption_column: in the rows it is called `caption`.

    Raises:
        OSError: there is no such folder or file.
        ValueError: the captions cannot be read, or rows of them cannot be used; a line for every such row.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"there is no folder of audio {folder}")
    captions = captions or _find_captions(folder)
    files: list[CaptionedFile] = []
    problems: list[str] = []
    examined: dict[Path, CaptionedFile] = {}
    for number, row in read_captions_file(captions, ("file", caption_column)):
        name, caption = (str(row[column] or "").strip() for column in ("file", caption_column))
        path = (folder / name).resolve()
        if None in row:
            problems.append(f"row {number}: more fields than columns; a caption with commas needs double quotes")
        elif not path.is_file():
            problems.append(f"row {number}: there is no file {name!r} in {folder}")
        elif not caption:
            problems.append(f"row {number}: the {caption_column} of {name} is empty")
        else:
            if path not in examined:
                examined[path] = _examine(CaptionedFile(number, name, caption, "", path))
            files.append(CaptionedFile(number, name, caption, "", path, examined[path].duration))
    if problems:
        raise ValueError("\n  ".join([f"{captions} cannot be used:", *problems]))
    if not files:
        raise ValueError(f"{captions} names no recording")
    return captioned_rows("test", files, folder.resolve().name)


def _find_captions(folder: Path) -> Path:
    found = next((folder / name for name in CAPTIONS_FILES if (folder / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{folder} holds none of {', '.join(CAPTIONS_FILES)}; name it with --captions-file")
    return found


def _examine(file: CaptionedFile) -> CaptionedFile:
    try:
        return examine(file, (0.0, math.inf))
    except ValueError:
        return file  # named when it is to be encoded, with what else is broken
