"""The folder of a library: tracks with their descriptions, their audio, and an index of what was heard.

```
tracks.jsonl   a track a line: id, title, file, duration, caption, sections, licence, source
audio/         small compressed files that every browser plays
index/         a `TrackIndex` of exactly these files
```
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .limits import SpaceError
from .results import Section, TrackView

TRACKS_FILE, AUDIO_FOLDER, INDEX_FOLDER = "tracks.jsonl", "audio", "index"


def write_tracks(path: Path, tracks: Iterable[TrackView], sources: dict[str, str]) -> None:
    """`tracks.jsonl`.

    Args:
        sources: where each track is from, in words, by id.
    """
    lines = []
    for track in tracks:
        row = asdict(track)
        row["file"] = f"{AUDIO_FOLDER}/{row.pop('path').name}"
        lines.append(json.dumps({**row, "source": sources[track.id]}, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_tracks(folder: Path) -> list[TrackView]:
    """The tracks of the library in `folder`, as `write_tracks` wrote them.

    Raises:
        SpaceError: there is none, or a line says of no track of this folder what it should.
    """
    tracks = []
    for number, line in enumerate((folder / TRACKS_FILE).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            tracks.append(_track(folder, json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise SpaceError(f"Line {number} of {folder / TRACKS_FILE} is no track: {error!r}.") from error
    if not tracks:
        raise SpaceError(f"The library in {folder} is empty.")
    return tracks


def _track(folder: Path, row: dict[str, Any]) -> TrackView:
    path = folder / row["file"]
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the file {row['file']} lies outside the library")
    return TrackView(
        id=row["id"],
        title=row["title"],
        path=path,
        duration=float(row["duration"]),
        sections=tuple(Section(**section) for section in row["sections"]),
        licence=row["licence"],
        caption=row["caption"],
    )
