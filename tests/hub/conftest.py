"""The real client, online for as long as a test of the Hub."""

import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from .client import CARD, LARGE, REPO, SMALL
from .loopback import LoopbackHub


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks these constants at every call; others, it reads once, and those a call can name instead."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client's waits between attempts, noted instead of waited."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.create_repo(REPO)
    return api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    (folder / "audio").mkdir(parents=True)
    (folder / "README.md").write_bytes(CARD)
    (folder / "config.json").write_bytes(SMALL)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "audio" / "song.bin").write_bytes(LARGE)
    return folder
