"""Which files of a folder an index does not know yet, knows otherwise, or holds without there being a file."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..audio_files import find_audio
from ..library import Failure

# What `FolderChanges.find` reads of an index's rows.
KNOWN_COLUMNS = ("id", "path", "size", "modified")


@dataclass(frozen=True, slots=True)
class FolderChanges:
    """How a folder differs from what an index holds of it.

    Attributes:
        folder: its absolute path.
        waiting: files to read, new or changed, and the id of each; in the order of their paths.
        changed: the ids among them that the index holds already.
        unchanged: how many files are as they were.
        gone: ids of tracks whose file was in this folder and is there no more.
        failures: files whose name no table can hold.
    """

    folder: Path
    waiting: Mapping[Path, str]
    changed: frozenset[str]
    unchanged: int
    gone: tuple[str, ...]
    failures: tuple[Failure, ...]

    @classmethod
    def find(cls, folder: Path, known: Iterable[Mapping[str, Any]], exclude: Path | None = None) -> Self:
        """Compare a folder, subfolders included, with rows of `KNOWN_COLUMNS`.

        A file is the same as long as its size and the time of its last change are. The id of a new track is the
        absolute path of its file, so that one index may hold any number of folders, in whatever order they came.

        Args:
            exclude: a folder in it that holds no tracks, such as the index itself.

        Raises:
            NotADirectoryError: `folder` is no folder.
            FileNotFoundError: it holds no audio files.
        """
        folder = absolute(folder)
        rows = {row["path"]: row for row in known if Path(row["path"]).is_relative_to(folder)}
        waiting: dict[Path, str] = {}
        changed, failures, unchanged = set(), [], 0
        for file in find_audio(folder, exclude):
            row = rows.pop(str(file), None)
            if not _is_text(file):
                failures.append(Failure(_as_text(file), "the file's name is not UTF-8"))
            elif row is None:
                waiting[file] = str(file)
            elif _is_same(file, row):
                unchanged += 1
            else:
                waiting[file] = row["id"]
                changed.add(row["id"])
        gone = tuple(sorted(row["id"] for row in rows.values()))
        return cls(folder, waiting, frozenset(changed), unchanged, gone, tuple(failures))


def absolute(path: str | os.PathLike[str]) -> Path:
    """`path` from the root on; links stay what they are, for their names may say more than those they point to."""
    return Path(os.path.abspath(Path(path).expanduser()))


def _is_same(file: Path, row: Mapping[str, Any]) -> bool:
    try:
        stat = file.stat()
    except OSError:  # it went while we looked: reading it says why
        return False
    return stat.st_size == row["size"] and stat.st_mtime == row["modified"]


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_text(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")
