"""What is said of every section, read by itself, against the seconds it describes, beside another objective."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_collap import CollapModel, CollapTextFeatures, contrastive_loss

from .base import AddedObjective, Embeddings, Objective
from .sections import heard_sections

_PREFIX = "moment_"
_INITIAL_SCALE = 1 / 0.07  # CLIP's (arXiv 2103.00020)


class MomentObjective(AddedObjective):
    """Adds a contrastive loss between the captions of sections, each a text of its own, and their moments.

    Whoever looks for a moment of a song writes a sentence, not the song's whole description: so the words of a section
    are read without those around them, its heading and its time, and held against the mean of the time steps in its
    span by `CollapModel.text_vectors`, as they are when a text is located. The caption of the whole track is held
    against all of its steps. Negatives are the other moments of the same track and those of all other tracks.

    Args:
        base: the other objective.
        weight: share of the loss on moments, between 0 and 1.

    Raises:
        ValueError: if the weight is not between 0 and 1.
    """

    def __init__(self, base: Objective, weight: float):
        super().__init__(base, weight, "moments")
        self.logit_scale = nn.Parameter(torch.tensor([math.log(_INITIAL_SCALE)]))  # one element: FSDP shards no scalars

    def text_extras(self, model: CollapModel, text: dict[str, Tensor], encoded: CollapTextFeatures) -> Embeddings:
        known = text["moment_attention_mask"].any(-1)  # (m, P)
        vectors = encoded.text_embeds.new_zeros(*known.shape, model.config.projection_dim, dtype=torch.float32)
        if bool(known.any()):
            moments = {
                name.removeprefix("moment_"): rows[known] for name, rows in text.items() if name.startswith("moment_")
            }
            vectors = vectors.masked_scatter(known[..., None], model.text_vectors(model.encode_text(**moments)))
        extras = {"passage_moments": vectors, "passage_told": known.float()}  # (m, P, D), (m, P)
        return {**super().text_extras(model, text, encoded), **extras}

    def track_extras(
        self, model: CollapModel, audio: dict[str, Tensor], features: Tensor, lengths: Tensor, texts: Embeddings
    ) -> Embeddings:
        spans = audio["passage_spans"]
        spans = torch.where(spans < 0, torch.tensor([0.0, 2.0]).to(spans), spans)  # no span: the whole track
        heard = heard_sections(model, spans, features, lengths)["passage_sections"]
        return {**super().track_extras(model, audio, features, lengths, texts), "passage_moments_heard": heard}

    def added(self, model: CollapModel, embeddings: Embeddings) -> Tensor:
        known = embeddings["passage_told"] > 0  # (N, P)
        moments = F.normalize(embeddings["passage_moments_heard"][known].float(), dim=-1)  # (X, D)
        texts = F.normalize(embeddings["passage_moments"][known], dim=-1)  # (X, D)
        if not len(moments):
            return (moments.sum() + texts.sum()) * self.logit_scale.sum()
        logits = moments @ texts.T * self.logit_scale.clamp(max=math.log(100)).exp()
        return contrastive_loss(logits)
