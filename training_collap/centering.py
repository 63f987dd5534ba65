"""A start without a common direction.

Fresh projections of texts (and of audio) all point nearly the same way, because the states below them share a large
mean: cosines between unrelated items are close to 1, and what tells them apart is lost in them. Anisotropy of this kind
is well known of GPT-2 (arXiv 1909.00512). Taking the mean of some examples off the projections' biases removes it, as
in data-dependent initialisation (arXiv 1602.07868); training then starts from cosines around 0.
"""

from typing import Any

import torch
from transformers import BatchFeature

from modeling_collap import CollapModel


@torch.no_grad()
def center_projections(model: CollapModel, batch: BatchFeature) -> None:
    """Moves the projections' biases so that the embeddings of `batch`, an output of the processor, average to zero."""
    training = model.training
    model.eval()
    inputs: Any = batch.to(model.device)
    features, lengths = model.get_audio_features(**inputs)  # (N, T, D), (N,)
    valid = torch.arange(features.shape[1], device=features.device) < lengths[:, None]  # (N, T)
    model.audio_encoder.adapter.bias.sub_(features[valid].mean(0))
    texts = model.encode_text(**inputs)
    model.text_projection.bias.sub_(texts.text_embeds.mean(0))
    if texts.passage_embeds is not None and texts.passage_places is not None:
        model.passage_projection.bias.sub_(texts.passage_embeds[texts.passage_places >= 0].mean(0))
    model.train(training)
