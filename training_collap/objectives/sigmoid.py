"""The pairwise sigmoid loss of SigLIP."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel

from .base import Embeddings, Objective

# Nearly all pairs of a batch do not match: the bias starts where this is what the model believes.
_INITIAL_BIAS = -10.0


class SigmoidObjective(Objective):
    """Every pair of the batch is a yes-or-no question of its own (SigLIP, arXiv 2303.15343, eq 1).

    The logit is the model's score times its logit scale plus a learned bias that starts at -10. SigLIP's scale starts
    at 10: `logit_scale_init: 2.3` in the configuration of the model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([_INITIAL_BIAS]))  # of one element, for FSDP shards no scalars

    def forward(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        logits = embeddings["scores"].float() * model.logit_factor + self.bias  # (N, N)
        signs = 2 * torch.eye(len(logits), device=logits.device) - 1  # 1 for pairs that match, -1 for all others
        return -F.logsigmoid(signs * logits).sum() / len(logits)
