"""One training run, from a recipe to a saved model."""

import logging
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase, set_seed
from transformers.trainer_utils import get_last_checkpoint

from modeling_collap import CollapConfig, CollapModel
from modeling_collap.modeling_collap import text_limit
from processing_collap import CollapFeatureExtractor, CollapProcessor

from .centering import center_projections
from .collator import CollapCollator
from .feature_store import FeatureStore
from .recipe import DataSection, ModelSection, Recipe
from .tokenizer import train_tokenizer
from .tracks import CaptionedTracks
from .trainer import CollapTrainer

logger = logging.getLogger(__name__)

_CENTERING_TRACKS = 32


def run(recipe: Recipe) -> dict[str, float]:
    """Trains, saves model and processor to the recipe's output folder, and returns the validation metrics.

    A run that was cut short goes on from its last checkpoint when it is started again.
    """
    arguments = recipe.training
    set_seed(arguments.seed)
    train_rows, validation_rows = load_splits(recipe.data)
    model, processor = build(recipe.model, train_rows)
    train_tracks = _tracks(
        train_rows,
        "train",
        recipe,
        processor.feature_extractor,
        crop_windows=recipe.data.crop_windows,
        whole_track_share=recipe.data.whole_track_share,
        seed=arguments.seed,
    )
    collator = CollapCollator(processor)
    trainer = CollapTrainer(
        model=model,
        args=arguments,
        processing_class=processor,
        data_collator=collator,
        batch_groups=_groups(train_rows, recipe.data),
        train_dataset=train_tracks,
        eval_dataset=_tracks(validation_rows, "validation", recipe, processor.feature_extractor),
    )
    output = Path(arguments.output_dir or "")
    last = get_last_checkpoint(str(output)) if output.is_dir() else None
    if last is not None:
        logger.warning("going on from %s", last)
    else:
        center_projections(model, collator([train_tracks[i] for i in range(min(_CENTERING_TRACKS, len(train_tracks)))]))
    trainer.train(resume_from_checkpoint=last)
    metrics = trainer.evaluate()
    trainer.save_metrics("eval", metrics)
    trainer.save_state()
    trainer.save_model()
    return metrics


def load_splits(data: DataSection) -> tuple[Dataset, Dataset]:
    """Training and validation rows."""
    if not data.dataset:
        raise ValueError("the recipe names no dataset: set data.dataset to a folder or a Hub name.")
    # The shared cache of `datasets` can mix up two local folders of one name; a cache inside the folder cannot.
    folder = Path(data.dataset)
    splits = load_dataset(data.dataset, data.config_name, cache_dir=str(folder / ".cache") if folder.is_dir() else None)
    for name in (data.train_split, data.validation_split):
        if name not in splits:
            raise ValueError(f"{data.dataset} has no split {name!r}; it has {', '.join(splits)}.")
    validation = splits[data.validation_split]
    if data.validation_source is not None:
        keep = [i for i, source in enumerate(validation["source"]) if source == data.validation_source]
        if not keep:
            raise ValueError(
                f"{data.dataset} has no {data.validation_split} row with source {data.validation_source!r}."
            )
        validation = validation.select(keep)
    return splits[data.train_split], validation


def _tracks(
    rows: Dataset, split: str, recipe: Recipe, extractor: CollapFeatureExtractor, **crops: Any
) -> CaptionedTracks:
    store = None
    if recipe.data.feature_store is not None:
        folder = Path(recipe.data.feature_store) / split
        # One process computes the features, the others wait and read them.
        with recipe.training.main_process_first(desc=f"features of the {split} split"):
            store = FeatureStore.build(folder, rows, extractor, workers=recipe.training.dataloader_num_workers)
    return CaptionedTracks(
        rows, sampling_rate=extractor.sampling_rate, window_seconds=extractor.window_seconds, features=store, **crops
    )


def _groups(rows: Dataset, data: DataSection) -> list[str] | None:
    if data.batch_by is not None and data.batch_by not in rows.column_names:
        raise ValueError(f"data.batch_by names {data.batch_by!r}, but the columns are {', '.join(rows.column_names)}.")
    return None if data.batch_by is None else list(rows[data.batch_by])


def build(section: ModelSection, train_rows: Dataset) -> tuple[CollapModel, CollapProcessor]:
    """The model and the processor that a recipe describes."""
    options = dict(section.config)
    tokenizer: PreTrainedTokenizerBase
    if section.backbones:
        model = CollapModel.from_backbones(**section.backbones, **options)
        tokenizer = AutoTokenizer.from_pretrained(section.tokenizer or section.backbones["text"])
    else:
        tokenizer = _tokenizer(section, CollapConfig(**options), train_rows)
        text_config = dict(
            options.pop("text_config", {}), vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id
        )
        text_config.update(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
        model = CollapModel(CollapConfig(text_config=text_config, **options))
    limit = text_limit(model.config.text_config)
    if limit is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
    return model, CollapProcessor(
        CollapFeatureExtractor(**_extraction(model.config), **section.feature_extractor), tokenizer
    )


def _extraction(config: CollapConfig) -> dict[str, Any]:
    """What the model's shape says about its features."""
    fields: dict[str, Any] = {"window_seconds": config.window_seconds}
    fields["return_whisper"] = config.whisper_config is not None
    fields["return_beats"] = config.beats_config is not None
    if config.whisper_config is not None:
        fields["feature_size"] = config.whisper_config.num_mel_bins
    if config.beats_config is not None:
        fields["fbank_mel_bins"] = config.beats_config.num_mel_bins
    return fields


def _tokenizer(section: ModelSection, config: CollapConfig, train_rows: Dataset) -> PreTrainedTokenizerBase:
    if section.tokenizer is not None:
        return AutoTokenizer.from_pretrained(section.tokenizer)
    if section.vocab_size is None:
        raise ValueError("the recipe names neither backbones, nor a tokenizer, nor a vocab_size to train one.")
    texts = [*train_rows["caption"], *(s["caption"] for sections in train_rows["structure"] for s in sections)]
    limit = text_limit(config.text_config)
    return train_tokenizer(texts, section.vocab_size, limit or int(1e9))
