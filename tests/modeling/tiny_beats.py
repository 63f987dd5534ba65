"""Tiny BEATs models and inputs made in memory, for the tests of the model and of its checkpoints."""

from typing import Any

import torch
from torch import Tensor

from modeling_collap.configuration_collap import BeatsConfig
from modeling_collap.modeling_beats import BeatsModel


def tiny_config(**changes: Any) -> BeatsConfig:
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "patch_embed_dim": 24,
        "conv_pos_kernel_size": 16,
        "conv_pos_groups": 4,
        "num_buckets": 32,
        "max_distance": 40,
        "layerdrop": 0.0,
    }
    return BeatsConfig(**(shape | changes))


def random_model(**changes: Any) -> BeatsModel:
    """A tiny model whose every weight, bias tables included, is large enough to matter."""
    torch.manual_seed(0)
    model = BeatsModel(tiny_config(**changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def random_fbank(batch: int, frames: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(seed))
