"""What visits to the app share: its songs, its process, and users with a window of their own."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
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


@contextmanager
def run_app(
    script: Path, folder: Path, environment: Mapping[str, str], *, without_checkout: bool = False
) -> Iterator[RunningApp]:
    """The app in a process of its own, up and answering; connections to other machines are refused.

    Args:
        folder: of its log and of what is uploaded.
        without_checkout: the rooms are those beside the script, and not those that are installed here.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = RunningApp(f"http://127.0.0.1:{port}/", folder / "log.txt", folder / "refused.txt")
    own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "uploads"), "OMP_NUM_THREADS": "1"}
    runner = [sys.executable, str(Path(__file__).with_name("guarded_app.py")), str(app.refused), str(script)]
    with app.log.open("w") as log:
        process = subprocess.Popen(
            [*runner, *(["--without-checkout"] if without_checkout else [])],
            env={**environment, **own},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_up(app, process)
        yield app
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_up(app: RunningApp, process: subprocess.Popen[bytes]) -> None:
    while not _ended_within(process, 0.2):
        try:
            httpx.get(app.url, trust_env=False, timeout=PATIENCE_MS / 1000).raise_for_status()
            return
        except httpx.ConnectError:
            continue
    raise RuntimeError(f"The app did not start:\n{app.log.read_text()}")


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
