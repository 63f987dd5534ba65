"""What scorers have in common that average the vectors of a track's windows."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from training_collap.provenance import weights_digest

from .base import Encoded, Scorer


class WindowScorer(Scorer):
    """A model of short windows, which hears all those of a track.

    A track is encoded as `windows` (T, D), a unit vector each, and `embeds` (D,), their mean in time at unit length; a
    text as `embeds` (D,), of unit length. The score is their cosine. A subclass has a `model` and a `processor`.

    Attributes:
        window_seconds: length of a window.
        text_limit: tokens that are read of a text, special ones included.
    """

    can_locate = True
    model: Any
    processor: Any
    window_seconds: float
    text_limit: int

    @property
    def settings(self) -> dict[str, Any]:
        return {"weights_sha256": self._weights}

    def is_cut(self, text: str) -> bool:
        return len(self.processor.tokenizer(text, verbose=False)["input_ids"]) > self.text_limit

    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        return torch.stack([track["embeds"] for track in tracks]) @ torch.stack([text["embeds"] for text in texts]).T

    def relevance(self, track: Encoded, text: Encoded) -> tuple[Tensor, float]:
        """The cosine of every window."""
        return track["windows"] @ text["embeds"], 1 / self.window_seconds

    @cached_property
    def _weights(self) -> str:
        return weights_digest(self.model)
