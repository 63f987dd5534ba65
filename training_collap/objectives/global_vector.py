"""A contrastive loss on one vector per track, beside another objective."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel, contrastive_loss

from .base import AddedObjective, Embeddings, Objective

_INITIAL_SCALE = 1 / 0.07  # CLIP's (arXiv 2103.00020)


class GlobalVectorObjective(AddedObjective):
    """Adds CLAP's loss on the mean of each track's time steps.

    The mean vector is what a search over many tracks looks at first, and it teaches the encoders faster than the
    alignment, in which every single step has to answer to the whole text. The total is `(1 - weight) * base + weight *
    CLAP`, the latter with a logit scale of its own.

    Args:
        base: the objective that the alignment scores are trained with.
        weight: share of the loss on the mean vectors, above 0. With 1 the model is trained as a CLAP with mean pooling.

    Raises:
        ValueError: if the weight is not above 0 and at most 1.
    """

    def __init__(self, base: Objective, weight: float):
        super().__init__(base, weight, "global_vector", whole=True)
        self.logit_scale = nn.Parameter(torch.tensor([math.log(_INITIAL_SCALE)]))  # one element: FSDP shards no scalars

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        tracks = F.normalize(embeddings["audio_embeds"].float(), dim=-1)  # (N, D)
        texts = F.normalize(embeddings["text_embeds"].float(), dim=-1)  # (N, D)
        logits = tracks @ texts.T * self.logit_scale.clamp(max=math.log(100)).exp()
        return contrastive_loss(logits, symmetric=model.config.symmetric_loss)
