"""Examples to model inputs."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature

from dataset_scripts.structure import Line
from processing_collap import CollapProcessor

from .objectives.moments import MOMENT_INPUTS
from .tags import TagVocabulary


@dataclass
class CollapCollator:
    """Batches `CaptionedTracks` examples.

    Audio passes through the processor, the same road as in use. What a store has computed before, features or states
    of the encoders, is padded to the most windows of any track and stays in half precision; the model casts it.

    Where the examples tell when their passages are heard, the batch has `passage_spans` (n, P, 2), shares of a track's
    length, -1 where that is not known.

    With a vocabulary of `tags` it has `passage_tags` (n, P, C) besides, see `TagVocabulary.rows`. With `moments` it has
    what each passage says, read by itself without time and heading: the processor's outputs (n, P, ...) under names
    that begin with `moment_`, without a token where that is not known.

    The batch also carries the examples' `ids`, a list of strings, as its last entry: the model has no such input, but
    whoever finds fault with a batch can name its tracks. Last, because the batch size is read off the first entry.
    """

    processor: CollapProcessor
    tags: TagVocabulary | None = None
    moments: bool = False

    def __call__(self, examples: list[dict[str, Any]]) -> BatchFeature:
        texts = [example["caption"] for example in examples]
        if "features" in examples[0]:
            batch = self.processor(text=texts, return_tensors="pt")
            for name in examples[0]["features"]:
                windows = [example["features"][name] for example in examples]
                batch[name] = pad_sequence(windows, batch_first=True)  # (N, K, ...)
        else:
            batch = self.processor(
                text=texts,
                audio=[example["audio"] for example in examples],
                sampling_rate=self.processor.feature_extractor.sampling_rate,
                return_tensors="pt",
            )
        if "lines" in examples[0] and "passage_places" in batch:
            lines: list[list[Line]] = [example["lines"] for example in examples]
            passages = batch["passage_places"].shape[1]
            batch["passage_spans"] = _spans(lines, passages)
            if self.tags is not None:
                batch["passage_tags"] = self.tags.rows([[line.tags for line in text] for text in lines], passages)
            if self.moments:
                batch.update(self._moments(lines, passages))
        if "id" in examples[0]:
            batch["ids"] = [example["id"] for example in examples]
        return batch

    def _moments(self, lines: list[list[Line]], passages: int) -> dict[str, Tensor]:
        known = torch.zeros(len(lines), passages, dtype=torch.bool)
        captions = []
        for row, text in zip(known, lines, strict=True):
            for passage, line in enumerate(text):
                if line.caption is not None:
                    row[passage] = True
                    captions.append(line.caption)
        # The processor takes no empty list, and what it makes of this is left out.
        inputs = self.processor(text=captions or ["nothing"], return_tensors="pt")
        moments = {}
        for name, values in inputs.items():
            rows = values.new_zeros(len(lines), passages, *values.shape[1:])
            rows[known] = values[: len(captions)]
            moments[MOMENT_INPUTS + name] = rows
        return moments


def _spans(lines: list[list[Line]], passages: int) -> Tensor:
    rows = torch.full((len(lines), passages, 2), -1.0)
    for row, text in zip(rows, lines, strict=True):
        for passage, line in enumerate(text):
            if line.span is not None:
                row[passage] = torch.tensor(line.span)
    return rows
