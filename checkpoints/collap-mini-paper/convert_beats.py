"""Reading the BEATs checkpoints released by microsoft/unilm: one pickled dictionary `{"cfg": ..., "model": ...}`."""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.activations import ACT2FN
from transformers.utils import logging

from .configuration_collap import BeatsConfig

logger = logging.get_logger(__name__)

# field of BeatsConfig -> entry of the original "cfg"
CONFIG_ENTRIES = {
    "hidden_size": "encoder_embed_dim",
    "num_hidden_layers": "encoder_layers",
    "num_attention_heads": "encoder_attention_heads",
    "intermediate_size": "encoder_ffn_embed_dim",
    "patch_embed_dim": "embed_dim",
    "patch_size": "input_patch_size",
    "conv_bias": "conv_bias",
    "conv_pos_kernel_size": "conv_pos",
    "conv_pos_groups": "conv_pos_groups",
    "relative_position_embedding": "relative_position_embedding",
    "num_buckets": "num_buckets",
    "max_distance": "max_distance",
    "gated_relative_position": "gru_rel_pos",
    "deep_norm": "deep_norm",
    "layer_norm_first": "layer_norm_first",
    "hidden_act": "activation_fn",
    "hidden_dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "input_dropout": "dropout_input",
    "layerdrop": "encoder_layerdrop",
    "layer_wise_gradient_decay_ratio": "layer_wise_gradient_decay_ratio",
}

# name in `BeatsModel` -> name in the checkpoint; every other weight has the same name in both
ORIGINAL_NAMES = {
    "encoder.pos_conv.conv.bias": "encoder.pos_conv.0.bias",
    "encoder.pos_conv.conv.parametrizations.weight.original0": "encoder.pos_conv.0.weight_g",
    "encoder.pos_conv.conv.parametrizations.weight.original1": "encoder.pos_conv.0.weight_v",
    "encoder.relative_position_bias.table.weight": "encoder.layers.0.self_attn.relative_attention_bias.weight",
}

_CLASSIFIER = re.compile(r"predictor\.(weight|bias)")
_LATER_BIAS_TABLE = re.compile(r"encoder\.layers\.[1-9]\d*\.self_attn\.relative_attention_bias\.weight")


@dataclass(frozen=True)
class OriginalCheckpoint:
    """A checkpoint as read from disk: where from, its configuration in our words, its weights under their own names."""

    path: Path
    config: BeatsConfig
    weights: dict[str, Tensor]


def read_original_checkpoint(path: str | Path) -> OriginalCheckpoint:
    """Reads a microsoft/unilm BEATs checkpoint, without running any code that the file may carry.

    Raises:
        FileNotFoundError: `path` is no file.
        ValueError: the file is no such checkpoint, or its configuration is incomplete or unsupported.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"BEATs checkpoint not found: {path} is not a file.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is not a BEATs checkpoint: torch cannot read it as plain weights ({error})."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), Mapping) for part in ("cfg", "model")):
        raise ValueError(f'{path} is not a BEATs checkpoint: it must hold a dictionary {{"cfg": ..., "model": ...}}.')
    return OriginalCheckpoint(path, _convert_config(content["cfg"], path), dict(content["model"]))


def _convert_config(original: Mapping[str, Any], path: Path) -> BeatsConfig:
    """BeatsConfig of an original `cfg`; every entry is required, for a default would be a guess."""
    absent = sorted(set(CONFIG_ENTRIES.values()) - set(original))
    if absent:
        raise ValueError(f"The configuration in {path} lacks the entries: {', '.join(absent)}.")
    config = BeatsConfig(**{field: original[entry] for field, entry in CONFIG_ENTRIES.items()})
    if config.hidden_act not in ACT2FN:
        raise ValueError(f"The configuration in {path} asks for an unsupported activation_fn: {config.hidden_act!r}.")
    return config


def convert_original_weights(checkpoint: OriginalCheckpoint, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a checkpoint's weights to those of `BeatsModel`, and insists that they are exactly the expected ones.

    A fine-tuned checkpoint's classifier is dropped, and so are the later layers' copies of layer 0's table of relative
    position biases.

    Args:
        checkpoint: what `read_original_checkpoint` returned.
        expected: the state dict of the model to be filled, for its names and shapes.

    Raises:
        ValueError: a weight is missing, left over, of another shape, or a layer's bias table is not layer 0's.
    """
    weights = dict(checkpoint.weights)
    classifier = [weights.pop(name) for name in checkpoint.weights if _CLASSIFIER.fullmatch(name)]
    if classifier:
        logger.info(f"Dropped the classifier (predictor.*) of the fine-tuned BEATs checkpoint {checkpoint.path}.")
    first_table = weights.get(ORIGINAL_NAMES["encoder.relative_position_bias.table.weight"])
    for name in filter(_LATER_BIAS_TABLE.fullmatch, checkpoint.weights):
        if first_table is None or not torch.equal(weights.pop(name), first_table):
            raise ValueError(f"{name} in {checkpoint.path} differs from layer 0's: the layers must share one table.")

    original_names = {name: ORIGINAL_NAMES.get(name, name) for name in expected}
    missing = sorted(set(original_names.values()) - set(weights))
    left_over = sorted(set(weights) - set(original_names.values()))
    misshapen = [
        f"{original} {tuple(weights[original].shape)} instead of {tuple(expected[name].shape)}"
        for name, original in original_names.items()
        if original in weights and weights[original].shape != expected[name].shape
    ]
    findings = {"missing": missing, "left over": left_over, "of another shape": misshapen}
    problems = [f"{finding}: {', '.join(names)}" for finding, names in findings.items() if names]
    if problems:
        raise ValueError(f"The weights in {checkpoint.path} do not fit its configuration; {'; '.join(problems)}.")
    return {name: weights[original] for name, original in original_names.items()}
