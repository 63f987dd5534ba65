"""The attention of a text over a track, laid out over the track's time steps."""

from typing import NamedTuple

import torch
from torch import Tensor

from modeling_collap import attention_maps, passage_maps


class Profile(NamedTuple):
    """How a track matches a text over time."""

    attention: Tensor  # (T,) relative to an even attention: 1 is even, 2 twice that
    similarity: Tensor  # (T,) cosines


def passage_profile(
    features: Tensor, passage_embeds: Tensor, text_vector: Tensor, *, temperature: float, pool: int
) -> Profile:
    """Where a text fits by what it says, and not by the places of its passages.

    Args:
        features: (T, D) valid time steps of the track.
        passage_embeds: (P, D); the attention is the mean of theirs.
        text_vector: (D,), as `CollapModel.text_vectors` returns it; the similarity of a step is its product with this.
        temperature, pool: as in `modeling_collap.structure_scores`.
    """
    without_places = passage_embeds.new_zeros(len(passage_embeds))
    maps = passage_maps(features, passage_embeds, without_places, without_places, temperature=temperature, pool=pool)
    attention = maps.attention.mean(0) * maps.attention.shape[1]  # (S,)
    similarity = maps.steps @ text_vector.to(maps.steps.dtype)  # (S,)
    return Profile(*(values.repeat_interleave(pool)[: len(features)] for values in (attention, similarity)))


def attention_over_time(
    features: Tensor, text_embed: Tensor, *, kernel_size: int, stride: int, attention_temperature: float = 1.0
) -> Tensor:
    """The temporal attention (eq 4) of every entry (v, h), averaged over the entries that lie at step v * S + h.

    Args:
        features: (T, D) valid time steps of the track. text_embed: (D,).
        kernel_size, stride, attention_temperature: as in `modeling_collap.attention_maps`.

    Returns:
        (T,) float32, relative to an even attention: 1 is even, 2 twice that. Steps that lie in no frame repeat the one
        before.

    Raises:
        ValueError: if shapes or options do not fit.
    """
    maps = attention_maps(
        features, text_embed, kernel_size=kernel_size, stride=stride, attention_temperature=attention_temperature
    )
    frames, positions = maps.temporal.shape
    steps = torch.arange(frames)[:, None] * stride + torch.arange(positions)  # (W, H)
    total, count = torch.zeros(2, len(features))
    total.index_add_(0, steps.flatten(), maps.temporal.float().flatten())
    count.index_add_(0, steps.flatten(), torch.ones(steps.numel()))
    in_frame = torch.arange(len(features)).where(count > 0, 0).cummax(0).values  # (T,)
    return (frames * total / count)[in_frame]
