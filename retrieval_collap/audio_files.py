"""A folder of the user's own audio: which files to read, and copies of them that a browser plays."""

import hashlib
import mimetypes
import os
import shutil
from pathlib import Path

from torchcodec.decoders import AudioDecoder
from torchcodec.encoders import AudioEncoder

# What Chromium, Firefox and Safari all play; anything else is written as FLAC beside the page.
_PLAYABLE = {".flac", ".m4a", ".mp3", ".wav"}
_MAX_CHANNELS = 2
_MAX_RATE = 48_000  # hertz


def find_audio(folder: Path, exclude: Path | None = None) -> list[Path]:
    """Files under `folder` that may hold audio, in the order of their paths.

    Hidden files, those under `exclude`, and those whose name says that they are something else (images, text, programs)
    are passed over; whether the others can be decoded is known when they are.

    Raises:
        NotADirectoryError: `folder` is no folder.
        FileNotFoundError: it holds no such file.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and _may_hold_audio(path.relative_to(folder)))
    found = [path for path in files if exclude is None or not path.resolve().is_relative_to(exclude.resolve())]
    if not found:
        raise FileNotFoundError(f"{folder} holds no audio files")
    return found


def playable_copy(source: Path, folder: Path) -> Path:
    """A file in `folder` with the sound of `source` that browsers play; made unless it is there."""
    stat = source.stat()
    digest = hashlib.sha256(f"{source.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:16]
    playable = source.suffix.lower() in _PLAYABLE
    target = folder / f"{digest}{source.suffix.lower() if playable else '.flac'}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}-{target.name}")
    if playable:
        shutil.copyfile(source, temporary)
    else:
        samples = AudioDecoder(source).get_all_samples()
        encoder = AudioEncoder(samples.data[:_MAX_CHANNELS], sample_rate=samples.sample_rate)
        encoder.to_file(temporary, sample_rate=min(samples.sample_rate, _MAX_RATE))
    temporary.replace(target)
    return target


def _may_hold_audio(path: Path) -> bool:
    kind, encoding = mimetypes.guess_type(path.name)
    hidden = any(part.startswith(".") for part in path.parts)
    media = kind is None or kind.startswith(("audio/", "video/")) or kind == "application/ogg"
    return media and encoding is None and not hidden
