"""Nothing private is published: every file of a staging folder is looked at before it is pushed."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from .errors import ReleaseError
from .secrets import LOCAL_PATH, find_secrets, is_secret_file
from .staging import CACHE_FILES, CACHES
from .tables import Words, words_of_lance, words_of_parquet, words_of_safetensors

MAX_BYTES = 50 * 10**9  # the Hub's limit of a file
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")

_CHUNK, _OVERLAP = 2**24, 2**12  # bytes read at a time, and of them read twice
_TABLES: dict[str, Callable[[Path], Words]] = {".safetensors": words_of_safetensors, ".parquet": words_of_parquet}
_TOLD = 5  # findings that a message lists


@dataclass(frozen=True)
class Finding:
    """Something that must not be published, told without telling the secret."""

    path: str
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}{self.place and f', {self.place}'}: {self.what}"


def check_contents(folder: Path) -> None:
    """Looks at every file that would be pushed.

    Raises:
        ReleaseError: one holds what looks like a secret or a path on a local machine, or is a cache, a symbolic link,
            a pickle, or larger than the Hub takes; the message names files and lines.
    """
    found = list(islice(find(folder), _TOLD + 1))
    if found:
        told = "; ".join(map(str, found[:_TOLD]))
        more = "; and more" if len(found) > _TOLD else ""
        raise ReleaseError(f"{folder.name} cannot be published: {told}{more}")


def find(folder: Path) -> Iterator[Finding]:
    """All findings of a folder, file by file in the order of their names."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        here = Path(place)
        for name in list(folders):
            path = (here / name).relative_to(folder).as_posix()
            if (here / name).is_symlink():
                yield Finding(path, "", "a symbolic link")
                folders.remove(name)
            elif name in CACHES or name == ".git":
                yield Finding(path, "", "a folder that programs keep for themselves")
                folders.remove(name)
            elif (here / name / "_versions").is_dir():
                yield from _in_words(path, words_of_lance(here / name))
        for name in sorted(files):
            yield from _in_file(here / name, (here / name).relative_to(folder).as_posix())


def _in_file(file: Path, path: str) -> Iterator[Finding]:
    if file.is_symlink():
        yield Finding(path, "", "a symbolic link")
    elif not file.is_file():
        yield Finding(path, "", "no file that can be uploaded")
    elif is_secret_file(file.name):
        yield Finding(path, "", "a file in which programs keep secrets")
    elif file.name in CACHES or any(fnmatch(file.name, pattern) for pattern in CACHE_FILES):
        yield Finding(path, "", "a file that programs keep for themselves")
    elif file.suffix in PICKLES:
        yield Finding(path, "", "a pickle, which can run code when it is loaded")
    elif (size := file.stat().st_size) > MAX_BYTES:
        yield Finding(path, "", f"{size / 1e9:.1f} GB, and the Hub takes files up to {MAX_BYTES / 1e9:.0f} GB")
    elif file.suffix in _TABLES:
        yield from _in_words(path, _TABLES[file.suffix](file))
    else:
        yield from _in_bytes(file, path)
        if file.suffix == ".json":
            yield from _in_configuration(file, path)


def _in_bytes(file: Path, path: str) -> Iterator[Finding]:
    """Findings in any file, with the line of a text and the byte of what is none."""
    told: set[tuple[int, str]] = set()
    offset, line, window = 0, 1, b""  # of the window's first byte, counted from 0 and 1
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            kept = window[-_OVERLAP:]
            offset += len(window) - len(kept)
            line += window.count(b"\n", 0, len(window) - len(kept))
            window = kept + chunk
            is_text = b"\0" not in window
            for position, what in sorted(find_secrets(window)):
                if (offset + position, what) not in told:
                    told.add((offset + position, what))
                    lines = line + window.count(b"\n", 0, position)
                    yield Finding(
                        path, f"line {lines}" if is_text else f"byte {offset + position}", f"looks like {what}"
                    )


def _in_words(path: str, words: Words) -> Iterator[Finding]:
    try:
        for place, text in words:
            for what in dict.fromkeys(what for _, what in find_secrets(text.encode())):
                yield Finding(path, place, f"looks like {what}")
    except (ValueError, OSError, SafetensorError) as error:
        yield Finding(path, "", f"cannot be read ({error})")


def _in_configuration(file: Path, path: str) -> Iterator[Finding]:
    """`_name_or_path` remembers where a part was loaded from, relative folders included."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        yield Finding(path, "", f"no JSON ({error})")
        return
    for name in _names_or_paths(values):
        if name.count("/") > 1 or name.startswith((".", "~")) or (name and Path(name).exists()):
            yield Finding(path, f"_name_or_path {name!r}", f"looks like {LOCAL_PATH}")


def _names_or_paths(values: Any) -> Iterator[str]:
    if isinstance(values, dict):
        for key, value in values.items():
            if key in ("_name_or_path", "name_or_path") and isinstance(value, str):
                yield value
            else:
                yield from _names_or_paths(value)
    elif isinstance(values, list):
        for value in values:
            yield from _names_or_paths(value)
