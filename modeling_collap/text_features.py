"""Encoded texts, as tracks are scored against them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class CollapTextFeatures(NamedTuple):
    """M texts. Their passages are there where the model has a structure term (`gamma_structure`), else `None`."""

    text_embeds: Tensor  # (M, D), one vector per text
    passage_embeds: Tensor | None = None  # (M, P, D), one per passage
    passage_places: Tensor | None = None  # (M, P), where in its text a passage stands, 0 to 1; below 0 there is none
    passage_sharpness: Tensor | None = None  # (M, P), how much that counts

    def select(self, texts: slice) -> "CollapTextFeatures":
        """Some of the texts."""
        return CollapTextFeatures(*(None if rows is None else rows[texts] for rows in self))

    def to(self, device: torch.device | str) -> "CollapTextFeatures":
        return CollapTextFeatures(*(None if rows is None else rows.to(device) for rows in self))

    @staticmethod
    def cat(features: Sequence["CollapTextFeatures"]) -> "CollapTextFeatures":
        """Texts of several batches as one, padded to the most passages of any."""
        fields = []
        for name in CollapTextFeatures._fields:
            rows = [getattr(part, name) for part in features]
            if name.startswith("passage_") and rows[0] is not None:
                most = max(part.shape[1] for part in rows)
                rows = [pad_passages(part, most) for part in rows]
            fields.append(None if rows[0] is None else torch.cat(rows))
        return CollapTextFeatures(*fields)


def pad_passages(rows: Tensor, passages: int) -> Tensor:
    """(M, P, ...) with more passages, of value -1: there are none at these places."""
    return F.pad(rows, (0, 0) * (rows.ndim - 2) + (0, passages - rows.shape[1]), value=-1.0)
