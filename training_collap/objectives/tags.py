"""The tags of every section, read from what is heard there and from what is said of it, beside another objective."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel

from .base import AddedObjective, Embeddings, Objective
from .sections import heard_passages, with_heard_sections


class TagObjective(AddedObjective):
    """Adds the loss of naming what is heard in a section: who plays, in what role, how loud.

    A contrastive loss asks only for what tells the songs of a batch apart, and is content with the sound of a song as a
    whole. One linear layer reads the tags from the time steps in the span of every section, and the same layer reads
    them from the passage that describes it; so both have to hold them, in the same directions of the shared space.

    The loss is the binary cross-entropy, as a share of what it is for one who knows no more than how frequent each tag
    is: 1 for a layer that has learned nothing, 0 for one that names everything.

    Args:
        base: the other objective.
        weight: share of the loss on tags, between 0 and 1.
        shares: of all sections that have each of the C tags, each between 0 and 1, both excluded.
        embedding_size: D of the model.

    Raises:
        ValueError: if the weight is not between 0 and 1.
    """

    def __init__(self, base: Objective, weight: float, shares: Sequence[float], embedding_size: int):
        super().__init__(base, weight, "tags")
        frequencies = torch.tensor(shares)
        self.head = nn.Linear(embedding_size, len(frequencies))
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(frequencies.logit())
        entropy = -torch.xlogy(frequencies, frequencies) - torch.xlogy(1 - frequencies, 1 - frequencies)
        self.uninformed = float(entropy.mean())

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        extras = super().track_extras(model, audio, features, lengths, texts)
        extras = with_heard_sections(extras, model, audio["passage_spans"], features, lengths)
        return {**extras, "passage_tags": audio["passage_tags"]}  # (n, P, C)

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        tags = embeddings["passage_tags"]  # (N, P, C)
        known = heard_passages(embeddings) & (tags >= 0).all(-1)  # (N, P)
        read = torch.stack([self._read(embeddings[name][known]) for name in ("passage_sections", "passage_embeds")])
        if not bool(known.any()):
            return read.sum()
        wanted = tags[known].expand_as(read)  # (2, X, C)
        return F.binary_cross_entropy_with_logits(read.float(), wanted) / self.uninformed

    def _read(self, vectors: Tensor) -> Tensor:
        """Logits (X, C) of vectors (X, D), whose length does not count."""
        units = F.normalize(vectors.float(), dim=-1)
        return self.head(units * units.shape[-1] ** 0.5)  # entries of about 1, as a linear layer expects
