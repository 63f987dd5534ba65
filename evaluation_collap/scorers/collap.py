"""CoLLAP under evaluation: by its alignment score, and by the cosine of mean vectors."""

import copy
import inspect
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.tokenization_utils_base import LARGE_INTEGER

from modeling_collap import CollapConfig, CollapModel, CollapTextFeatures, global_scores
from processing_collap import CollapProcessor, passages
from training_collap.provenance import extraction_settings, weights_digest

from ..attention_profile import attention_over_time, passage_profile
from .base import Encoded, Scorer, digest

# Fields of `CollapConfig` that say how encodings are scored, and not how they are made.
SCORE_SETTINGS = (
    "seconds_per_kernel",
    "seconds_per_stride",
    "gamma_kernel",
    "gamma_temporal",
    "gamma_structure",
    "whole_text_weight",
    "normalization",
    "attention_temperature",
)
_ABOUT_THE_FILES = ("auto_map", "architectures", "_name_or_path", "transformers_version", "dtype")
# Texts are scored in groups of at most this many similarities with a track (128 MB).
_SIMILARITIES = 2**25


class CollapScorer(Scorer):
    """The fused alignment score of eq (7); its relevance is the temporal attention of eq (4), or, of a model with the
    structure term, the similarity with what `CollapModel.text_vectors` makes of the text.

    Args:
        model: moved to evaluation mode; encodings are made on its device.
        name: as a table shows it; by default "CoLLAP".
    """

    can_locate = True

    def __init__(self, model: CollapModel, processor: CollapProcessor, name: str = "CoLLAP"):
        self.model = self._encoder = model.eval()
        self.processor = processor
        self.name = name
        self.sampling_rate = processor.feature_extractor.sampling_rate

    @classmethod
    def from_pretrained(cls, source: str, *, device: str = "cpu", name: str | None = None) -> Self:
        """The model and processor of a folder or Hub name.

        Raises:
            ValueError: there is no such model, or it is no CoLLAP.
        """
        model: Any
        model, processor = load_collap(source)
        named = {} if name is None else {"name": name}
        return cls(model.to(device), processor, **named)

    def with_settings(self, name: str | None = None, **settings: Any) -> Self:
        """The same encodings, and so the same cache, scored with other values of `SCORE_SETTINGS`.

        Raises:
            ValueError: a setting is unknown, or asks for a term that the model has no weights for.
        """
        if unknown := settings.keys() - set(SCORE_SETTINGS):
            raise ValueError(f"{min(unknown)!r} is no setting of the score; these are {', '.join(SCORE_SETTINGS)}.")
        if settings.get("gamma_structure") and not self._encoder.config.gamma_structure:
            raise ValueError(f"{self.name} was trained without the structure term, which gamma_structure asks for.")
        other = copy.copy(self)
        other.name = self.name if name is None else name
        other.model = copy.copy(self.model)  # shares the weights
        other.model.config = config = copy.deepcopy(self.model.config)
        for setting, value in settings.items():
            setattr(config, setting, value)
        if "attention_temperature" in settings:
            config.learn_attention_temperature = False  # else the learned one would win
        return other

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]
        parts = {
            "weights": self._weights,
            "config": _plain(self._encoder.config.to_dict(), without=_ABOUT_THE_FILES),
            "features": extraction_settings(self.processor.feature_extractor),
            "tokenizer": self.processor.tokenizer.backend_tokenizer.to_str(),
            "text_limit": self._text_limit,
        }
        return digest(parts)

    @cached_property
    def text_fingerprint(self) -> str:  # type: ignore[override]
        # Not of the index: what passages a text has is no matter of its tracks.
        return digest({"passages": inspect.getsource(passages)})

    @property
    @torch.no_grad()
    def settings(self) -> dict[str, Any]:
        config = self.model.config
        return {
            "weights_sha256": self._weights,
            **{name: getattr(config, name) for name in SCORE_SETTINGS},
            "attention_temperature": float(self.model.attention_temperature),
        }

    @property
    def protocol(self) -> dict[str, str]:
        window, tokens = self.processor.feature_extractor.window_seconds, self._text_limit
        limit = f" up to {tokens} tokens, where the text encoder ends" if tokens < LARGE_INTEGER else ""
        return {
            "tracks": f"the whole track, from its first second to its last, as consecutive windows of {window:g} s",
            "texts": "the whole text" + limit,
            "score": self._score_in_words,
        }

    @property
    def _score_in_words(self) -> str:
        config = self.model.config
        terms = []
        if config.weighs_frames:
            terms.append(
                f"the fused alignment score (eq 7), with kernels of {config.seconds_per_kernel:g} s every "
                f"{config.seconds_per_stride:g} s and {config.normalization} normalisation"
            )
        if config.gamma_structure:
            terms.append(f"the structure term, over steps of {config.structure_pool / config.steps_per_second:g} s")
            if config.whole_text_weight:
                terms[-1] += f", with the text as a whole for {config.whole_text_weight:g} of its passages"
        return ", and ".join(terms)

    @torch.inference_mode()
    def encode_track(self, samples: np.ndarray) -> Encoded:
        """`features` (T, D): the fused audio sequence, as long as the track."""
        inputs = self.processor(audio=[samples], sampling_rate=self.sampling_rate, return_tensors="pt")
        features, lengths = self._encoder.get_audio_features(**inputs.to(self._encoder.device))  # (1, T, D), (1,)
        return {"features": features[0, : lengths[0]].float().cpu()}

    @torch.inference_mode()
    def encode_text(self, text: str) -> Encoded:
        """`text_embeds` (D,), and of models with the structure term the passages' tensors; see `CollapTextFeatures`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cut texts: results say how many there are
            inputs = self.processor(text=[text], return_tensors="pt").to(self._encoder.device)
        features = self._encoder.encode_text(**inputs)
        return {name: value[0].float().cpu() for name, value in features.present().items()}

    def is_cut(self, text: str) -> bool:
        return len(self.processor.tokenizer(text, verbose=False)["input_ids"]) > self._text_limit

    @torch.inference_mode()
    def score(self, tracks: Sequence[Encoded], texts: Sequence[Encoded]) -> Tensor:
        """One track at a time, so that no track is padded to the length of another."""
        read = _together(texts)
        return torch.stack([self._score_track(track["features"], read) for track in tracks])  # (N, M)

    @torch.inference_mode()
    def relevance(self, track: Encoded, text: Encoded) -> tuple[Tensor, float]:
        config = self.model.config
        if config.gamma_structure:
            profile = passage_profile(
                track["features"],
                text["passage_embeds"][text["passage_places"] >= 0],
                self.model.text_vectors(_together([text]))[0],
                temperature=float(self.model.structure_temperature),
                pool=config.structure_pool,
            )
            return profile.similarity, config.steps_per_second
        attention = attention_over_time(
            track["features"],
            text["text_embeds"],
            kernel_size=config.kernel_size,
            stride=config.stride,
            attention_temperature=float(self.model.attention_temperature),
        )
        return attention, config.steps_per_second

    def _score_track(self, features: Tensor, texts: CollapTextFeatures) -> Tensor:
        """(M,) scores of a track (T, D)."""
        device, size = self.model.device, max(1, _SIMILARITIES // len(features))
        lengths = torch.tensor([len(features)], device=device)  # (1,)
        features = features[None].to(device)  # (1, T, D)
        groups = [texts.select(slice(i, i + size)).to(device) for i in range(0, len(texts.text_embeds), size)]
        return torch.cat([self.model.fused_score(features, lengths, group)[0] for group in groups]).float().cpu()

    @cached_property
    def _weights(self) -> str:
        return weights_digest(self.model)

    @property
    def _text_limit(self) -> int:
        return self.processor.tokenizer.model_max_length


class MeanPoolingScorer(CollapScorer):
    """The cosine of a track's mean vector with the text: what a global embedding, as CLAP's, sees of these encodings.

    A model that was trained with `objective.global_vector=1` is scored as it was trained. The relevance is the cosine
    of each time step. Encodings are cached together with those of `CollapScorer`.
    """

    def __init__(self, model: CollapModel, processor: CollapProcessor, name: str = "CoLLAP, mean pooling"):
        super().__init__(model, processor, name)

    @property
    def settings(self) -> dict[str, Any]:
        return {"weights_sha256": self._weights}

    @property
    def _score_in_words(self) -> str:
        return "cosine similarity of the text with the mean of all time steps of the track, each of unit length"

    @torch.inference_mode()
    def relevance(self, track: Encoded, text: Encoded) -> tuple[Tensor, float]:
        similarity = F.cosine_similarity(track["features"], text["text_embeds"][None], dim=1)  # (T,)
        return similarity, self.model.config.steps_per_second

    def _score_track(self, features: Tensor, texts: CollapTextFeatures) -> Tensor:
        return global_scores(features[None], torch.tensor([len(features)]), texts.text_embeds)[0]


def load_collap(source: str, revision: str = "main") -> tuple[CollapModel, CollapProcessor]:
    """Model and processor from a folder or the Hub, every weight of the model read from there.

    Args:
        source: the folder, or the Hub name.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        ValueError: there is neither a folder nor a Hub name of a CoLLAP, or it cannot be read.
    """
    path = Path(source).expanduser()
    hub_name = source.count("/") == 1 and not path.is_absolute() and not path.parent.is_dir()
    if not hub_name and not (path / "config.json").is_file():
        raise ValueError(f"there is no model in {source}: the folder is missing or holds no config.json")
    try:
        found = source if hub_name else str(path)
        kind = PreTrainedConfig.get_config_dict(found, revision=revision)[0].get("model_type")
        if kind != CollapConfig.model_type:
            raise ValueError(f"it is of the type {kind!r}, not {CollapConfig.model_type!r}")
        loaded: Any = CollapModel.from_pretrained(found, output_loading_info=True, revision=revision)
        model, info = loaded
        if info["missing_keys"]:
            raise ValueError(f"its weights lack {min(info['missing_keys'])}")
        return model, CollapProcessor.from_pretrained(found, revision=revision)
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"the model {source} cannot be loaded: {error}") from error


def _together(texts: Sequence[Encoded]) -> CollapTextFeatures:
    """Encoded texts one above another."""
    return CollapTextFeatures.cat(
        [CollapTextFeatures(**{name: value[None] for name, value in text.items()}) for text in texts]
    )


def _plain(settings: Any, without: Sequence[str]) -> Any:
    """Settings without some names, at every depth."""
    if not isinstance(settings, dict):
        return settings
    return {name: _plain(value, without) for name, value in settings.items() if name not in without}
