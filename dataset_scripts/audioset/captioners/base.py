"""What a captioner is: tracks in, and for each what was written about it or why nothing was."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .prompt import PROMPT_VERSION


@dataclass(frozen=True)
class Track:
    """A recording to be described; `path` is its file, None where there is none."""

    id: str
    path: Path | None


@dataclass(frozen=True)
class Refusal:
    """Why there is no description of a track: kind and words of a `Dropped`."""

    reason: str


class Captioner(ABC):
    """Writes descriptions of tracks. Options are dataclass fields with plain values: captioners travel to processes."""

    source: ClassVar[str]
    """The backend's name, as a configuration gives it and as `caption_source` begins."""
    listens: ClassVar[bool] = True
    """Whether it needs the audio."""
    incidental: ClassVar[tuple[str, ...]] = ()
    """Options on which the descriptions do not depend."""

    @property
    @abstractmethod
    def writer(self) -> str:
        """What wrote the descriptions: `caption_model`."""

    @property
    def described_by(self) -> str:
        """`caption_source`: the backend, and the prompt's version where it was asked with one."""
        return f"{self.source}, prompt {PROMPT_VERSION}" if self.listens else self.source

    @abstractmethod
    def check(self) -> None:
        """Look at all that is needed, without loading a model.

        Raises:
            ValueError: an option is wrong, or the model or file is not what is needed.
            OSError: a file or a server is not there.
        """

    def start(self) -> None:  # noqa: B027 - a server needs no start
        """Called in each process once, before the first track."""

    @abstractmethod
    def describe(self, tracks: Sequence[Track]) -> list[str | Refusal]:
        """One description or refusal for each track, in their order.

        Raises:
            ItemError: the captioner itself fails, so that other tracks would fare no better.
        """

    def settings(self) -> dict[str, Any]:
        """What the descriptions depend on, as JSON."""
        options = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.incidental}  # type: ignore[arg-type]
        return {"source": self.described_by, "writer": self.writer} | options


def answer(text: str | None, *, cut_after: int | None, keep: bool) -> str | Refusal:
    """What becomes of a model's words.

    Args:
        cut_after: the limit of tokens that ended them; None where the model came to its own end.
        keep: whether words that were cut off count.
    """
    if text is None or not text.strip():
        return Refusal("empty: the model wrote nothing")
    if cut_after is not None and not keep:
        return Refusal(f"unfinished: cut off after {cut_after} tokens")
    return text.strip()


class UnreadableAudioError(ValueError):
    """A file that does not decode."""


def read_mono(path: Path, sampling_rate: int) -> np.ndarray:
    """A whole recording, its channels' mean.

    Args:
        path: any format that FFmpeg reads.
        sampling_rate: in Hz, to which it is resampled.

    Returns:
        Samples in [-1, 1], float32 (L,).

    Raises:
        UnreadableAudioError: the file does not decode, or holds no sample.
    """
    from torchcodec.decoders import AudioDecoder

    try:
        samples = AudioDecoder(path, sample_rate=sampling_rate).get_all_samples().data  # (C, L)
    except (RuntimeError, ValueError) as error:
        raise UnreadableAudioError("broken: the audio does not decode") from error
    if samples.shape[-1] == 0:
        raise UnreadableAudioError("broken: the audio is empty")
    return samples.mean(0).numpy()  # num_channels=1 would mix 3 dB hotter than the mean, beyond 1
