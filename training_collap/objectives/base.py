"""What a training objective is: a loss over the embeddings of a batch, and what it needs beside them."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel, CollapTextFeatures, contrastive_loss

_INITIAL_SCALE = 1 / 0.07  # CLIP's (arXiv 2103.00020)

Embeddings = dict[str, Tensor]
"""Tensors with one row a pair, of all processes: `scores` (N, M), the fused alignment scores of tracks and texts;
`audio_embeds` (N, D), the mean of each track's time steps, each of unit length; the fields of `CollapTextFeatures` that
the model fills, `text_embeds` (M, D) among them; and what `Objective.track_extras` and `Objective.text_extras` add.
Rows of passages, (M, P, ...), have names that begin with `passage_`."""


class Objective(nn.Module, ABC):
    """A loss over a batch in which track i belongs to text i.

    An objective may own parameters (a bias, a predictor). They are trained and kept in checkpoints, but are not part of
    the model. All of its work is on rows, so that batches can be cut into chunks and spread over processes; only
    `forward` sees them all.
    """

    def text_extras(self, model: CollapModel, text: dict[str, Tensor], encoded: CollapTextFeatures) -> Embeddings:
        """Further rows of a chunk of texts; none by default.

        Args:
            text: the inputs of `CollapModel.encode_text`.
            encoded: what that made of them.
        """
        return {}

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        """Further rows of a chunk of tracks; none by default.

        Args:
            audio: the inputs of `CollapModel.get_audio_features`; `pairs` (n,), the number of each track's own text
                among all texts; and where the data says so `passage_spans` (n, P, 2), where in the track each of its
                passages is heard, as shares of its length, below 0 where that is not known.
            features, lengths: the tracks' sequences (n, T, D) and their lengths (n,).
            texts: the rows of all texts.
        """
        return {}

    @abstractmethod
    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        """The loss, a scalar in float32."""

    def after_step(self, model: CollapModel) -> None:
        """Called after every step of the optimizer; does nothing by default."""


class AddedObjective(Objective):
    """A loss beside another: `(1 - weight) * base + weight * added`.

    Args:
        base: the other objective.
        weight: share of the added loss.
        name: of that share in recipes.
        whole: whether the share can be 1, so that nothing is left of the other.

    Raises:
        ValueError: if the weight is no such share.
    """

    def __init__(self, base: Objective, weight: float, name: str, *, whole: bool = False):
        super().__init__()
        if not (0 < weight < 1 or (whole and weight == 1)):
            end = "above 0 and at most 1" if whole else "between 0 and 1"
            raise ValueError(f"{name} is a share of the loss, {end}, not {weight}.")
        self.base = base
        self.weight = weight

    def text_extras(self, model: CollapModel, text: dict[str, Tensor], encoded: CollapTextFeatures) -> Embeddings:
        return self.base.text_extras(model, text, encoded)

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        return self.base.track_extras(model, audio, features, lengths, texts)

    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        return (1 - self.weight) * self.base(model, embeddings) + self.weight * self.added(model, embeddings)

    @abstractmethod
    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        """The added loss, a scalar in float32."""

    def after_step(self, model: CollapModel) -> None:
        self.base.after_step(model)


class ContrastedObjective(AddedObjective):
    """An `AddedObjective` whose loss is CLIP's, over pairs of vectors and with a logit scale of its own."""

    def __init__(self, base: Objective, weight: float, name: str, *, whole: bool = False):
        super().__init__(base, weight, name, whole=whole)
        self.logit_scale = nn.Parameter(torch.tensor([math.log(_INITIAL_SCALE)]))  # one element: FSDP shards no scalars

    def contrast(
        self,
        sounds: Tensor,
        words: Tensor,
        *,
        symmetric: bool = True,
        tracks: Tensor | None = None,
        own_track: float = 0.0,
    ) -> Tensor:
        """The loss of vectors (X, D) that belong together row by row, of any length; 0 where there are none.

        Args:
            symmetric: as in `contrastive_loss`.
            tracks: (X,), the track that each is of; needed with `own_track`.
            own_track: share of the loss whose negatives are of the same track alone. Those of others differ in the
                sound of the whole song, which says nothing of where in it a text holds.
        """
        sounds, words = (F.normalize(rows.float(), dim=-1) for rows in (sounds, words))
        if not len(sounds):
            return (sounds.sum() + words.sum()) * self.logit_scale.sum()
        logits = sounds @ words.T * self.logit_scale.clamp(max=math.log(100)).exp()
        loss = contrastive_loss(logits, symmetric=symmetric)
        if tracks is None or not own_track:
            return loss
        within = logits.masked_fill(tracks[:, None] != tracks, -torch.inf)
        return torch.lerp(loss, contrastive_loss(within, symmetric=symmetric), own_track)
