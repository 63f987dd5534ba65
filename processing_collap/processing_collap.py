"""Processor of CoLLAP: the feature extractor for tracks and the text encoder's own tokenizer, behind one call."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, BatchFeature, PreTrainedConfig, PreTrainedTokenizerBase, ProcessorMixin
from transformers.tokenization_utils_base import LARGE_INTEGER

from .feature_extraction_collap import CollapFeatureExtractor
from .passages import split_passages


class CollapProcessor(ProcessorMixin):
    """Prepares tracks and texts for `CollapModel`.

    Args:
        feature_extractor: cuts tracks into windows of features.
        tokenizer: the text encoder's. One without a padding token (GPT-2's) pads with its end-of-text token, which the
            attention mask hides.

    Raises:
        ValueError: the tokenizer has neither a padding nor an end-of-text token.
    """

    def __init__(self, feature_extractor: CollapFeatureExtractor, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.pad_token is None:
            if tokenizer.eos_token is None:
                raise ValueError(f"The {type(tokenizer).__name__} has neither a padding nor an end-of-text token.")
            tokenizer.pad_token = tokenizer.eos_token
        super().__init__(feature_extractor, tokenizer)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> "CollapProcessor":
        """Load a saved processor from a folder or the Hub; `kwargs` such as `revision` go to both parts.

        The inherited method looks the feature extractor's class up in the folder, and so asks to trust the folder's
        code even though this class is already here.
        """
        feature_extractor = CollapFeatureExtractor.from_pretrained(pretrained_model_name_or_path, **kwargs)
        # A saved tokenizer names its own class. Without a configuration at hand, AutoTokenizer would read the model's,
        # and ask to trust the folder's code for it.
        tokenizer = AutoTokenizer.from_pretrained(pretrained_model_name_or_path, config=PreTrainedConfig(), **kwargs)
        return cls(feature_extractor, tokenizer)

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        audio: Any = None,
        sampling_rate: int | Sequence[int] | None = None,
        return_tensors: str | None = "pt",
        text_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare texts, tracks, or both; their numbers may differ.

        Args:
            text: one text or a list of texts.
            audio: one track or a list of tracks, see `CollapFeatureExtractor.__call__`.
            sampling_rate: rate of the tracks' samples in hertz, one for all or one per track.
            return_tensors: "pt" or "np".
            text_kwargs: what the tokenizer takes, for example `max_length` (in tokens, special tokens included),
                `padding` (default True), `padding_side`, `truncation` (default True).
            kwargs: the same, directly.

        Returns:
            `BatchFeature` with `input_ids` and `attention_mask` `(M, tokens)` if texts were given, and the feature
            extractor's outputs if tracks were. With texts also come their passages, see `split_passages`: for each
            token the number of its passage in `passage_ids` `(M, tokens)`, -1 for none; `passage_places` `(M, P)`
            between 0 and 1, -1 where a text has fewer passages than another; and `passage_seconds` `(M, P)`, -1 where
            the text does not tell. Slow tokenizers cannot tell which token is where, and give none of them.

        Raises:
            FileNotFoundError: an audio file does not exist.
            ValueError: nothing was given, a text is empty, a text is too long and `truncation=False`, or a track cannot
                be used.

        Warns:
            UserWarning: texts longer than the tokenizer's `model_max_length` (or `max_length`) are cut.
        """
        if text is None and audio is None:
            raise ValueError("Nothing to process: give text, audio, or both.")
        data: dict[str, Any] = {}
        if text is not None:
            data.update(self._tokenize(text, return_tensors, {**(text_kwargs or {}), **kwargs}))
        if audio is not None:
            data.update(self.feature_extractor(audio, sampling_rate=sampling_rate, return_tensors=return_tensors))
        return BatchFeature(data)

    def _tokenize(
        self, text: str | Sequence[str], return_tensors: str | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        texts = [text] if isinstance(text, str) else list(text)
        if not texts:
            raise ValueError("text is an empty list: give at least one text.")
        for i, item in enumerate(texts, start=1):
            if not isinstance(item, str):
                raise ValueError(f"text {i} of {len(texts)} is a {type(item).__name__}, not a string.")
            if not item.strip():
                raise ValueError(f"text {i} of {len(texts)} is empty.")

        truncation = options.pop("truncation", True)
        model_limit = self.tokenizer.model_max_length
        limit = min(options.pop("max_length", None) or model_limit, model_limit)
        special_tokens = options.get("add_special_tokens", True)
        untruncated = self.tokenizer(texts, add_special_tokens=special_tokens, verbose=False)["input_ids"]
        too_long = [
            f"text {i} of {len(texts)} ({len(ids)} tokens)" for i, ids in enumerate(untruncated, 1) if len(ids) > limit
        ]
        if too_long:
            message = f"The limit is {limit} tokens; longer: {', '.join(too_long)}."
            if not truncation:
                raise ValueError(message)
            warnings.warn(f"{message} What lies beyond it is cut.", stacklevel=3)

        options = {"padding": True, **options}
        if limit < LARGE_INTEGER:  # above, the tokenizer states no limit
            options.update(truncation=truncation, max_length=limit)
        if not self.tokenizer.is_fast:
            tokens = self.tokenizer(texts, return_tensors=return_tensors, **options)
            return {name: tokens[name] for name in ("input_ids", "attention_mask")}
        tokens = self.tokenizer(texts, return_tensors="np", return_offsets_mapping=True, **options)
        ids, places, seconds = _passages(texts, tokens["offset_mapping"])
        data = {
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
            "passage_ids": ids,
            "passage_places": places,
            "passage_seconds": seconds,
        }
        return {name: torch.from_numpy(value) for name, value in data.items()} if return_tensors == "pt" else data


def _passages(texts: Sequence[str], offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of every token's passage (M, tokens); the passages' places and seconds (M, P); -1 where there is none."""
    passages = [split_passages(text) for text in texts]
    ids = np.full(offsets.shape[:2], -1, dtype=np.int64)
    places, seconds = np.full((2, len(texts), max(map(len, passages))), -1.0, dtype=np.float32)
    for row, found in enumerate(passages):
        places[row, : len(found)] = [passage.place for passage in found]
        seconds[row, : len(found)] = [-1.0 if passage.seconds is None else passage.seconds for passage in found]
        # A token that begins with the space before a passage belongs to where it ends.
        last = offsets[row, :, 1] - 1
        inside = np.searchsorted([passage.start for passage in found], last, side="right") - 1
        written = offsets[row, :, 1] > offsets[row, :, 0]  # special tokens and padding are no part of the text
        ids[row] = np.where(written, inside, -1)
    return ids, places, seconds


CollapProcessor.register_for_auto_class()
