"""Attention pooling of a feature map, as in CLIP (arXiv 2103.00020, section 2.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """One layer of attention in which the mean of all positions asks, and the positions and their mean answer.

    Args:
        channels: of the feature map.
        rows, columns: its size.
        heads: of the attention.
    """

    def __init__(self, channels: int, rows: int, columns: int, heads: int):
        super().__init__()
        self.heads = heads
        self.position_embeddings = nn.Parameter(torch.empty(1 + rows * columns, channels))
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, feature_map: Tensor, columns: Tensor) -> Tensor:
        """One vector per window.

        Args:
            feature_map: (P, C, rows, columns).
            columns: (P,), how many columns of each window hold audio; the others are not attended to.

        Returns:
            (P, C).
        """
        held = torch.arange(feature_map.shape[-1], device=columns.device) < columns[:, None]  # (P, columns)
        held = held[:, None].expand(-1, feature_map.shape[2], -1).flatten(1)  # (P, L)
        states = feature_map.flatten(2).transpose(1, 2)  # (P, L, C)
        mean = states.masked_fill(~held[..., None], 0.0).sum(1) / held.sum(1, keepdim=True)  # (P, C)
        states = torch.cat([mean[:, None], states], dim=1) + self.position_embeddings.to(states.dtype)  # (P, 1 + L, C)
        pooled = F.scaled_dot_product_attention(
            self._by_head(self.query(states[:, :1])),
            self._by_head(self.key(states)),
            self._by_head(self.value(states)),
            attn_mask=F.pad(held, (1, 0), value=True)[:, None, None],  # (P, 1, 1, 1 + L)
        )  # (P, heads, 1, C / heads)
        return self.output(pooled.flatten(1))

    def _by_head(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (P, heads, L, C / heads)
