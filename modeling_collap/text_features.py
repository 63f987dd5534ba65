"""Encoded texts, as tracks are scored against them."""

from collections.abc import Callable, Sequence
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
    passage_seconds: Tensor | None = None  # (M, P), its time in the track; below 0 where the text does not tell

    def select(self, texts: slice) -> "CollapTextFeatures":
        """Some of the texts."""
        return self._each(lambda rows: rows[texts])

    def to(self, device: torch.device | str) -> "CollapTextFeatures":
        return self._each(lambda rows: rows.to(device))

    def float(self) -> "CollapTextFeatures":
        """In float32."""
        return self._each(Tensor.float)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "CollapTextFeatures":
        return CollapTextFeatures(**{name: change(rows) for name, rows in self.present().items()})

    def present(self) -> dict[str, Tensor]:
        """The fields that are there, by name."""
        return {name: rows for name, rows in self._asdict().items() if rows is not None}

    @staticmethod
    def cat(features: Sequence["CollapTextFeatures"]) -> "CollapTextFeatures":
        """Texts of several batches as one, padded to the most passages of any."""
        fields: dict[str, Tensor] = {}
        for name in features[0].present():
            rows = [part.present()[name] for part in features]
            if name.startswith("passage_"):
                most = max(part.shape[1] for part in rows)
                rows = [pad_passages(part, most) for part in rows]
            fields[name] = torch.cat(rows)
        return CollapTextFeatures(**fields)


def as_text_features(text: Tensor | CollapTextFeatures) -> CollapTextFeatures:
    """The vectors (M, D) of texts as features without passages; features as they are."""
    # Not by its class: beside remote code there are two of this name.
    return CollapTextFeatures(text) if isinstance(text, Tensor) else text


def passages_of(text: CollapTextFeatures) -> dict[str, Tensor]:
    """The fields of the passages, as `structure_scores` takes them.

    Raises:
        ValueError: there are none.
    """
    passages = {name: rows for name, rows in text.present().items() if name.startswith("passage_")}
    if not passages:
        raise ValueError("this model scores the passages of a text: give score what encode_text returns.")
    return passages


def pad_passages(rows: Tensor, passages: int) -> Tensor:
    """(M, P, ...) with more passages, of value -1: there are none at these places."""
    return F.pad(rows, (0, 0) * (rows.ndim - 2) + (0, passages - rows.shape[1]), value=-1.0)


def pool_texts(states: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """The state that stands for each text, (M, d).

    Args:
        states: (M, L, d), with the padding on the right.
        attention_mask: (M, L), 1 for tokens and 0 for padding.
        pooling: "first", "last" or "mean", see `CollapConfig.text_pooling`.
    """
    if pooling == "first":
        return states[:, 0]  # (M, d)
    counts = attention_mask.sum(1)  # (M,)
    if pooling == "last":
        return states[torch.arange(states.shape[0], device=states.device), counts - 1]  # (M, d)
    heard = _widened(states).masked_fill(attention_mask[..., None] == 0, 0.0)  # (M, L, d)
    return (heard.sum(1) / counts[:, None]).to(states.dtype)  # (M, d)


def pool_passages(states: Tensor, members: Tensor) -> Tensor:
    """Mean state of each passage, (M, P, d); zeros for one without tokens.

    Args:
        states: (M, L, d).
        members: (M, P, L), whether a token belongs to a passage.
    """
    wide, counts = _widened(states), members.sum(-1, keepdim=True)  # (M, L, d), (M, P, 1)
    return (members.to(wide.dtype) @ wide / counts.clamp(min=1)).to(states.dtype)  # (M, P, d)


def _widened(states: Tensor) -> Tensor:
    """In float32 at least: the sum of a long text's states can exceed what float16 holds, 65504."""
    return states.to(torch.promote_types(states.dtype, torch.float32))
