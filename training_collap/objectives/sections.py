"""Every passage against the seconds it describes, beside another objective."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel, contrastive_loss
from modeling_collap.structure import pooled_steps

from .base import AddedObjective, Embeddings, Objective

_INITIAL_SCALE = 1 / 0.07  # CLIP's (arXiv 2103.00020)


class SectionObjective(AddedObjective):
    """Adds a contrastive loss between the passages of all texts and the sections that they describe.

    A section is the mean of the time steps in its span; its negatives are the other sections of its own track as well
    as those of other tracks. Passages whose span the data does not tell take no part.

    Args:
        base: the objective of whole tracks and texts.
        weight: share of the loss on sections, between 0 and 1.

    Raises:
        ValueError: if the weight is not between 0 and 1.
    """

    def __init__(self, base: Objective, weight: float):
        super().__init__(base, weight, "sections")
        self.logit_scale = nn.Parameter(torch.tensor([math.log(_INITIAL_SCALE)]))  # one element: FSDP shards no scalars

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        steps, places = pooled_steps(features, lengths, model.config.structure_pool)  # (n, S, D), (n, S)
        spans = audio["passage_spans"].to(places.dtype)  # (n, P, 2)
        inside = (places[:, None] >= spans[..., :1]) & (places[:, None] < spans[..., 1:]) & (places >= 0)[:, None]
        return {
            **super().track_extras(model, audio, features, lengths, texts),
            "passage_sections": inside.to(steps.dtype) @ steps,  # (n, P, D)
            "passage_heard": inside.any(-1).to(steps.dtype),  # (n, P)
        }

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        known = (embeddings["passage_heard"] > 0) & (embeddings["passage_places"] >= 0)  # (N, P)
        sections = F.normalize(embeddings["passage_sections"][known].float(), dim=-1)  # (X, D)
        passages = F.normalize(embeddings["passage_embeds"][known].float(), dim=-1)  # (X, D)
        if not len(sections):
            return (sections.sum() + passages.sum()) * self.logit_scale.sum()
        logits = sections @ passages.T * self.logit_scale.clamp(max=math.log(100)).exp()
        return contrastive_loss(logits)
