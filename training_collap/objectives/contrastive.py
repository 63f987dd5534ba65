"""The contrastive loss of the paper, optionally weighted by content as in MusCALL."""

import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_collap import CollapModel, CollapTextFeatures, contrastive_loss
from modeling_collap.structure import passages_share, reordered_scores

from .base import Embeddings, Objective


class ContrastiveObjective(Objective):
    """Cross-entropy over the scores of the batch, eq (8), symmetric where the model's configuration says so.

    Args:
        content_weighting: kappa of MusCALL's content-aware weighting (arXiv 2208.12208; 0.01 there): a pair weighs
            `exp(s_i / kappa)`, where `s_i` is the share of its text's similarity to the other texts in that of all. Its
            authors take similarities from a sentence encoder; here they are cosines of the model's own text vectors,
            without gradient, moved to 0 to 1. Off by default.
        order_negatives: K further negatives of every pair: the track with its own passages in a random order. That is
            also the score of the track, its sections put in some order, with its text as it is, so that they stand
            against the pair in both directions. Needs a model with a structure term.
    """

    def __init__(self, content_weighting: float | None = None, order_negatives: int = 0):
        super().__init__()
        self.content_weighting = content_weighting
        self.order_negatives = order_negatives

    def text_extras(self, model: CollapModel, text: dict[str, Tensor], encoded: CollapTextFeatures) -> Embeddings:
        if not self.order_negatives or encoded.passage_places is None:
            return {}
        places = encoded.passage_places  # (m, P)
        orders = [places, *(shuffled(places) for _ in range(self.order_negatives))]
        return {"passage_orders": torch.stack(orders, dim=-1)}  # (m, P, 1 + K), the true order first

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        if not self.order_negatives:
            return {}
        own = audio["pairs"]
        scores = reordered_scores(
            features,
            lengths,
            texts["passage_embeds"][own],
            texts["passage_orders"][own],
            texts["passage_sharpness"][own],
            temperature=model.structure_temperature,
            pool=model.config.structure_pool,
        )  # (n, 1 + K)
        # All but the passages is the same in any order.
        shares = passages_share(texts["passage_places"][own], model.config.whole_text_weight)[:, None]  # (n, 1)
        return {"order_gains": model.config.gamma_structure * shares * (scores[:, 1:] - scores[:, :1])}

    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        scores = embeddings["scores"]  # (N, N)
        negatives = None
        if self.order_negatives:
            negatives = (scores.diagonal()[:, None] + embeddings["order_gains"]) * model.logit_factor  # (N, K)
        losses = contrastive_loss(
            scores * model.logit_factor,
            symmetric=model.config.symmetric_loss,
            reduction="none",
            hard_negatives=negatives,
        )  # (N,)
        if self.content_weighting is None:
            return losses.mean()
        weights = content_weights(embeddings["text_embeds"], self.content_weighting)  # (N,)
        return (weights * losses).sum() / weights.sum()


def shuffled(places: Tensor) -> Tensor:
    """The places (M, P) of every text handed out among its passages at random; those below 0 stay where they are."""
    absent = places < 0
    present_first = places.gather(1, absent.long().argsort(dim=1, stable=True))
    takers = torch.rand(places.shape, device=places.device).masked_fill(absent, 2.0).argsort(1)
    return places.scatter(1, takers, present_first)


@torch.no_grad()
def content_weights(text_embeds: Tensor, kappa: float) -> Tensor:
    """Weight of every pair by how much its text (N, D) has in common with the others: (N,), largest 1."""
    units = F.normalize(text_embeds.float(), dim=-1)
    similarity = (1 + units @ units.T) / 2  # (N, N), 0 to 1
    commonness = similarity.fill_diagonal_(0.0).sum(1)  # (N,)
    exponents = commonness / commonness.sum() / kappa
    # Only ratios of weights count, and the largest is kept at 1 so that none overflows.
    return (exponents - exponents.max()).exp()
