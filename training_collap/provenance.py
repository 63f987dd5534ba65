"""What a store on disk was made from, so that it is never used for something else."""

import hashlib
import json
from os import PathLike
from typing import Any

import torch
from torch import nn

from processing_collap import CollapFeatureExtractor

_WHERE_THE_CODE_LIES = ("auto_map", "processor_class")


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of the names, types, shapes and values of a module's weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def extraction_settings(feature_extractor: CollapFeatureExtractor) -> dict[str, Any]:
    """All that the features depend on; a saved and loaded extractor has the same settings as a new one."""
    settings = json.loads(feature_extractor.to_json_string())
    return {name: value for name, value in settings.items() if name not in _WHERE_THE_CODE_LIES}


def refuse_another(folder: str | PathLike[str], found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compares two records field by field; lists are compared as wholes.

    Raises:
        ValueError: if they are not the same; it names the folder and all that differs.
    """
    if differences := _differences(found, wanted):
        raise ValueError(
            f"the store {folder} was made from something else: {', '.join(differences)}; remove it to build it anew."
        )


def _differences(found: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    differences = []
    for key in sorted({*found, *wanted}):
        old, new = found.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            differences += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            differences.append(f"{prefix}{key} is {_short(old)} there and {_short(new)} here")
    return differences


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 24 else f"{text[:20]}..."
