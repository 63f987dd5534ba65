"""The audio files of a benchmark: found by name, their lengths read, and named where they are missing or broken."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from torchcodec.decoders import AudioDecoder
from tqdm.auto import tqdm

from .owners import Owner

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".webm", ".mka", ".mp4")
_BAR_AFTER_SECONDS = 3
_NAMED = 5

logger = logging.getLogger(__name__)


class Recording(NamedTuple):
    """An audio file and its length in seconds, as its header has it."""

    path: Path
    duration: float


class AudioFiles:
    """The audio files in a folder and its subfolders, by their names without endings.

    Of files that differ in their folder or ending alone, the first by path counts.
    """

    def __init__(self, folder: Path):
        self._files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                self._files.setdefault(path.stem, path)

    def find(self, names: Iterable[str]) -> Path | None:
        """The file with the first of the names that one has."""
        return next((self._files[name] for name in names if name in self._files), None)


def clip_names(youtube_id: str, start: float, end: float) -> list[str]:
    """Names under which people keep a clip of a YouTube video, which lasts from `start` to `end` (seconds in it).

    `ID`, `ID_START`, `ID_START_END` and `ID-START-END`, the times in seconds or milliseconds, each also with a `Y`
    before the id, as tools for AudioSet write it; and `[ID]-[START-END]` in seconds.
    """
    names = []
    for name in (youtube_id, f"Y{youtube_id}"):
        names.append(name)
        for first, last in ((f"{start:g}", f"{end:g}"), (f"{1000 * start:.0f}", f"{1000 * end:.0f}")):
            names += [f"{name}_{first}", f"{name}_{first}_{last}", f"{name}-{first}-{last}"]
    return [*names, f"[{youtube_id}]-[{start:g}-{end:g}]"]


def all_recordings(owner: Owner, files: Mapping[str, Path]) -> dict[str, Recording]:
    """The recordings of a benchmark whose owner publishes the audio, by the name of the track.

    Raises:
        ValueError: some do not decode.
    """
    found, broken = _read(files)
    if broken:
        shown = ", ".join(str(files[name]) for name in broken[:_NAMED]) + (" ..." if len(broken) > _NAMED else "")
        raise ValueError(f"{owner.title}: {len(broken)} of {len(files)} recordings do not decode: {shown}.")
    return found


def available_recordings(owner: Owner, files: Mapping[str, Path | None], example: str) -> dict[str, Recording]:
    """Those recordings that are there and decode, of a benchmark whose owner publishes no audio.

    What is left out is told in a warning.

    Args:
        files: by the name of the track, None where there is no file.
        example: a path at which a recording would have been found.

    Raises:
        FileNotFoundError: none is there.
    """
    found, broken = _read({name: path for name, path in files.items() if path is not None})
    if not found:
        raise FileNotFoundError(
            f"{owner.title}: none of the {len(files)} recordings is there, such as {example}; its owner publishes no "
            "audio, and docs/benchmarks.md says how files are to be called."
        )
    if absent := [name for name, path in files.items() if path is None]:
        logger.warning(
            "%s: %d of %d recordings are not there and left out, %s the first of them",
            owner.title, len(absent), len(files), absent[0],
        )  # fmt: skip
    for name in broken:
        logger.warning("%s: left out is %s, which does not decode", owner.title, files[name])
    return found


def _read(files: Mapping[str, Path]) -> tuple[dict[str, Recording], list[str]]:
    """Recordings, and the names of those that do not decode."""
    found, broken = {}, []
    for name, path in tqdm(files.items(), "Reading lengths", delay=_BAR_AFTER_SECONDS, leave=False):
        try:
            duration = AudioDecoder(str(path)).metadata.duration_seconds
        except Exception:  # torchcodec raises several kinds
            duration = None
        if duration:
            found[name] = Recording(path, duration)
        else:
            broken.append(name)
    return found, broken
