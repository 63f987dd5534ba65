"""Examples to model inputs."""

from dataclasses import dataclass
from typing import Any

from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature

from processing_collap import CollapProcessor


@dataclass
class CollapCollator:
    """Batches `CaptionedTracks` examples; audio passes through the processor, the same road as in use."""

    processor: CollapProcessor

    def __call__(self, examples: list[dict[str, Any]]) -> BatchFeature:
        texts = [example["caption"] for example in examples]
        if "features" not in examples[0]:
            return self.processor(
                text=texts,
                audio=[example["audio"] for example in examples],
                sampling_rate=self.processor.feature_extractor.sampling_rate,
                return_tensors="pt",
            )
        batch = self.processor(text=texts, return_tensors="pt")
        for name in examples[0]["features"]:
            windows = pad_sequence([example["features"][name] for example in examples], batch_first=True)  # (N, K, ...)
            batch[name] = windows.float() if windows.is_floating_point() else windows
        return batch
