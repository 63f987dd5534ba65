"""What a file says of itself: title, tags, duration."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Fields whose values become tags, in this order.
_TAG_FIELDS = ("genre", "mood", "artist", "album_artist", "composer", "album")
# How several values are written in one field.
_SEPARATORS = re.compile(r"[;,/\0]")
# Reading a header takes milliseconds; a file that takes this long has none worth waiting for.
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """Attributes:
    title: as the file states it, or its name without the suffix.
    tags: genres, moods, artists and album, in lower case, each once.
    duration: in seconds, as the header states it; None where it does not.
    """

    title: str
    tags: tuple[str, ...] = ()
    duration: float | None = None


def read_metadata(path: Path) -> Metadata:
    """The metadata of a file through `ffprobe`, which comes with FFmpeg; without it, the title is the file's name."""
    probe = shutil.which("ffprobe")
    if probe is None:
        return Metadata(path.stem)
    entries = "format=duration:format_tags:stream_tags"
    command = [probe, "-v", "error", "-show_entries", entries, "-of", "json", f"file:{path}"]
    try:
        printed = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=True)
        found = json.loads(printed.stdout.decode(errors="replace"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return Metadata(path.stem)
    container = found.get("format", {})
    fields: dict[str, str] = {}
    for part in (*found.get("streams", []), container):  # Ogg has them in the stream, the others in the container
        fields |= {name.lower(): value.strip() for name, value in part.get("tags", {}).items()}
    values = [value for name in _TAG_FIELDS for value in _SEPARATORS.split(fields.get(name, ""))]
    tags = dict.fromkeys(value.strip().lower() for value in values)
    duration = container.get("duration")
    return Metadata(
        fields.get("title") or path.stem,
        tuple(tag for tag in tags if tag),
        None if duration is None else float(duration),
    )
