"""The tracks that can be searched."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modeling_collap import CollapModel
from processing_collap import CollapProcessor
from retrieval_collap import TrackIndex

from .library_files import INDEX_FOLDER, TRACKS_FILE, read_tracks
from .limits import SpaceError
from .results import TrackView


@dataclass(frozen=True, slots=True)
class SpaceLibrary:
    """An open library; `library_files.py` says what its folder holds, and `build_library.py` makes one.

    Attributes:
        tracks: by id, in the order of their titles.
        index: of the same tracks, with the model in memory.
    """

    tracks: dict[str, TrackView]
    index: TrackIndex

    @classmethod
    def open(cls, folder: Path, model: CollapModel, processor: CollapProcessor) -> Self:
        """
        Raises:
            SpaceError: there is no library, a part of it is missing or damaged, or another model made it.
        """
        if not (folder / TRACKS_FILE).is_file():
            raise SpaceError(
                f"There is no library in {folder}: it has no {TRACKS_FILE}. space_collap.build_library makes one."
            )
        tracks = {track.id: track for track in sorted(read_tracks(folder), key=lambda track: (track.title, track.id))}
        for track in tracks.values():
            if not track.path.is_file():
                raise SpaceError(f"The library in {folder} lacks the audio of “{track.title}”, {track.path.name}.")
        try:
            index = TrackIndex.open(folder / INDEX_FOLDER, model, processor)
            indexed = {row["id"] for row in index.store.records(columns=["id"])}
        except (OSError, ValueError) as error:
            raise SpaceError(f"The library in {folder} cannot be searched: {error}.") from error
        if different := indexed ^ tracks.keys():
            raise SpaceError(
                f"The library in {folder} is not whole: {TRACKS_FILE} and the index differ in {len(different)} tracks, "
                f"such as {min(different)}."
            )
        return cls(tracks, index)
