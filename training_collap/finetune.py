"""Fine-tuning a model on one's own music, with retrieval before and after."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dataset_scripts.whole_files import whole_file

from .building import load_processor
from .checks import check_settings
from .own_music import read_own_music, write_dataset
from .recipe import Recipe, load_recipe
from .run import prepare, train
from .trainer import CollapTrainer

_DIRECTIONS = {"text_to_audio": "text to audio", "audio_to_text": "audio to text"}
_RESULTS = "finetuning.json"


@dataclass(frozen=True)
class FinetuneSettings:
    """What `collap finetune` is to do.

    Args:
        recipe: YAML file of the training run.
        output: folder of the fine-tuned model.
        audio, captions: own music, see `training_collap.own_music`; or
        dataset: Hub name or folder of a dataset in the schema, with a training and a validation split.
        model: folder or Hub name of the model to go on from; by default what the recipe names.
        validation_share: share of own music that is not trained on.
        overrides: fields of the recipe, as `load_recipe` takes them.

    Raises:
        ValueError: if the music is named in both ways or in none, or the share is none.
    """

    recipe: Path
    output: Path
    audio: Path | None = None
    captions: Path | None = None
    dataset: str | None = None
    model: str | None = None
    validation_share: float = 0.2
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        own = [given for given in (self.audio, self.captions) if given is not None]
        if len(own) != (2 if self.dataset is None else 0):
            raise ValueError("name the music by --audio and --captions together, or by --dataset alone")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"--validation-share lies between 0 and 1, not at {self.validation_share}")


@dataclass(frozen=True)
class Comparison:
    """Retrieval of the validation tracks among themselves, before and after fine-tuning."""

    tracks: int
    before: dict[str, float]
    after: dict[str, float]


def finetune(settings: FinetuneSettings, console: Console) -> Comparison:
    """Checks everything, trains, saves the model in the output folder, and prints how retrieval has changed.

    Raises:
        ValueError, OSError: before training, if recipe, model or music cannot be used; see there.
        FloatingPointError: if the loss is no number.
    """
    recipe = _recipe(settings)
    check_settings(recipe)
    if settings.audio is not None and settings.captions is not None:
        extractor = load_processor(recipe.model).feature_extractor
        limits = (extractor.min_samples / extractor.sampling_rate, extractor.max_seconds)
        with _progress(console) as progress:
            splits = read_own_music(
                settings.audio,
                settings.captions,
                seconds=limits,
                validation_share=settings.validation_share,
                progress=lambda files: progress.track(files, description="Reading tracks"),
            )
        write_dataset(Path(recipe.data.dataset), splits, source=settings.audio.resolve().name)
        arguments = recipe.training
        arguments.per_device_train_batch_size = min(arguments.per_device_train_batch_size, len(splits["train"]))
        console.print(
            f"{len(splits['train'])} tracks to train on, {len(splits['validation'])} to validate with: "
            + ", ".join(file.name for file in splits["validation"]),
            soft_wrap=True,
            markup=False,
        )
    trainer = prepare(recipe)
    after = train(trainer, recipe)
    tracks: Any = trainer.eval_dataset
    comparison = Comparison(len(tracks), _at_the_start(trainer), after)
    with whole_file(settings.output / _RESULTS) as temporary:
        temporary.write_text(json.dumps(vars(comparison), indent=2) + "\n")
    console.print(_table(comparison))
    return comparison


def _recipe(settings: FinetuneSettings) -> Recipe:
    """The recipe with what the settings say about it, which no override changes."""
    fixed: dict[str, Any] = {
        "data.dataset": settings.dataset or str(settings.output / "dataset"),
        "training.output_dir": str(settings.output),
        "training.eval_on_start": True,
    }
    if settings.model is not None:
        fixed["model.pretrained"] = settings.model
    named = [f"{name}={json.dumps(value)}" for name, value in fixed.items()]  # JSON is YAML, whatever the paths hold
    recipe = load_recipe(settings.recipe, [*settings.overrides, *named])
    if recipe.model.pretrained is None:
        raise ValueError(f"{settings.recipe} names no model to go on from; choose one with --model")
    stores = ("data.feature_store", "data.encoder_store")
    chosen = any(override.removeprefix("--").startswith(stores) for override in settings.overrides)
    if not chosen and recipe.data.feature_store is None and recipe.data.encoder_store is None:
        recipe.data.feature_store = str(settings.output / "features")
    return recipe


def _at_the_start(trainer: CollapTrainer) -> dict[str, float]:
    """What the evaluation before the first step has logged; a run that went on has kept it."""
    name = "eval_text_to_audio_R@1"
    return next(entry for entry in trainer.state.log_history if name in entry and entry["step"] == 0)


def _table(comparison: Comparison) -> Table:
    table = Table(title=f"Retrieval among the {comparison.tracks} validation tracks", title_justify="left")
    for heading in ("", "by chance", "before", "after"):
        table.add_column(heading, justify="left" if not heading else "right")
    chance = {"R@1": 100 / comparison.tracks, "median_rank": (comparison.tracks + 1) / 2}
    if comparison.tracks > 5:
        chance["R@5"] = 500 / comparison.tracks
    for direction, words in _DIRECTIONS.items():
        for metric, by_chance in chance.items():
            name = f"eval_{direction}_{metric}"
            numbers = (by_chance, comparison.before[name], comparison.after[name])
            table.add_row(f"{words}, {metric.replace('_', ' ')}", *(f"{number:.1f}" for number in numbers))
    # Where ranks of a few tracks hardly move, the loss does: that of a model that holds all for equal is the logarithm.
    losses = (math.log(comparison.tracks), comparison.before["eval_loss"], comparison.after["eval_loss"])
    table.add_row("loss", *(f"{loss:.2f}" for loss in losses))
    return table


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
