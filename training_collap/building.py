"""The model and the processor that a recipe describes, and which parts of the model are trained."""

import logging
from typing import Any

from datasets import Dataset
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from dataset_scripts.fields import known_fields, read_fields
from modeling_collap import CollapConfig, CollapModel
from modeling_collap.modeling_collap import text_limit
from processing_collap import CollapFeatureExtractor, CollapProcessor

from .branches import encoders, freeze
from .lora import add_lora
from .recipe import ModelSection
from .tokenizer import train_tokenizer

logger = logging.getLogger(__name__)

# Fields of `CollapConfig` that no weight depends on; in the encoders' configurations these are the dropout rates.
_ADJUSTABLE = {
    "attention_temperature",
    "gamma_kernel",
    "gamma_structure",
    "gamma_temporal",
    "learn_logit_scale",
    "normalization",
    "seconds_per_kernel",
    "seconds_per_stride",
    "symmetric_loss",
    "whole_text_weight",
    "windows_per_chunk",
}


def build(section: ModelSection, train_rows: Dataset) -> tuple[CollapModel, CollapProcessor]:
    """The model, with what is not to be trained frozen, and its processor.

    Args:
        section: of the recipe.
        train_rows: their captions train a tokenizer where the recipe names none.

    Raises:
        ValueError: if there is no such pretrained model, a setting does not fit it, a branch to be frozen is off, or
            nothing is left to train.
    """
    if section.pretrained is not None:
        model, processor = _pretrained(section)
    else:
        model, processor = _new(section, train_rows)
    if section.freeze:
        freeze(model, section.freeze)
    if section.lora is not None:
        add_lora(model, section.lora, [name for name in encoders(model) if name not in section.freeze])
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    logger.info("%.3f of %.3f million parameters are trained", trained / 1e6, model.num_parameters() / 1e6)
    return model, processor


def load_processor(section: ModelSection) -> CollapProcessor:
    """The processor of a pretrained model.

    Raises:
        ValueError: if there is none.
    """
    name = str(section.pretrained)
    try:
        processor = CollapProcessor.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(f"model.pretrained: {name} holds no model with its processor: {error}") from error
    for field, value in section.feature_extractor.items():
        setattr(processor.feature_extractor, field, value)
    return processor


def _pretrained(section: ModelSection) -> tuple[CollapModel, CollapProcessor]:
    processor, name = load_processor(section), str(section.pretrained)
    config = CollapConfig.from_pretrained(name)
    _adjust(config, section.config, name)
    return CollapModel.from_pretrained(name, config=config), processor


def _adjust(config: Any, changes: dict[str, Any], name: str, where: str = "model.config") -> None:
    """Changes fields of a saved model's configuration that its weights do not depend on."""
    problems: list[str] = []
    changes = read_fields(changes, known_fields(type(config)), where, problems)
    if problems:
        raise ValueError(f"{'; '.join(problems)}.")
    for field, value in changes.items():
        if isinstance(value, dict) and getattr(config, field, None) is not None:
            _adjust(getattr(config, field), value, name, f"{where}.{field}")
        elif field not in _ADJUSTABLE and "drop" not in field and value != getattr(config, field):
            raise ValueError(f"{where}.{field} cannot be changed to {value!r}: the weights of {name} depend on it.")
        elif field == "gamma_structure" and bool(value) != bool(config.gamma_structure):
            there = "has weights for" if config.gamma_structure else "has no weights for"
            raise ValueError(f"{where}.{field} cannot be changed to {value!r}: {name} {there} the structure term.")
        elif field == "attention_temperature" and config.learn_attention_temperature:
            raise ValueError(f"{where}.{field} has no effect: {name} has learned its own.")
        else:
            setattr(config, field, value)


def _new(section: ModelSection, train_rows: Dataset) -> tuple[CollapModel, CollapProcessor]:
    options = {name: value for name, value in section.config.items() if name != "model_type"}
    kind: Any = CONFIG_MAPPING[section.model_type]
    model: Any
    tokenizer: PreTrainedTokenizerBase
    if section.backbones:
        model = CollapModel.from_backbones(**section.backbones, **options)
        tokenizer = AutoTokenizer.from_pretrained(section.tokenizer or section.backbones["text"])
    else:
        tokenizer = _tokenizer(section, kind(**options), train_rows)
        text_config = dict(
            options.pop("text_config", {}), vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id
        )
        text_config.update(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
        model = AutoModel.from_config(kind(text_config=text_config, **options))
        if section.position_scale != 1:
            model.audio_encoder.whisper.embed_positions.weight.data.mul_(section.position_scale)
    limit = text_limit(model.config.text_config)
    if limit is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
    return model, CollapProcessor(
        CollapFeatureExtractor(**_extraction(model.config), **section.feature_extractor), tokenizer
    )


def _extraction(config: Any) -> dict[str, Any]:
    """What the model's shape says about its features."""
    if not isinstance(config, CollapConfig):
        return config.extraction
    fields: dict[str, Any] = {"window_seconds": config.window_seconds}
    fields["return_whisper"] = config.whisper_config is not None
    fields["return_beats"] = config.beats_config is not None
    if config.whisper_config is not None:
        fields["feature_size"] = config.whisper_config.num_mel_bins
    if config.beats_config is not None:
        fields["fbank_mel_bins"] = config.beats_config.num_mel_bins
    return fields


def _tokenizer(section: ModelSection, config: Any, train_rows: Dataset) -> PreTrainedTokenizerBase:
    if section.tokenizer is not None:
        return AutoTokenizer.from_pretrained(section.tokenizer)
    if section.vocab_size is None:
        raise ValueError("the recipe names neither backbones, nor a tokenizer, nor a vocab_size to train one.")
    texts = [*train_rows["caption"], *(s["caption"] for sections in train_rows["structure"] for s in sections)]
    limit = text_limit(config.text_config)
    return train_tokenizer(texts, section.vocab_size, limit or int(1e9))
