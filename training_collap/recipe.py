"""Recipes: one YAML file a training run, read into typed sections."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from transformers import TrainingArguments


@dataclass
class ModelSection:
    """What is trained.

    Args:
        backbones: keyword arguments `text`, `whisper` and `beats` of `CollapModel.from_backbones`; leave out to start
            from random weights.
        config: fields of `CollapConfig`.
        feature_extractor: fields of `CollapFeatureExtractor`.
        tokenizer: Hub name or folder of a tokenizer; by default that of the text backbone.
        vocab_size: trains a tokenizer of this size on the training captions where no tokenizer is named.
    """

    backbones: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    feature_extractor: dict[str, Any] = field(default_factory=dict)
    tokenizer: str | None = None
    vocab_size: int | None = None


@dataclass
class DataSection:
    """What it is trained on.

    Args:
        dataset: Hub name or folder of a dataset in the schema of `dataset_scripts.schema`.
        config_name: configuration of that dataset.
        train_split, validation_split: names of its splits.
        validation_source: keeps only the validation rows of this `source`.
        batch_by: name of a column, such as `source`, whose values are not mixed within a batch.
        crop_windows, whole_track_share: see `training_collap.tracks.CaptionedTracks`.
        feature_store: folder for audio features that are computed once, before training; by default every song is
            decoded whenever it is its turn.
    """

    dataset: str = ""
    config_name: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    validation_source: str | None = None
    batch_by: str | None = None
    crop_windows: int | None = None
    whole_track_share: float = 0.0
    feature_store: str | None = None


@dataclass
class Recipe:
    model: ModelSection
    data: DataSection
    training: TrainingArguments


# What contrastive training on tracks needs whatever the recipe: a short last batch would change the number of
# negatives; the batches are no rows of columns that the Trainer could match with the model's signature; and BEATs'
# layerdrop leaves parameters without gradient, for which several processes would wait for ever.
_TRAINING_DEFAULTS: dict[str, Any] = {
    "remove_unused_columns": False,
    "dataloader_drop_last": True,
    "ddp_find_unused_parameters": True,
    "label_names": [],
    "report_to": "none",
}


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as YAML 1.2 does; PyYAML alone wants 1.0e-4 and gives a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a recipe; `overrides` are `section.name=value` with the value in YAML, as in `training.max_steps=10`.

    Raises:
        FileNotFoundError: if there is no such recipe.
        ValueError: if the file holds no sections, a section or field is unknown, or an override is not of that form.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}.")
    content = yaml.load(path.read_text(), _Loader) or {}
    if not isinstance(content, dict) or not all(isinstance(section or {}, dict) for section in content.values()):
        raise ValueError(f"{path} is no recipe: it must hold sections of fields.")
    for override in overrides or []:
        key, separator, value = override.removeprefix("--").partition("=")
        section, dot, name = key.partition(".")
        if not separator or not dot:
            raise ValueError(f"an override reads section.name=value, as in training.max_steps=10, not {override!r}.")
        content[section] = {**(content.get(section) or {}), name: yaml.load(value, _Loader)}
    sections: dict[str, type] = {"model": ModelSection, "data": DataSection, "training": TrainingArguments}
    if unknown := sorted(set(content) - set(sections)):
        raise ValueError(f"{path} has unknown sections: {', '.join(unknown)}; known are {', '.join(sections)}.")
    for name, section_type in sections.items():
        known = {f.name for f in fields(section_type) if f.init}
        if unknown := sorted(set(content.get(name) or {}) - known):
            raise ValueError(f"{path}, section {name}, has unknown fields: {', '.join(unknown)}.")
    training = {**_TRAINING_DEFAULTS, **(content.get("training") or {})}
    return Recipe(
        model=ModelSection(**(content.get("model") or {})),
        data=DataSection(**(content.get("data") or {})),
        training=TrainingArguments(**training),
    )
