"""How well a text matches the mean of a track: the cosine of one vector each, as CLAP scores (arXiv 2206.04769).

No part of the paper's score. The structure term compares the text as a whole so, other models are compared with it,
`objective.global_vector` trains it, and searches draw on it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .alignment import BLOCK_STEPS, norms_to_divide_by


def mean_steps(features: Tensor, lengths: Tensor) -> Tensor:
    """Mean of a track's time steps, each of unit length: its product with a unit text vector is their mean cosine.

    Args:
        features: (N, T, D), as `CollapModel.get_audio_features` returns them.
        lengths: (N,), in time steps.

    Returns:
        (N, D) in float32, or float64 if the features are.
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    means = []
    with torch.autocast(features.device.type, enabled=False):
        # No unit step is ever written out. Unbound and split, for the gradient of every slice would be as large as all.
        for track, length in zip(features.unbind(), lengths.tolist(), strict=True):
            blocks = (block.to(dtype) for block in track[:length].split(BLOCK_STEPS))  # (B, D) each
            sums = [(1 / norms_to_divide_by(steps)).squeeze(-1) @ steps for steps in blocks]
            means.append(torch.stack(sums).sum(0) / length)
    return torch.stack(means)


def global_scores(audio_features: Tensor, lengths: Tensor, text_embeds: Tensor) -> Tensor:
    """Of every track with every text: the cosine of the text with the mean of the track's unit time steps.

    Args:
        audio_features: (N, T, D) time steps of the tracks; steps at or past a track's length may hold anything.
        lengths: (N,) whole numbers of valid steps, 1 to T.
        text_embeds: (M, D).

    Returns:
        (N, M) in float32, or float64 if an input is.
    """
    with torch.autocast(audio_features.device.type, enabled=False):
        tracks = mean_steps(audio_features, lengths)
        dtype = torch.promote_types(tracks.dtype, text_embeds.dtype)
        return cosines(tracks.to(dtype), text_embeds.to(dtype))


def cosines(tracks: Tensor, texts: Tensor) -> Tensor:
    """Of every track's vector (N, D) with every text's (M, D), whatever their length: (N, M)."""
    return F.normalize(tracks, dim=-1) @ F.normalize(texts, dim=-1).T
