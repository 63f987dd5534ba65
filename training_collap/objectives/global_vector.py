"""A contrastive loss on one vector per track, beside another objective."""

from torch import Tensor

from modeling_collap import CollapModel

from .base import ContrastedObjective, Embeddings, Objective


class GlobalVectorObjective(ContrastedObjective):
    """Adds CLAP's loss on the mean of each track's time steps.

    The mean vector is what a search over many tracks looks at first, and it teaches the encoders faster than the
    alignment, in which every single step has to answer to the whole text. The total is `(1 - weight) * base + weight *
    CLAP`, the latter with a logit scale of its own.

    Args:
        base: the objective that the alignment scores are trained with.
        weight: share of the loss on the mean vectors, above 0. With 1 the model is trained as a CLAP with mean pooling.

    Raises:
        ValueError: if the weight is not above 0 and at most 1.
    """

    def __init__(self, base: Objective, weight: float):
        super().__init__(base, weight, "global_vector", whole=True)

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        vectors = embeddings["audio_embeds"], embeddings["text_embeds"]  # (N, D) each
        return self.contrast(*vectors, symmetric=model.config.symmetric_loss)
