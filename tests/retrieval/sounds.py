"""Short audio files for the tests of search and demo."""

from pathlib import Path

import torch
from tiny import RATE, tone
from torchcodec.encoders import AudioEncoder


def write_sound(path: Path, seconds: float, hertz: float) -> Path:
    """A tone in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    AudioEncoder(torch.from_numpy(tone(seconds, hertz))[None], sample_rate=RATE).to_file(path)
    return path


def write_folder(folder: Path) -> Path:
    """Three tracks of unequal length in three formats, one broken file, and what is no audio."""
    write_sound(folder / "low.wav", 2.4, 220.0)
    write_sound(folder / "album one" / "high & clear.flac", 6.1, 880.0)
    write_sound(folder / "album one" / "middle.ogg", 4.0, 440.0)
    (folder / "broken.mp3").write_bytes(b"this is no sound")
    (folder / "notes.txt").write_text("not audio")
    (folder / ".hidden.wav").write_bytes(b"")
    return folder
