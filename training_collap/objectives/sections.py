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
        extras = super().track_extras(model, audio, features, lengths, texts)
        return {**extras, **heard_sections(model, audio["passage_spans"], features, lengths)}

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        known = heard_passages(embeddings)  # (N, P)
        sections = F.normalize(embeddings["passage_sections"][known].float(), dim=-1)  # (X, D)
        passages = F.normalize(embeddings["passage_embeds"][known].float(), dim=-1)  # (X, D)
        if not len(sections):
            return (sections.sum() + passages.sum()) * self.logit_scale.sum()
        logits = sections @ passages.T * self.logit_scale.clamp(max=math.log(100)).exp()
        return contrastive_loss(logits)


def heard_sections(model: CollapModel, spans: Tensor, features: Tensor, lengths: Tensor) -> Embeddings:
    """The sum of the time steps, each of unit length, in the span of every passage.

    Args:
        spans: (n, P, 2), as `passage_spans` of a batch.
        features, lengths: the tracks' sequences (n, T, D) and their lengths (n,).

    Returns:
        `passage_sections` (n, P, D) and `passage_heard` (n, P), 1 where a span is known and has a step.
    """
    steps, places = pooled_steps(features, lengths, model.config.structure_pool)  # (n, S, D), (n, S)
    spans = spans.to(places.dtype)
    inside = (places[:, None] >= spans[..., :1]) & (places[:, None] < spans[..., 1:]) & (places >= 0)[:, None]
    return {"passage_sections": inside.to(steps.dtype) @ steps, "passage_heard": inside.any(-1).to(steps.dtype)}


def heard_passages(embeddings: Embeddings) -> Tensor:
    """Which passages (N, P) there are whose section is known."""
    return (embeddings["passage_heard"] > 0) & (embeddings["passage_places"] >= 0)
