"""Training without negatives, as in SLAP."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel, CollapTextFeatures, mean_steps

from .base import Embeddings, Objective


class SlapObjective(Objective):
    """Predicts the embeddings of a slowly following copy of the model (SLAP, arXiv 2506.17815, after BYOL, 2006.07733).

    Each embedding passes a predictor and is drawn to the copy's embedding of the other modality and of its own, half
    and half. No other item of the batch takes part, so the batch may be as small as memory asks.

    Args:
        model: the model to be trained; its copy starts from the same weights.
        momentum: share of the copy that is kept at each step of the optimizer.

    Raises:
        ValueError: if the momentum is not between 0 and 1.
    """

    def __init__(self, model: CollapModel, momentum: float = 0.99):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f"target_momentum is a share, between 0 and 1, not {momentum}.")
        self.momentum = momentum
        self.target = copy.deepcopy(model).requires_grad_(False).eval()
        self.audio_predictor = _predictor(model.config.projection_dim)
        self.text_predictor = _predictor(model.config.projection_dim)

    def train(self, mode: bool = True) -> "SlapObjective":
        super().train(mode)
        self.target.eval()
        return self

    @torch.no_grad()
    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        return {"audio_targets": mean_steps(*self.target.get_audio_features(**audio))}

    @torch.no_grad()
    def text_extras(self, model: CollapModel, text: dict[str, Tensor], encoded: CollapTextFeatures) -> Embeddings:
        return {"text_targets": self.target.get_text_features(**text)}

    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        predictions = (
            self.audio_predictor(embeddings["audio_embeds"].float()),
            self.text_predictor(embeddings["text_embeds"].float()),
        )
        targets = (embeddings["audio_targets"].float(), embeddings["text_targets"].float())
        # 2 - 2 cos is the squared distance of unit vectors, BYOL's loss.
        losses = [
            2 - 2 * F.cosine_similarity(prediction, target, dim=-1).mean()
            for prediction in predictions
            for target in targets
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def after_step(self, model: CollapModel) -> None:
        for kept, new in zip(self.target.parameters(), model.parameters(), strict=True):
            kept.lerp_(new.to(kept.dtype), 1 - self.momentum)


def _predictor(size: int) -> nn.Module:
    # A layer norm where BYOL has a batch norm: chunks and processes then need no common statistics.
    return nn.Sequential(nn.Linear(size, 4 * size), nn.LayerNorm(4 * size), nn.ReLU(), nn.Linear(4 * size, size))
