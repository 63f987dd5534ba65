"""What tests of releases lean on: a client that goes online and does not wait, and probes that are quick to encode."""

import time
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from release_collap import gate, probes


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks these constants at every call; its waits between attempts are not waited."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    hasty = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.utils._http.time", hasty)


@pytest.fixture
def short_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probes' first two seconds, which are enough for models with windows of one."""
    short = tuple(sound[: 2 * probes.SAMPLING_RATE] for sound in probes.sounds())
    monkeypatch.setattr(gate, "sounds", lambda: short)
