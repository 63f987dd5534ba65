"""The encoders of a model by name, and how to keep some of them out of training."""

from collections.abc import Iterable
from types import MethodType

from torch import nn

from modeling_collap import CollapModel

BRANCHES = ("text", "whisper", "beats")


def encoders(model: CollapModel) -> dict[str, nn.Module]:
    """The encoders that are on, by the names of `BRANCHES`."""
    found = (model.text_model, model.audio_encoder.whisper, model.audio_encoder.beats)
    return {name: encoder for name, encoder in zip(BRANCHES, found, strict=True) if encoder is not None}


def freeze(model: CollapModel, branches: Iterable[str]) -> None:
    """Takes encoders out of training, in place: no gradient, and evaluation mode whatever `model.train()` says.

    Raises:
        ValueError: if a branch is unknown or off, or nothing is left to train.
    """
    on = encoders(model)
    for name in branches:
        if name not in on:
            raise ValueError(f"model.freeze names {name}, but the encoders of the model are {', '.join(on)}.")
        encoder = on[name]
        encoder.requires_grad_(False)
        # A method of this one module, so that every way of setting modes passes it and copies of the model keep it.
        encoder.train = MethodType(_stay_in_evaluation, encoder)  # type: ignore[method-assign]
        encoder.eval()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model.freeze leaves nothing to train.")


def _stay_in_evaluation(module: nn.Module, mode: bool = True) -> nn.Module:
    return type(module).train(module, False)
