"""What is trained: a model and its objective, as one module."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from modeling_collap import CollapConfig, CollapModel, CollapTextFeatures, mean_steps

from .gathering import gather_passages, gather_rows, own_rows
from .objectives import Embeddings, Objective
from .objectives.moments import MOMENT_INPUTS

_TEXT_INPUTS = ("input_ids", "attention_mask", "passage_ids", "passage_places", "passage_seconds")


@dataclass
class TaskOutput(ModelOutput):
    """What a training step returns.

    Args:
        loss: of the whole batch, the same in every process.
        scores: (n, M), fused scores of this process's tracks with the texts of all processes.
    """

    loss: Tensor | None = None
    scores: Tensor | None = None


class TrainingTask(nn.Module):
    """The module that DistributedDataParallel and FSDP wrap, so that the objective's parameters are trained too.

    Every process encodes its own tracks and texts. Text vectors are gathered from all processes, each process scores
    its tracks against all of them, and the rows of scores are gathered in turn: the audio sequences, thousands of
    vectors each and of different lengths, never travel, and no process scores another's tracks.

    `forward` takes one step of that road by name, because only what runs through the wrapper's own `forward` has its
    gradients averaged: "loss" is all of it; "texts", "tracks" and "objective" are its parts, which the gradient cache
    takes one by one.
    """

    accepts_loss_kwargs = False  # the loss is a mean over the batch; the Trainer divides it by accumulation steps

    def __init__(self, model: CollapModel, objective: Objective):
        super().__init__()
        self.model = model
        self.objective = objective

    @property
    def config(self) -> CollapConfig:
        return self.model.config

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        self.model.gradient_checkpointing_enable(**options)

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """The same by the name that transformers 5.23 gives it."""
        self.model.activation_checkpointing_enable(**options)

    def gradient_checkpointing_disable(self) -> None:
        self.model.gradient_checkpointing_disable()

    @property
    def is_gradient_checkpointing(self) -> bool:
        return self.model.is_gradient_checkpointing

    def forward(self, step: str = "loss", **inputs: Any) -> Any:
        steps: dict[str, Callable[..., Any]]
        steps = {"loss": self._loss, "texts": self._texts, "tracks": self._tracks, "objective": self._objective}
        return steps[step](**inputs)

    def _loss(self, **batch: Tensor) -> TaskOutput:
        audio, text = split_inputs(batch)
        texts = gather_all(self._texts(**text))
        tracks = self._tracks(texts, **audio)
        return TaskOutput(loss=self._objective(texts, tracks), scores=tracks["scores"])

    def _texts(self, **text: Tensor) -> Embeddings:
        encoded = self.model.encode_text(**text)
        return {**encoded.present(), **self.objective.text_extras(self.model, text, encoded)}

    def _tracks(self, texts: Embeddings, **audio: Tensor) -> Embeddings:
        features, lengths = self.model.get_audio_features(**audio)  # (n, T, D), (n,)
        encoded = CollapTextFeatures(**{name: texts[name] for name in CollapTextFeatures._fields if name in texts})
        return {
            "scores": self.model.fused_score(features, lengths, encoded),  # (n, M)
            "audio_embeds": mean_steps(features, lengths),  # (n, D)
            **self.objective.track_extras(self.model, audio, features, lengths, texts),
        }

    def _objective(self, texts: Embeddings, tracks: Embeddings) -> Tensor:
        """From the rows of all texts and this process's rows of tracks."""
        return self.objective(self.model, {**texts, **gather_all(tracks)})


def gather_all(rows: Embeddings) -> Embeddings:
    """The rows of all processes."""
    return {
        name: (gather_passages if name.startswith("passage_") else gather_rows)(value) for name, value in rows.items()
    }


def split_inputs(batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A batch of model inputs as those of the audio and those of the text.

    Among those of the audio are the numbers of the tracks' own texts among the texts of all processes, `pairs`.
    """
    text = {name: rows for name, rows in batch.items() if name in _TEXT_INPUTS or name.startswith(MOMENT_INPUTS)}
    audio = {name: rows for name, rows in batch.items() if name not in text}
    return {**audio, "pairs": own_rows(len(batch["input_ids"]), batch["input_ids"].device)}, text


def as_tensors(inputs: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors among a collator's outputs; item ids stay behind."""
    return {name: value for name, value in inputs.items() if torch.is_tensor(value)}
