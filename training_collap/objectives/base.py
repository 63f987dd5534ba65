"""What a training objective is: a loss over the embeddings of a batch, and what it needs beside them."""

from typing import Any

from torch import Tensor, nn

from modeling_collap import CollapModel

Embeddings = dict[str, Tensor]
"""Tensors with one row a pair, of all processes: `scores` (N, M), the fused alignment scores of tracks and texts;
`audio_embeds` (N, D), the mean of each track's time steps, each of unit length; `text_embeds` (M, D); and what
`Objective.track_extras` and `Objective.text_extras` add."""


class Objective(nn.Module):
    """A loss over a batch in which track i belongs to text i.

    An objective may own parameters (a bias, a predictor). They are trained and kept in checkpoints, but are not part of
    the model. All of its work is on rows, so that batches can be cut into chunks and spread over processes; only
    `forward` sees them all.
    """

    def track_extras(self, model: CollapModel, audio: dict[str, Tensor]) -> Embeddings:
        """Further rows of a chunk of tracks, from the inputs of `CollapModel.get_audio_features`; none by default."""
        return {}

    def text_extras(self, model: CollapModel, text: dict[str, Tensor]) -> Embeddings:
        """Further rows of a chunk of texts, from the inputs of `CollapModel.get_text_features`; none by default."""
        return {}

    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        """The loss, a scalar in float32."""
        raise NotImplementedError

    def after_step(self, model: CollapModel) -> None:
        """Called after every step of the optimizer; does nothing by default."""

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.settings().items())

    def settings(self) -> dict[str, Any]:
        """Numbers that the objective was made with, for reports."""
        return {}
