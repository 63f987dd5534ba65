"""What can be wrong with a recipe or its data, found before anything is built: each a `ValueError` of one sentence."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from transformers.integrations import (
    get_reporting_integration_callbacks,
    is_tensorboard_available,
    is_trackio_available,
    is_wandb_available,
)

if TYPE_CHECKING:  # recipes are checked while they are read
    from .recipe import Recipe

_REPORTS = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available, "trackio": is_trackio_available}
_NEED_A_GPU = ("bf16", "bf16_full_eval", "fp16_full_eval", "tf32")


def check_device(training: Mapping[str, Any]) -> None:
    """The fields of a recipe's section `training`: a GPU that is asked for must be there.

    Without `use_cpu` in the recipe, training takes a GPU where there is one and the CPU elsewhere.
    """
    present, on_cpu = torch.accelerator.is_available(), training.get("use_cpu")
    if training.get("fp16") and (on_cpu or not present):
        raise ValueError(
            "training.fp16 needs a GPU; on the CPU set training.use_cpu=true and training.bf16=true instead."
        )
    if present or on_cpu:
        return
    asking = ["use_cpu=false"] if on_cpu is False else [f"{name}=true" for name in _NEED_A_GPU if training.get(name)]
    if asking:
        raise ValueError(
            f"training.{asking[0]} asks for a GPU, but torch sees none on this machine; "
            "to train on the CPU set training.use_cpu=true."
        )


def check_settings(recipe: "Recipe") -> None:
    """What needs no data to be seen."""
    arguments = recipe.training
    if arguments.n_gpu > 1:
        raise ValueError(
            f"one process sees {arguments.n_gpu} GPUs and would split its batch over them, negatives too: "
            "start one process a GPU with `accelerate launch`, or choose one GPU with CUDA_VISIBLE_DEVICES=0."
        )
    if arguments.train_batch_size * arguments.world_size == 1 and recipe.objective.needs_negatives:
        raise ValueError(
            "a batch of one has no negatives to learn from: raise training.per_device_train_batch_size, "
            "or set objective.name=slap, which needs none."
        )
    for name in ("whole_track_share", "vary_captions", "shorten_captions"):
        if not 0 <= getattr(recipe.data, name) <= 1:
            raise ValueError(f"data.{name} is a share of the examples, from 0 to 1, not {getattr(recipe.data, name)}.")
    if recipe.model.lora is not None and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise ValueError(
            "model.lora does not go with FSDP, which cuts the weights that adapters are merged into: "
            "use recipes/accelerate/ddp.yaml."
        )
    if recipe.data.encoder_store is not None and recipe.model.model_type != "collap":
        raise ValueError(
            f"data.encoder_store keeps what CoLLAP's encoders say, not those of {recipe.model.model_type!r}: "
            "use data.feature_store."
        )
    if recipe.data.encoder_store is not None and recipe.data.feature_store is not None:
        raise ValueError(
            "data.encoder_store and data.feature_store exclude each other: the encoders' states are enough."
        )
    if recipe.data.encoder_store is not None and recipe.objective.audio_self_supervision:
        raise ValueError(
            "objective.audio_self_supervision distorts spectrograms, which data.encoder_store does not keep: "
            "use data.feature_store."
        )
    for name in arguments.report_to or ():
        if name in _REPORTS and not _REPORTS[name]():
            raise ValueError(
                f"training.report_to={name} needs a package that is not installed: pip install 'collap[{name}]'."
            )
    get_reporting_integration_callbacks(arguments.report_to)  # raises for names that nobody knows
    folders = {
        "training.output_dir": arguments.output_dir,
        "data.feature_store": recipe.data.feature_store,
        "data.encoder_store": recipe.data.encoder_store,
    }
    for field, folder in folders.items():
        if folder is not None:
            _check_folder(field, Path(folder))


def check_data(recipe: "Recipe", train: Dataset, validation: Dataset) -> None:
    """The rows that a recipe trains and validates on; no audio is decoded."""
    data, arguments = recipe.data, recipe.training
    needed, further = {"id", "audio", "caption"}, set()
    if data.crop_windows is not None:
        further |= {"duration", "structure", "global_caption"}
    if data.group_by_length:
        further |= {"duration"}
    _check_columns(f"the split {data.train_split!r} of {data.dataset}", train, needed | further)
    _check_columns(f"the split {data.validation_split!r} of {data.dataset}", validation, needed)
    batch = arguments.train_batch_size * arguments.world_size
    largest, what = len(train), f"the split {data.train_split!r} of {data.dataset}"
    if data.batch_by is not None:
        if data.batch_by not in train.column_names:
            columns = ", ".join(train.column_names)
            raise ValueError(f"data.batch_by names {data.batch_by!r}, but the columns are {columns}.")
        group, largest = Counter(train[data.batch_by]).most_common(1)[0]
        what = f"the largest group of {data.batch_by}, {group!r},"
    if largest < batch:
        raise ValueError(
            f"{what} fills no batch: it has {largest} tracks, but a batch takes {arguments.train_batch_size} in each "
            f"of {arguments.world_size} processes; lower training.per_device_train_batch_size."
        )


def _check_columns(split: str, rows: Dataset, needed: set[str]) -> None:
    if missing := sorted(needed - set(rows.column_names)):
        raise ValueError(f"{split} lacks the columns {', '.join(missing)}; it has {', '.join(rows.column_names)}.")


def _check_folder(field: str, folder: Path) -> None:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ValueError(f"{field} is {folder}, but {existing} is a file.")
    if existing != folder and not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"{field} is {folder}, which cannot be made: {existing} must not be written to.")
