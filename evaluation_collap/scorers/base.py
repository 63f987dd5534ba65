"""What a model must do to be evaluated: encode whole tracks, encode texts, and score the one against the other."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

# One encoded track or text: named CPU tensors, what the cache keeps in a safetensors file.
Encoded = dict[str, Tensor]


class Scorer(ABC):
    """A model under evaluation. A new baseline implements the abstract members; `build_scorer` finds it once it has a
    class method `from_pretrained(source, *, device)` and is in its list.

    Everything here is deterministic: the same track or text is encoded the same way always, one at a time, so that no
    neighbour, no batch size and no random crop has a say.

    Attributes:
        name: as the row of a table shows it.
        sampling_rate: in Hz, of the samples that `encode_track` takes.
        can_locate: whether `relevance` says where in a track a text fits.
    """

    name: str
    sampling_rate: int
    can_locate: bool = False

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Key of the encodings: a digest of the weights and of every setting that the encodings depend on."""

    @property
    def text_fingerprint(self) -> str:
        """Key of what the encodings of texts depend on besides, such as how they are taken apart."""
        return ""

    @property
    @abstractmethod
    def protocol(self) -> dict[str, str]:
        """How tracks and texts are read, in words, by topic: "tracks", "texts", "score". Goes into every result."""

    @property
    def settings(self) -> dict[str, Any]:
        """Whatever else the scores depend on, as JSON writes it. Goes into every result beside the fingerprint."""
        return {}

    @property
    def device(self) -> str:
        """Where encodings are made: on the device of its `model`, if it has one, or the CPU."""
        return str(getattr(getattr(self, "model", None), "device", "cpu"))

    @abstractmethod
    def encode_track(self, samples: np.ndarray) -> Encoded:
        """A whole track of any length.

        Args:
            samples: (samples,) mono float32 at `sampling_rate`.

        Raises:
            ValueError: the track is too short, or otherwise nothing that the model can hear.
        """

    @abstractmethod
    def encode_text(self, text: str) -> Encoded:
        """A text of any length; see `is_cut`.

        Raises:
            ValueError: the text is empty.
        """

    @abstractmethod
    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        """How well each track fits each text: (N, M) float32 on the CPU, higher is better.

        A score depends on its own track and text alone.
        """

    def is_cut(self, text: str) -> bool | None:
        """Whether `text` is longer than what the model reads of it; `None` where the scorer does not know."""
        return None

    def relevance(self, track: Encoded, text: Encoded) -> tuple[Tensor, float]:
        """How well each moment of a track fits a text, and the moments per second: (T,), higher is better.

        Raises:
            NotImplementedError: the model gives a track one score only, `can_locate` is false.
        """
        raise NotImplementedError(f"{self.name} scores whole tracks and cannot say where in them a text fits")


def digest(parts: Mapping[str, Any]) -> str:
    """A fingerprint: SHA-256 of whatever encodings depend on, by name."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
