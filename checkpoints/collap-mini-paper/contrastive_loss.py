"""The contrastive loss of CoLLAP (arXiv 2410.02271, eq 8) over a batch of matching tracks and texts."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive_loss(
    logits: Tensor,
    symmetric: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    hard_negatives: Tensor | None = None,
) -> Tensor:
    """Cross-entropy that picks, for each track, its own text among all texts of the batch.

    Equation 8 as printed is `symmetric=False, reduction="sum"`. The default is the usual form of CLIP and CLAP.

    Args:
        logits: (N, N) scores of tracks (rows) with texts (columns), already multiplied by the logit scale; track i
            belongs to text i.
        symmetric: average with the other direction, each text against all tracks.
        reduction: "mean" or "sum" over the N pairs, or "none".
        hard_negatives: (N, K) further scores for each pair to stand above, in both directions, such as those of the
            track with its own text out of order.

    Returns:
        A scalar, or (N,) for "none"; float32 for lower precisions.

    Raises:
        ValueError: if the logits are not square or the reduction is unknown.
    """
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1] or not len(logits):
        raise ValueError(f"logits must be square, one text per track, not {tuple(logits.shape)}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}')
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    pairs = torch.arange(len(logits), device=logits.device)
    further = logits.new_empty(len(logits), 0) if hard_negatives is None else hard_negatives.to(logits.dtype)
    loss = F.cross_entropy(torch.cat([logits, further], dim=1), pairs, reduction=reduction)
    if symmetric:
        other = F.cross_entropy(torch.cat([logits.T, further], dim=1), pairs, reduction=reduction)
        loss = (loss + other) / 2
    return loss
