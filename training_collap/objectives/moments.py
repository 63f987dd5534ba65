"""What is said of every section, read by itself, against the seconds it describes, beside another objective."""

import torch
from torch import Tensor

from modeling_collap import CollapModel, CollapTextFeatures

from .base import ContrastedObjective, Embeddings, Objective
from .sections import with_heard_sections

MOMENT_INPUTS = "moment_"  # before the names of what the processor makes of captions that are read by themselves


class MomentObjective(ContrastedObjective):
    """Adds a contrastive loss between the captions of sections, each a text of its own, and their moments.

    Whoever looks for a moment of a song writes a sentence, not the song's whole description: so the words of a section
    are read without those around them, its heading and its time, and held against the mean of the time steps in its
    span by `CollapModel.text_vectors`, as they are when a text is located. The caption of the whole track is held
    against all of its steps. Negatives are the other moments of the same track and those of all other tracks.

    Args:
        base: the other objective.
        weight: share of the loss on moments, between 0 and 1.
        own_track: share of that loss whose negatives are the other moments of the same track alone.

    Raises:
        ValueError: if the weight is not between 0 and 1.
    """

    def __init__(self, base: Objective, weight: float, own_track: float = 0.0):
        super().__init__(base, weight, "moments")
        self.own_track = own_track

    def text_extras(self, model: CollapModel, text: dict[str, Tensor], encoded: CollapTextFeatures) -> Embeddings:
        known = text[f"{MOMENT_INPUTS}attention_mask"].any(-1)  # (m, P)
        vectors = encoded.text_embeds.new_zeros(*known.shape, model.config.projection_dim, dtype=torch.float32)
        if bool(known.any()):
            inputs = {name: rows[known] for name, rows in text.items() if name.startswith(MOMENT_INPUTS)}
            moments = model.encode_text(**{name.removeprefix(MOMENT_INPUTS): rows for name, rows in inputs.items()})
            vectors = vectors.masked_scatter(known[..., None], model.text_vectors(moments))
        extras = {"passage_moments": vectors, "passage_told": known.float()}  # (m, P, D), (m, P)
        return {**super().text_extras(model, text, encoded), **extras}

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        extras = super().track_extras(model, audio, features, lengths, texts)
        return with_heard_sections(extras, model, audio["passage_spans"], features, lengths)

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        known = embeddings["passage_told"] > 0  # (N, P)
        vectors = (embeddings[name][known] for name in ("passage_sections", "passage_moments"))
        return self.contrast(*vectors, tracks=known.nonzero()[:, 0], own_track=self.own_track)
