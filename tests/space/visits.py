"""What visits to the app share: its songs, its process, and users with a window of their own."""

from dataclasses import dataclass, field
from pathlib import Path

import tiny
import torch
from playwright.sync_api import Page
from torchcodec.encoders import AudioEncoder

ROOT = Path(__file__).parents[2]
SONGS = ("Low tones", "Middle tones", "High tones")
SECONDS = 12.0
# For a machine that does other things as well; nothing is slept for.
PATIENCE_MS = 60_000


def write_song(path: Path, number: int, seconds: float = SECONDS) -> None:
    """A tone that changes in the middle, as a compressed file."""
    half, hertz = seconds / 2, 180.0 * 1.5**number
    samples = [tiny.tone(half, hertz, seed=number), tiny.tone(half, 2 * hertz, seed=number + 10)]
    encoder = AudioEncoder(torch.cat([torch.from_numpy(part) for part in samples])[None], sample_rate=tiny.RATE)
    path.write_bytes(encoder.to_tensor("mp3", bit_rate=48_000).numpy().tobytes())


@dataclass
class RunningApp:
    """The app's process."""

    url: str
    log: Path
    refused: Path  # connections to other machines

    def refusals(self) -> str:
        return self.refused.read_text(encoding="utf-8") if self.refused.exists() else ""


@dataclass
class Visitor:
    """A user with a browser window of their own, and what the window has asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()
