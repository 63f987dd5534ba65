"""One vector per track."""

import torch
import torch.nn.functional as F
from torch import Tensor


def mean_steps(features: Tensor, lengths: Tensor) -> Tensor:
    """Mean of a track's time steps, each of unit length: its product with a unit text vector is their mean cosine.

    Args:
        features: (N, T, D), as `CollapModel.get_audio_features` returns them.
        lengths: (N,), in time steps.

    Returns:
        (N, D) in float32.
    """
    valid = torch.arange(features.shape[1], device=features.device) < lengths[:, None]  # (N, T)
    units = F.normalize(features.float(), dim=-1).masked_fill(~valid[..., None], 0.0)  # (N, T, D)
    return units.sum(1) / lengths[:, None]
