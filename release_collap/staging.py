"""Folders that hold exactly what is pushed, and are there as a whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What programs leave beside the files that people write.
CACHES = (
    *("__pycache__", ".cache", ".DS_Store", ".gradio", ".ipynb_checkpoints"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"),
)
CACHE_FILES = ("*.pyc", "*.pyo", "*.swp", "*~", "Thumbs.db")

_LARGE = 2**26  # bytes; from here on a copy is worth avoiding


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill; at the end it takes the name `target` and the place of what was there.

    Where filling it fails or is killed, `target` stays as it was; what a killed process left is removed by the next.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        if not _is_alive(left.name.split(".")[-2]):
            shutil.rmtree(left, ignore_errors=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        _replace(target, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def place(source: Path, target: Path) -> None:
    """A copy of the file, and of a large one a second name of the same bytes where the disk allows."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_size >= _LARGE:
        try:
            target.hardlink_to(source.resolve())
            return
        except OSError:
            pass  # on another disk, or on one without such names
    shutil.copyfile(source, target)


def place_folder(source: Path, target: Path) -> None:
    """All files of a folder but caches; symbolic links stay links, which the check refuses."""
    shutil.copytree(
        source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*CACHES, *CACHE_FILES)
    )


def _replace(target: Path, new: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    old = new.with_suffix(".old.tmp")  # of the same process, so that the next one removes it if this one is killed
    target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass  # another user's
    return True
