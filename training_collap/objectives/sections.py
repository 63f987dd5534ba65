"""Every passage against the seconds it describes, beside another objective."""

from torch import Tensor

from modeling_collap import CollapModel
from modeling_collap.structure import pooled_steps

from .base import ContrastedObjective, Embeddings, Objective


class SectionObjective(ContrastedObjective):
    """Adds a contrastive loss between the passages of all texts and the sections that they describe.

    A section is the mean of the time steps in its span; its negatives are the other sections of its own track as well
    as those of other tracks. Passages whose span the data does not tell take no part.

    Args:
        base: the objective of whole tracks and texts.
        weight: share of the loss on sections, between 0 and 1.
        own_track: share of that loss whose negatives are the other sections of the same track alone.

    Raises:
        ValueError: if the weight is not between 0 and 1.
    """

    def __init__(self, base: Objective, weight: float, own_track: float = 0.0):
        super().__init__(base, weight, "sections")
        self.own_track = own_track

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        extras = super().track_extras(model, audio, features, lengths, texts)
        return with_heard_sections(extras, model, audio["passage_spans"], features, lengths)

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        known = heard_passages(embeddings)  # (N, P)
        vectors = (embeddings[name][known] for name in ("passage_sections", "passage_embeds"))
        return self.contrast(*vectors, tracks=known.nonzero()[:, 0], own_track=self.own_track)


def with_heard_sections(
    extras: Embeddings, model: CollapModel, spans: Tensor, features: Tensor, lengths: Tensor
) -> Embeddings:
    """Further rows of tracks with `heard_sections` among them, unless another objective has brought these already."""
    return extras if "passage_sections" in extras else {**extras, **heard_sections(model, spans, features, lengths)}


def heard_sections(model: CollapModel, spans: Tensor, features: Tensor, lengths: Tensor) -> Embeddings:
    """The sum of the time steps, each of unit length, in the span of every passage; of all where that is not known.

    Args:
        spans: (n, P, 2), as `passage_spans` of a batch.
        features, lengths: the tracks' sequences (n, T, D) and their lengths (n,).

    Returns:
        `passage_sections` (n, P, D) and `passage_heard` (n, P), 1 where a span is known and has a step.
    """
    steps, places = pooled_steps(features, lengths, model.config.structure_pool)  # (n, S, D), (n, S)
    spans = spans.to(places.dtype)
    inside = (places[:, None] >= spans[..., :1]) & (places[:, None] < spans[..., 1:]) & (places >= 0)[:, None]
    summed = inside | ((spans[..., :1] < 0) & (places >= 0)[:, None])  # (n, P, S)
    return {"passage_sections": summed.to(steps.dtype) @ steps, "passage_heard": inside.any(-1).to(steps.dtype)}


def heard_passages(embeddings: Embeddings) -> Tensor:
    """Which passages (N, P) there are whose section is known."""
    return (embeddings["passage_heard"] > 0) & (embeddings["passage_places"] >= 0)
