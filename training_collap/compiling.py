"""`torch.compile` where it pays: the encoders' layers."""

from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer


def compile_layers(model: nn.Module, **options: Any) -> None:
    """Compiles every transformer layer of the text encoder, Whisper and BEATs, in place; names of weights stay.

    The layers of an encoder share one compiled graph, whose batch and length are free after the second shape. Compiled
    as a whole the model gives the same numbers, but falls into dozens of small graphs, many of them anew for every
    batch: how many windows a track has, and which windows of the alignment fit, is read off the data.

    Args:
        options: those of `torch.compile`, such as `backend`.
    """
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.compile(**options)
