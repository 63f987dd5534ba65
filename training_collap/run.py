"""One training run, from a recipe to a saved model."""

import logging
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset_builder
from transformers import BatchFeature, set_seed

from modeling_collap import CollapModel
from processing_collap import CollapProcessor

from .building import build
from .centering import center_projections
from .checkpoints import SealedCheckpoints, last_whole_checkpoint, set_aside_unfinished
from .checks import check_data, check_settings
from .collator import CollapCollator
from .encoder_store import EncoderStore
from .feature_store import FeatureStore
from .objectives import build_objective
from .recipe import DataSection, Recipe
from .reports import add_reports, write_metrics
from .tags import TagVocabulary
from .task import as_tensors
from .tracks import CaptionedTracks, TrackStore
from .trainer import CollapTrainer

logger = logging.getLogger(__name__)

_CENTERING_TRACKS = 32


def run(recipe: Recipe) -> dict[str, float]:
    """Trains, saves model and processor to the recipe's output folder, and returns the validation metrics.

    A run that was cut short goes on from its last whole checkpoint when it is started again, as if nothing had
    happened: with the same batches and the same random numbers.

    Raises:
        ValueError, OSError: before training, if recipe or data cannot be trained on.
        FloatingPointError: if the loss is no number; the message names the tracks.
    """
    return train(prepare(recipe), recipe)


def prepare(recipe: Recipe) -> CollapTrainer:
    """Everything up to the first step: the trainer of a recipe, with its model and its data.

    Raises:
        ValueError, OSError: if recipe or data cannot be trained on; most are found before anything is built.
    """
    arguments, data = recipe.training, recipe.data
    set_seed(arguments.seed)
    check_settings(recipe)
    train_rows, validation_rows = load_splits(data)
    check_data(recipe, train_rows, validation_rows)
    tags = TagVocabulary.of(train_rows) if recipe.objective.tags else None
    model, processor = build(recipe.model, train_rows)
    model.to(arguments.device)  # type: ignore[arg-type]
    collator = CollapCollator(processor, tags, moments=recipe.objective.moments > 0)
    examples_of = {
        "crop_windows": data.crop_windows,
        "whole_track_share": data.whole_track_share,
        "vary_captions": data.vary_captions,
        "shorten_captions": data.shorten_captions,
        "seed": arguments.seed,
    }
    tracks = _tracks(train_rows, "train", recipe, model, processor, **examples_of)
    new = recipe.model.pretrained is None and isinstance(model, CollapModel)
    if new and last_whole_checkpoint(arguments.output_dir or "") is None:
        examples = [tracks[i] for i in range(min(_CENTERING_TRACKS, len(tracks)))]
        center_projections(model, BatchFeature(as_tensors(dict(collator(examples)))))
    return CollapTrainer(
        model=model,
        objective=build_objective(recipe.objective, model, None if tags is None else tags.shares),
        args=arguments,
        processing_class=processor,
        data_collator=collator,
        batch_groups=None if data.batch_by is None else list(train_rows[data.batch_by]),
        group_by_length=data.group_by_length,
        train_dataset=tracks,
        eval_dataset=_tracks(validation_rows, "validation", recipe, model, processor),
        callbacks=[SealedCheckpoints()],
    )


def train(trainer: CollapTrainer, recipe: Recipe) -> dict[str, float]:
    """Trains from the start or from the last whole checkpoint, saves the model, and returns the validation metrics."""
    arguments, output = trainer.args, trainer.args.output_dir or ""
    clock = add_reports(trainer)
    last = last_whole_checkpoint(output)
    arguments.distributed_state.wait_for_everyone()  # all processes have looked before anything is renamed
    if arguments.should_save:
        set_aside_unfinished(output)
    if last is not None:
        logger.warning("going on from %s", last)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    metrics = trainer.evaluate()
    trainer.save_metrics("eval", metrics)
    trainer.save_state()
    trainer.save_model()
    write_metrics(trainer, recipe, metrics, clock.seconds)
    return metrics


def load_splits(data: DataSection) -> tuple[Dataset, Dataset]:
    """Training and validation rows.

    Raises:
        ValueError, OSError: if there is no such dataset, a split is absent or empty, or no row has the wanted source.
    """
    if not data.dataset:
        raise ValueError("the recipe names no dataset: set data.dataset to a folder or a Hub name.")
    # The shared cache of `datasets` can mix up two local folders of one name; a cache inside the folder cannot.
    folder = Path(data.dataset)
    cache = str(folder / ".cache") if folder.is_dir() else None
    builder = load_dataset_builder(data.dataset, data.config_name, cache_dir=cache)
    builder.download_and_prepare()
    splits: dict[str, Any] = builder.info.splits or {}
    for name in (data.train_split, data.validation_split):
        if name not in splits:
            raise ValueError(f"{data.dataset} has no split {name!r}; it has {', '.join(splits)}.")
        if not splits[name].num_examples:
            raise ValueError(f"the split {name!r} of {data.dataset} is empty.")
    train, validation = (builder.as_dataset(split=name) for name in (data.train_split, data.validation_split))
    if data.validation_source is not None:
        if "source" not in validation.column_names:
            raise ValueError(f"data.validation_source needs the column source, which {data.dataset} does not have.")
        keep = [i for i, source in enumerate(validation["source"]) if source == data.validation_source]
        if not keep:
            raise ValueError(
                f"{data.dataset} has no {data.validation_split} row with source {data.validation_source!r}."
            )
        validation = validation.select(keep)
    return train, validation


def _tracks(
    rows: Dataset, split: str, recipe: Recipe, model: CollapModel, processor: CollapProcessor, **examples_of: Any
) -> CaptionedTracks:
    data, arguments, extractor = recipe.data, recipe.training, processor.feature_extractor
    workers = arguments.dataloader_num_workers
    store: TrackStore | None = None
    # One process computes what a store keeps, the others wait and read it.
    with arguments.main_process_first(desc=f"the store of the {split} split"):
        if data.encoder_store is not None:
            folder = Path(data.encoder_store) / split
            store = EncoderStore.build(folder, rows, model, extractor, workers=workers)
        elif data.feature_store is not None:
            store = FeatureStore.build(Path(data.feature_store) / split, rows, extractor, workers=workers)
    return CaptionedTracks(
        rows,
        sampling_rate=extractor.sampling_rate,
        window_seconds=extractor.window_seconds,
        features=store,
        **examples_of,
    )
