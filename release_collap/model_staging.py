"""A model repository, assembled: code, configuration, weights, processor, card, recipe, metrics, licence."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers.dynamic_module_utils import custom_object_save

from modeling_collap import CollapConfig, CollapModel
from processing_collap import CollapProcessor
from training_collap.reports import METRICS_FILE

from .cards import render_model_card
from .errors import ReleaseError
from .repositories import ROOT, with_owner
from .staging import place, staging_folder

RECIPE = "recipe.yaml"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_NEEDED = ("config.json", "processor_config.json", "tokenizer_config.json")


def assemble_model(name: str, weights: Path, output: Path, *, org: str, rehearsal: bool = False) -> Path:
    """The folder `output/name` with exactly what is pushed.

    Args:
        name: of the model, as "collap-gpt2": its card and its recipe are those of this repository.
        weights: folder of the model and its processor, as training saves them. Weights are taken as they are; the code
            beside them is that of this repository.
        rehearsal: whether these are stand-ins; the card then says so.

    Raises:
        ReleaseError: something is missing in `weights`, or cannot be read.
    """
    files = weight_files(name, weights)
    with staging_folder(output / name) as folder:
        try:
            _save_code(weights, folder)
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            raise ReleaseError(f"{name}: the model in {weights} cannot be read: {error}") from error
        for file in files:
            place(file, folder / file.name)
        card = render_model_card(name, org=org, stand_in=rehearsal)
        (folder / "README.md").write_text(card, encoding="utf-8")
        recipe = (ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        (folder / RECIPE).write_text(with_owner(recipe, org), encoding="utf-8")
        if (weights / METRICS_FILE).is_file():
            place(weights / METRICS_FILE, folder / METRICS_FILE)
        place(ROOT / "LICENSE", folder / "LICENSE")
    return output / name


def weight_files(name: str, weights: Path) -> list[Path]:
    """The safetensors of a model, with the index of several.

    Raises:
        ReleaseError: the folder, or a file that a model needs, is missing; the message names it.
    """
    if not weights.is_dir():
        raise ReleaseError(f"{name}: there is no folder {weights} of weights")
    if missing := [file for file in _NEEDED if not (weights / file).is_file()]:
        raise ReleaseError(f"{name}: {weights} holds no {missing[0]}, which training saves beside the weights")
    if (weights / _WEIGHTS).is_file():
        return [weights / _WEIGHTS]
    if not (weights / _INDEX).is_file():
        raise ReleaseError(f"{name}: {weights} holds no {_WEIGHTS}; weights in other formats are not published")
    try:
        names = set(json.loads((weights / _INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError) as error:
        raise ReleaseError(f"{name}: {weights / _INDEX} is no index of weights: {error!r}") from error
    files = [weights / file for file in sorted(names)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ReleaseError(f"{name}: {weights} lacks {missing[0]}, which its index names")
    return [weights / _INDEX, *files]


def _save_code(weights: Path, folder: Path) -> None:
    """Configuration, processor, tokenizer and the rooms' code, as `save_pretrained` writes them."""
    config = CollapConfig.from_pretrained(weights)
    for part in (config, config.text_config, config.whisper_config, config.beats_config):
        if part is not None:
            part._name_or_path = ""  # where somebody had loaded it from
    config.architectures, config.auto_map = [CollapModel.__name__], {}
    with torch.device("meta"):
        model = CollapModel(config)  # without weights: only its class and configuration are asked for
    custom_object_save(model, str(folder), config=cast(Any, config))
    config.save_pretrained(folder)
    CollapProcessor.from_pretrained(weights).save_pretrained(folder)
