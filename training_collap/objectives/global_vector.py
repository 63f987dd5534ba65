"""A contrastive loss on one vector per track, beside another objective."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel, contrastive_loss

from .base import Embeddings, Objective

_INITIAL_SCALE = 1 / 0.07  # CLIP's (arXiv 2103.00020)


class GlobalVectorObjective(Objective):
    """Adds CLAP's loss on the mean of each track's time steps.

    The mean vector is what a search over many tracks looks at first, and it teaches the encoders faster than the
    alignment, in which every single step has to answer to the whole text. The total is `(1 - weight) * base + weight *
    CLAP`, the latter with a logit scale of its own.

    Args:
        base: the objective that the alignment scores are trained with.
        weight: share of the loss on the mean vectors, between 0 and 1.

    Raises:
        ValueError: if the weight is not between 0 and 1.
    """

    def __init__(self, base: Objective, weight: float):
        super().__init__()
        if not 0 < weight < 1:
            raise ValueError(f"global_vector is a share of the loss, between 0 and 1, not {weight}.")
        self.base = base
        self.weight = weight
        self.logit_scale = nn.Parameter(torch.tensor([math.log(_INITIAL_SCALE)]))  # one element: FSDP shards no scalars

    def track_extras(self, model: CollapModel, audio: dict[str, Tensor]) -> Embeddings:
        return self.base.track_extras(model, audio)

    def text_extras(self, model: CollapModel, text: dict[str, Tensor]) -> Embeddings:
        return self.base.text_extras(model, text)

    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        tracks = F.normalize(embeddings["audio_embeds"].float(), dim=-1)  # (N, D)
        texts = F.normalize(embeddings["text_embeds"].float(), dim=-1)  # (N, D)
        logits = tracks @ texts.T * self.logit_scale.clamp(max=math.log(100)).exp()
        loss = contrastive_loss(logits, symmetric=model.config.symmetric_loss)
        return (1 - self.weight) * self.base(model, embeddings) + self.weight * loss

    def after_step(self, model: CollapModel) -> None:
        self.base.after_step(model)

    def settings(self) -> dict[str, Any]:
        return {"weight": self.weight}
