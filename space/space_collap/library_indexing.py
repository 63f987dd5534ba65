"""The index of a library that is being built: what is heard in its audio files, and the list of its tracks."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

from evaluation_collap.scorers.collap import load_collap
from retrieval_collap import TrackIndex
from retrieval_collap.index import IndexedTrack
from retrieval_collap.index.metadata import Metadata
from retrieval_collap.index.reading import FileReader
from retrieval_collap.index.track_index import row_of

from .library_entries import Entry
from .library_files import AUDIO_FOLDER, INDEX_FOLDER, TRACKS_FILE, write_tracks
from .limits import SpaceError
from .results import TrackView

# Tracks in a commit of the index: a build that is killed encodes no more than these again.
_TRACKS_PER_COMMIT = 8


class LibraryIndexing:
    """Encodes audio files into the index of the folder that a library is built in, as far as they are not in it yet.

    The index hears the compressed files, as listeners do, and keeps no path of this machine.

    Args:
        work: the folder; its audio files are named as the entries say.
        index: of this folder.
    """

    def __init__(self, work: Path, index: TrackIndex):
        self._work = work
        self._index = index
        self._waiting: list[IndexedTrack] = []
        self._hashes = {row["id"]: row["content_hash"] for row in index.store.records(columns=["id", "content_hash"])}

    @classmethod
    def open(cls, work: Path, model: str) -> Self:
        """Go on with the index of a build before this one; a new one where there is none, or it is another model's.

        Args:
            model: folder or Hub name.

        Raises:
            SpaceError: the model cannot be loaded.
        """
        try:
            loaded, processor = load_collap(model)
        except ValueError as error:
            raise SpaceError(f"{error}.") from error
        folder = work / INDEX_FOLDER
        try:
            return cls(work, TrackIndex.open(folder, loaded, processor))
        except (OSError, ValueError):
            if folder.exists():
                shutil.rmtree(folder)
        # An index keeps a step a second, unless the model's own frames are closer together.
        seconds = min(1.0, loaded.config.seconds_per_stride)
        name = _public_name(model)
        return cls(work, TrackIndex.create(folder, loaded, processor, name=name, seconds_per_step=seconds))

    def add(self, entry: Entry) -> None:
        """
        Raises:
            ValueError: the file does not decode, or is too short or too long.
            OSError: it cannot be read, or the index not be written.
        """
        path = self._work / AUDIO_FOLDER / entry.name
        known = frozenset({self._hashes[entry.id]} if entry.id in self._hashes else ())
        read = FileReader(self._index.processor.feature_extractor, known)(path)
        if read.inputs is None:
            return
        encoded = self._index.encode(read.inputs)
        read = replace(read, metadata=Metadata(entry.title))
        self._waiting.append(row_of(entry.id, f"{AUDIO_FOLDER}/{entry.name}", read, read.duration, encoded))
        if len(self._waiting) == _TRACKS_PER_COMMIT:
            self._commit()

    def finish(self, kept: list[Entry]) -> None:
        """Take out what a build before this one left, and write the list of the tracks."""
        self._commit()
        store = self._index.store
        durations = {row["id"]: row["duration"] for row in store.records(columns=["id", "duration"])}
        store.remove(durations.keys() - {entry.id for entry in kept})
        store.optimize(keep=timedelta(0))
        audio = self._work / AUDIO_FOLDER
        names = {entry.name for entry in kept}
        for path in audio.iterdir():
            if path.name not in names:
                path.unlink()
        tracks = [_view(entry, audio / entry.name, durations[entry.id]) for entry in kept]
        write_tracks(self._work / TRACKS_FILE, tracks, {entry.id: entry.source for entry in kept})

    def _commit(self) -> None:
        self._index.write(self._waiting)
        self._waiting = []


def _view(entry: Entry, path: Path, duration: float) -> TrackView:
    return TrackView(entry.id, entry.title, path, duration, entry.sections, entry.licence, entry.caption)


def _public_name(model: str) -> str:
    """A Hub name, or a folder's own name without the way to it."""
    path = Path(model).expanduser()
    return path.resolve().name if path.is_dir() else model
