"""The contrastive loss of the paper, optionally weighted by content as in MusCALL."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_collap import CollapModel, contrastive_loss

from .base import Embeddings, Objective


class ContrastiveObjective(Objective):
    """Cross-entropy over the scores of the batch, eq (8), symmetric where the model's configuration says so.

    Args:
        content_weighting: kappa of MusCALL's content-aware weighting (arXiv 2208.12208; 0.01 there): a pair weighs
            `exp(s_i / kappa)`, where `s_i` is the share of its text's similarity to the other texts in that of all. Its
            authors take similarities from a sentence encoder; here they are cosines of the model's own text vectors,
            without gradient, moved to 0 to 1. Off by default.
    """

    def __init__(self, content_weighting: float | None = None):
        super().__init__()
        self.content_weighting = content_weighting

    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        logits = embeddings["scores"] * model.logit_factor  # (N, N)
        losses = contrastive_loss(logits, symmetric=model.config.symmetric_loss, reduction="none")  # (N,)
        if self.content_weighting is None:
            return losses.mean()
        weights = content_weights(embeddings["text_embeds"], self.content_weighting)  # (N,)
        return (weights * losses).sum() / weights.sum()

    def settings(self) -> dict[str, Any]:
        return {} if self.content_weighting is None else {"content_weighting": self.content_weighting}


@torch.no_grad()
def content_weights(text_embeds: Tensor, kappa: float) -> Tensor:
    """Weight of every pair by how much its text (N, D) has in common with the others: (N,), largest 1."""
    units = F.normalize(text_embeds.float(), dim=-1)
    similarity = (1 + units @ units.T) / 2  # (N, N), 0 to 1
    commonness = similarity.fill_diagonal_(0.0).sum(1)  # (N,)
    exponents = commonness / commonness.sum() / kappa
    # Only ratios of weights count, and the largest is kept at 1 so that none overflows.
    return (exponents - exponents.max()).exp()
