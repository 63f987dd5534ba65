"""MusCALL under evaluation: twenty-second windows over the whole track, their vectors averaged."""

import warnings
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from processing_collap import CollapProcessor
from training_collap.provenance import extraction_settings

from ..muscall import MuscallConfig, MuscallModel
from .base import Encoded, digest
from .windows import WindowScorer


class MuscallScorer(WindowScorer):
    """A trained `MuscallModel`. Nothing is random: the paper's crop of 20 s becomes all windows of the track.

    Args:
        model: moved to evaluation mode; encodings are made on its device.
        processor: the one it was trained with.
        name: as a table shows it.
    """

    def __init__(self, model: MuscallModel, processor: CollapProcessor, name: str = "MusCALL"):
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.sampling_rate = processor.feature_extractor.sampling_rate
        self.window_seconds = model.config.window_seconds
        self.text_limit = processor.tokenizer.model_max_length

    @classmethod
    def from_pretrained(
        cls, source: str, *, revision: str = "main", device: str = "cpu", name: str = "MusCALL"
    ) -> "MuscallScorer":
        """The model and processor that training saved in a folder, or of a Hub name.

        Raises:
            OSError: there is no such model, or it cannot be reached.
            ValueError: it is another model than MusCALL.
        """
        model_type = MuscallConfig.get_config_dict(source, revision=revision)[0].get("model_type")
        if model_type != "muscall":
            raise ValueError(f"{source} holds a model of type {model_type!r}, not 'muscall'.")
        model: Any = MuscallModel.from_pretrained(source, revision=revision, dtype=torch.float32)
        processor = CollapProcessor.from_pretrained(source, revision=revision)
        return cls(model.to(device), processor, name)

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]
        parts = {
            "weights": self._weights,
            "features": extraction_settings(self.processor.feature_extractor),
            "tokenizer": self.processor.tokenizer.backend_tokenizer.to_str(),
            "text_limit": self.text_limit,
            "pooling_heads": self.model.config.pooling_heads,
        }
        return digest(parts)

    @property
    def protocol(self) -> dict[str, str]:
        return {
            "tracks": (
                "the whole track, from its first second to its last, as consecutive windows of "
                f"{self.window_seconds:g} s at {self.sampling_rate} Hz; no random crop. Their unit "
                "vectors are averaged, weighted by the seconds they hold, and the mean has unit length"
            ),
            "texts": f"the whole text up to {self.text_limit} tokens, where the text encoder ends",
            "score": "cosine similarity of track and text",
        }

    @torch.inference_mode()
    def encode_track(self, samples: np.ndarray) -> Encoded:
        """`windows` (T, D), one unit vector each, and `embeds` (D,), their mean in time at unit length."""
        inputs = self.processor(audio=[samples], sampling_rate=self.sampling_rate, return_tensors="pt")
        features, _ = self.model.get_audio_features(**inputs.to(self.model.device))  # (1, T, D)
        windows = features[0].float().cpu()
        return {"windows": F.normalize(windows, dim=-1), "embeds": F.normalize(windows.sum(0), dim=-1)}

    @torch.inference_mode()
    def encode_text(self, text: str) -> Encoded:
        """`embeds` (D,), of unit length."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cut texts: results say how many there are
            inputs = self.processor(text=[text], return_tensors="pt").to(self.model.device)
        return {"embeds": F.normalize(self.model.get_text_features(**inputs)[0].float(), dim=-1).cpu()}
