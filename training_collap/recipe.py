"""Recipes: one YAML file a training run, read into typed sections."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from dataset_scripts.fields import known_fields, read_fields, suggestion
from modeling_collap import CollapModel
from processing_collap import CollapFeatureExtractor

from .arguments import CollapTrainingArguments
from .branches import BRANCHES
from .checks import check_device
from .objectives import ObjectiveSection

_SUB_CONFIGS = ("text_config", "whisper_config", "beats_config")
# Beside its own weights, a pretrained model brings its tokenizer and what its audio features look like.
_ADJUSTABLE_FEATURES = {"max_seconds"}


@dataclass
class ModelSection:
    """What is trained.

    A model starts from random weights, from pretrained encoders (`backbones`) or from a whole CoLLAP (`pretrained`).

    Args:
        backbones: keyword arguments `text`, `whisper` and `beats` of `CollapModel.from_backbones`.
        pretrained: folder or Hub name of a saved model with its processor, to go on from.
        config: fields of `CollapConfig`, or of another model's configuration that `model_type` names: one registered
            with transformers whose model does for training what `CollapModel` does. Of a pretrained model only those
            can change that its weights do not depend on: see `training_collap.building`.
        feature_extractor: fields of `CollapFeatureExtractor`.
        tokenizer: Hub name or folder of a tokenizer; by default that of the text backbone.
        vocab_size: trains a tokenizer of this size on the training captions where no tokenizer is named.
        position_scale: amplitude of the sinusoids by which a Whisper encoder of random weights knows the places in a
            window, above 0 and at most 1, Whisper's own. They are never trained, and a small encoder spends much of a
            short training on hearing past them.
        freeze: encoders out of text, whisper and beats that stay as they are, without dropout.
        lora: trains the other encoders through low-rank adapters; fields of peft's `LoraConfig`, `{}` for the defaults
            of `training_collap.lora`.

    Raises:
        ValueError: if two settings contradict each other, or `freeze` names no encoder.
    """

    backbones: dict[str, Any] = field(default_factory=dict)
    pretrained: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    feature_extractor: dict[str, Any] = field(default_factory=dict)
    tokenizer: str | None = None
    vocab_size: int | None = None
    position_scale: float = 1.0
    freeze: list[str] = field(default_factory=list)
    lora: dict[str, Any] | None = None

    @property
    def model_type(self) -> str:
        return self.config.get("model_type", "collap")

    def __post_init__(self) -> None:
        if self.model_type != "collap":
            names = ("backbones", "pretrained", "freeze", "lora")
            if given := [name for name in names if getattr(self, name) not in (None, [], {})]:
                raise ValueError(f"model.{given[0]} belongs to CoLLAP, not to a model of type {self.model_type!r}")
        if self.backbones and (given := [name for name in _SUB_CONFIGS if name in self.config]):
            raise ValueError(f"model.config.{given[0]} contradicts model.backbones: backbones bring their own shape")
        if self.pretrained is not None:
            own = {"backbones": self.backbones, "tokenizer": self.tokenizer, "vocab_size": self.vocab_size}
            own |= {f"feature_extractor.{name}": True for name in self.feature_extractor.keys() - _ADJUSTABLE_FEATURES}
            if given := sorted(name for name, value in own.items() if value):
                raise ValueError(f"model.{given[0]} contradicts model.pretrained: a pretrained model brings its own")
        if not 0 < self.position_scale <= 1:
            raise ValueError(f"model.position_scale must be above 0 and at most 1, not {self.position_scale}")
        whisper = self.model_type == "collap" and self.config.get("whisper_config", {}) is not None
        if self.position_scale != 1 and (self.pretrained or self.backbones or not whisper):
            raise ValueError("model.position_scale has no effect: it is for a Whisper encoder of random weights")
        for name in self.freeze:
            if name not in BRANCHES:
                raise ValueError(f"model.freeze names no encoder with {name!r}{suggestion(name, BRANCHES)}")


@dataclass
class DataSection:
    """What it is trained on.

    Args:
        dataset: Hub name or folder of a dataset in the schema of `dataset_scripts.schema`.
        config_name: configuration of that dataset.
        train_split, validation_split: names of its splits.
        validation_source: keeps only the validation rows of this `source`.
        batch_by: name of a column, such as `source`, whose values are not mixed within a batch.
        group_by_length: fills every batch with tracks of about the same length, so that less of it is padding.
        crop_windows, whole_track_share: see `training_collap.tracks.CaptionedTracks`.
        vary_captions: share of the training captions that are worded differently every time: with and without time
            stamps, whole and shortened, as lines and as running text.
        shorten_captions: share of the training captions of which only the beginning is read, one sentence or more.
        feature_store: folder for audio features that are computed once, before training; by default every song is
            decoded whenever it is its turn.
        encoder_store: folder for what frozen audio encoders say about whole tracks, computed once, before training.
    """

    dataset: str = ""
    config_name: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    validation_source: str | None = None
    batch_by: str | None = None
    group_by_length: bool = False
    crop_windows: int | None = None
    whole_track_share: float = 0.0
    vary_captions: float = 0.0
    shorten_captions: float = 0.0
    feature_store: str | None = None
    encoder_store: str | None = None


@dataclass
class Recipe:
    model: ModelSection
    data: DataSection
    objective: ObjectiveSection
    training: CollapTrainingArguments


_SECTIONS: dict[str, type] = {
    "model": ModelSection,
    "data": DataSection,
    "objective": ObjectiveSection,
    "training": CollapTrainingArguments,
}
# What contrastive training on tracks needs whatever the recipe: a short last batch would change the number of
# negatives; the batches are no rows of columns that the Trainer could match with the model's signature; and BEATs'
# layerdrop leaves parameters without gradient, for which several processes would wait for ever. A loss that is no
# number stops training with the names of its tracks, so that none is filtered from the log. Pinned memory serves
# accelerators only.
_TRAINING_DEFAULTS: dict[str, Any] = {
    "remove_unused_columns": False,
    "dataloader_drop_last": True,
    "ddp_find_unused_parameters": True,
    "label_names": [],
    "dataloader_pin_memory": torch.accelerator.is_available(),
    "report_to": "tensorboard",
    "logging_nan_inf_filter": False,
}


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as YAML 1.2 does; PyYAML alone wants 1.0e-4 and gives a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a recipe; `overrides` are `section.name=value` with the value in YAML, as in `training.max_steps=10`.

    Dots go down: `model.config.text_config.n_layer=1` reaches a field within a field, which is made where absent.

    Raises:
        FileNotFoundError: if there is no such recipe.
        ValueError: if the file holds no sections; an override is not of that form; or keys are unknown, values of the
            wrong type, or settings contradictory: every unknown key and wrong type is named, with the nearest known
            key.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no recipe: it cannot be read as YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(section or {}, dict) for section in content.values()):
        raise ValueError(f"{path} is no recipe: it must hold sections of fields.")
    for override in overrides or []:
        _apply(override, content)
    if unknown := sorted(str(name) for name in content if name not in _SECTIONS):
        raise ValueError(f"{path}: there is no section {unknown[0]!r}{suggestion(unknown[0], _SECTIONS)}.")
    problems: list[str] = []
    sections = {
        name: read_fields(content.get(name), known_fields(kind), name, problems) for name, kind in _SECTIONS.items()
    }
    _read_model_fields(sections["model"], problems)
    if problems:
        raise ValueError(f"{path}: {'; '.join(problems)}.")
    sections["training"] = {**_TRAINING_DEFAULTS, **sections["training"]}
    try:
        check_device(sections["training"])
        return Recipe(**{name: kind(**sections[name]) for name, kind in _SECTIONS.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).rstrip('.')}.") from error


def _apply(override: str, content: dict[str, Any]) -> None:
    """Sets the field that `section.name=value` names, however deep."""
    key, separator, value = override.removeprefix("--").partition("=")
    *parents, name = key.split(".")
    if not separator or not parents or not all((*parents, name)):
        raise ValueError(f"an override reads section.name=value, as in training.max_steps=10, not {override!r}.")
    place = content
    for parent in parents:
        inner = place.get(parent)
        if inner is not None and not isinstance(inner, dict):
            raise ValueError(f"the override {override!r} looks for fields in {parent}, which is {inner!r}.")
        place[parent] = inner or {}
        place = place[parent]
    try:
        place[name] = yaml.load(value, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"the value of the override {override!r} cannot be read as YAML.") from error


def _read_model_fields(model: dict[str, Any], problems: list[str]) -> None:
    """Holds the fields within the model's fields against what takes them."""
    kind = _config_class(model.get("config"), "collap", "model.config", problems)
    if kind is None:
        return
    takers: dict[str, Any] = {
        "backbones": CollapModel.from_backbones,
        "config": kind,
        "feature_extractor": CollapFeatureExtractor,
    }
    if model.get("lora") is not None:
        from peft import LoraConfig  # slow to import

        takers["lora"] = LoraConfig
    for name, taker in takers.items():
        if name in model:
            model[name] = read_fields(model[name], known_fields(taker), f"model.{name}", problems)
    config = model.get("config", {})
    for name, sub_kind in kind.sub_configs.items():
        values = config.get(name)
        if sub_kind is AutoConfig:
            if model.get("pretrained") is not None:  # its text encoder is known once it is read
                continue
            default = getattr(kind(), name).model_type
            sub_kind = _config_class(values, default, f"model.config.{name}", problems)
        if isinstance(values, Mapping) and sub_kind is not None:
            config[name] = read_fields(values, known_fields(sub_kind), f"model.config.{name}", problems)


def _config_class(options: Any, default: str, where: str, problems: list[str]) -> Any:
    """The class of a configuration by its `model_type`; `None` where that is none that transformers knows."""
    model_type = options.get("model_type", default) if isinstance(options, Mapping) else default
    if model_type in CONFIG_MAPPING:
        return CONFIG_MAPPING[model_type]
    problems.append(f"{where}.model_type {model_type!r} is unknown{suggestion(str(model_type), CONFIG_MAPPING)}")
    return None
