"""Low-rank adapters (LoRA, arXiv 2106.09685) in the encoders, through peft; and plain models back from them."""

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from modeling_collap import CollapModel

from .branches import BRANCHES, encoders

_DEFAULTS: dict[str, Any] = {"r": 8, "lora_alpha": 16}
# BEATs' gate of the position bias has eight outputs: nothing is saved by a low rank there.
_LEFT_OUT = "grep_linear"


def add_lora(model: CollapModel, options: Mapping[str, Any], branches: Iterable[str] = BRANCHES) -> None:
    """Puts adapters beside the linear layers of the encoders, in place: class and methods of the model stay.

    The encoders' own weights are frozen. Everything outside of them (projections, the streams' norms, logit scale)
    keeps its state.

    Args:
        model: without adapters so far.
        options: fields of peft's `LoraConfig`; by default rank 8, alpha 16 and every linear layer of attention and
            feed-forward, GPT-2's `Conv1D` included.
        branches: encoders that get adapters, out of text, whisper and beats; those that are off are passed over.

    Raises:
        ValueError: if no encoder is left, or peft does not take the options.
    """
    from peft import LoraConfig, inject_adapter_in_model  # slow to import
    from peft.tuners.tuners_utils import check_target_module_exists

    adapted = [encoder for name, encoder in encoders(model).items() if name in branches]
    if not adapted:
        raise ValueError("model.lora has no encoder to adapt: all of them are frozen.")
    names = {module: name for name, module in model.named_modules()}
    if (rank := options.get("r", 1)) < 1:
        raise ValueError(f"model.lora.r is the rank of the adapters, at least 1, not {rank}.")
    config = LoraConfig(**{**_DEFAULTS, **options})
    wanted = _linear if config.target_modules is None else lambda name, _: check_target_module_exists(config, name)
    targets = [names[module] for encoder in adapted for module in encoder.modules() if wanted(names[module], module)]
    if not targets:
        raise ValueError(f"model.lora.target_modules finds none of {options['target_modules']} in the encoders.")
    config.target_modules = targets
    for encoder in adapted:
        encoder.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out")  # peft sets it for Conv1D by itself
        inject_adapter_in_model(config, model)
    # peft leaves nothing but its adapters trainable.
    for parameter in trained:
        parameter.requires_grad_(True)


def merged(model: CollapModel) -> CollapModel:
    """A plain model that computes the same, its adapters added to the weights beside them; `model` stays as it is.

    Without adapters in it, `model` itself is returned.
    """
    if not hasattr(model, "peft_config"):
        return model
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(model)
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            plain.set_submodule(name, layer.get_base_layer())
    del plain.peft_config
    return plain


def _linear(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D) and not name.endswith(_LEFT_OUT)
