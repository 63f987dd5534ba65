"""LAION-CLAP under evaluation: ten-second windows over the whole track, their vectors averaged."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import ClapModel, ClapProcessor

from .base import Encoded, digest
from .windows import WindowScorer

_WINDOWS_PER_BATCH = 16
# Shorter than one hop of the spectrogram, a track has nothing to hear.
_MIN_SECONDS = 0.01


class ClapScorer(WindowScorer):
    """A `ClapModel` (arXiv 2211.06687), made deterministic and attentive to the whole track.

    CLAP hears ten seconds. Of longer audio its feature extractor takes one random crop (`rand_trunc`) or three
    (`fusion`), and where nothing is longer, `fusion` marks a random item as if it were. Here the track is cut into
    consecutive windows of exactly that length, so that nothing is left to chance; the last one is repeated and padded
    by the model's own rule, as short clips were in its training. A window counts by the seconds that it holds: the
    30.01 s of many "30 s" clips would else give their last hundredth as much say as ten seconds.

    Args:
        model: moved to evaluation mode; encodings are made on its device.
        processor: the model's own.
        name: as a table shows it.
    """

    def __init__(self, model: ClapModel, processor: ClapProcessor, name: str = "LAION-CLAP"):
        self.model = model.eval()
        self.processor = processor
        self.name = name
        extractor = processor.feature_extractor
        self.sampling_rate = extractor.sampling_rate
        self.window_samples = extractor.nb_max_samples
        self.window_seconds = self.window_samples / self.sampling_rate

    @classmethod
    def from_pretrained(
        cls, source: str, *, revision: str = "main", device: str = "cpu", name: str | None = None
    ) -> "ClapScorer":
        """The model and processor of a folder or Hub name, such as `laion/clap-htsat-unfused`.

        Raises:
            OSError: there is no such model, or it cannot be reached.
        """
        model: Any = ClapModel.from_pretrained(source, revision=revision, dtype=torch.float32)
        processor = ClapProcessor.from_pretrained(source, revision=revision)
        return cls(model.to(device), processor, name or f"CLAP ({source.rstrip('/').rpartition('/')[2]})")

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]
        parts = {
            "weights": self._weights,
            "features": self.processor.feature_extractor.to_dict(),
            "tokenizer": self.processor.tokenizer.backend_tokenizer.to_str(),
            "text_limit": self.text_limit,
            "windows": "consecutive, weighted by seconds",
        }
        return digest(parts)

    @property
    def protocol(self) -> dict[str, str]:
        extractor = self.processor.feature_extractor
        return {
            "tracks": (
                "the whole track, from its first second to its last, as consecutive windows of "
                f"{self.window_seconds:g} s at {self.sampling_rate} Hz, the last one filled up by "
                f"{extractor.padding!r}; "
                "no random crop. Their unit vectors are averaged, weighted by the seconds they hold, and the mean has "
                "unit length"
            ),
            "texts": f"the whole text up to {self.text_limit} tokens, where the text encoder ends",
            "score": "cosine similarity of track and text",
        }

    @property
    def text_limit(self) -> int:  # type: ignore[override]
        """Tokens that are read of a text, special ones included."""
        config = self.model.config.text_config
        # As in RoBERTa, positions count from the one after the padding token's id.
        return min(self.processor.tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1)

    @torch.inference_mode()
    def encode_track(self, samples: np.ndarray) -> Encoded:
        """`windows` (T, D), one unit vector each, and `embeds` (D,), their mean in time at unit length."""
        if len(samples) < _MIN_SECONDS * self.sampling_rate:
            raise ValueError(f"the track has {len(samples)} samples; {self.name} needs at least {_MIN_SECONDS:g} s.")
        windows = [samples[i : i + self.window_samples] for i in range(0, len(samples), self.window_samples)]
        batches = [windows[i : i + _WINDOWS_PER_BATCH] for i in range(0, len(windows), _WINDOWS_PER_BATCH)]
        units = torch.cat([self._encode_windows(batch) for batch in batches])  # (T, D)
        seconds = torch.tensor([len(window) / self.sampling_rate for window in windows])  # (T,)
        return {"windows": units, "embeds": F.normalize(seconds @ units, dim=-1)}

    @torch.inference_mode()
    def encode_text(self, text: str) -> Encoded:
        """`embeds` (D,), of unit length."""
        if not text.strip():
            raise ValueError("the text is empty.")
        inputs = self.processor.tokenizer(text, truncation=True, max_length=self.text_limit, return_tensors="pt")
        output: Any = self.model.get_text_features(
            **{name: inputs[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
        )
        return {"embeds": F.normalize(output.pooler_output[0].float(), dim=-1).cpu()}

    def _encode_windows(self, windows: Sequence[np.ndarray]) -> Tensor:
        """Unit vectors (K, D) of windows that are no longer than the model hears."""
        inputs = self.processor.feature_extractor(
            [np.asarray(window, np.float32) for window in windows],
            sampling_rate=self.sampling_rate,
            return_tensors="pt",
        )
        mels = inputs["input_features"].to(self.model.device, self.model.dtype)  # (K, 1 or 4, frames, mels)
        # What the extractor says here is drawn at random for models with fusion; no window is longer than they hear.
        longer = torch.zeros(len(windows), 1, dtype=torch.bool, device=self.model.device)
        output: Any = self.model.get_audio_features(input_features=mels, is_longer=longer)
        return F.normalize(output.pooler_output.float(), dim=-1).cpu()
