"""Gradients of one optimizer step of the trainer, in one process or several.

As a script, `gradients.py OUTPUT`, it is what `accelerate launch` starts in every process of a test.
"""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import tiny
import torch
from torch import Tensor
from torch.distributed.fsdp import fully_shard
from transformers import TrainerCallback

from training_collap import CaptionedTracks, CollapCollator, CollapTrainer
from training_collap.arguments import CollapTrainingArguments
from training_collap.gradient_cache import cached_step
from training_collap.objectives import ObjectiveSection, build_objective
from training_collap.objectives.sigmoid import SigmoidObjective
from training_collap.objectives.tags import TagObjective
from training_collap.tags import TagVocabulary
from training_collap.task import TrainingTask, as_tensors

PROCESSES = 2
# Batch sizes are those of all processes together. Seven songs in batches of four: three are left over and dropped.
CASES: dict[str, dict[str, Any]] = {
    "plain": {"batch": 4, "songs": 7},
    "cached": {"batch": 4, "songs": 7, "cached_batch_chunk": 1},
    "accumulated": {"batch": 2, "songs": 8, "gradient_accumulation_steps": 2},
    "cached and accumulated": {"batch": 4, "songs": 8, "gradient_accumulation_steps": 2, "cached_batch_chunk": 1},
    "sigmoid, cached": {"batch": 4, "songs": 4, "objective": {"name": "sigmoid"}, "cached_batch_chunk": 1},
    "weighted": {"batch": 4, "songs": 4, "objective": {"content_weighting": 0.1}},
    "sections": {
        "batch": 4,
        "songs": 4,
        "objective": {"sections": 0.3},
        "model_options": {"gamma_structure": 1.0},
        "cached_batch_chunk": 1,
    },
    "tags": {
        "batch": 4,
        "songs": 4,
        "objective": {"tags": 0.5},
        "model_options": {"gamma_structure": 1.0},
        "cached_batch_chunk": 1,
    },
    "moments": {
        "batch": 4,
        "songs": 4,
        "objective": {"moments": 0.5},
        "model_options": {"gamma_structure": 1.0, "whole_text_weight": 1.0},
        "cached_batch_chunk": 1,
    },
    "slap": {"batch": 4, "songs": 4, "objective": {"name": "slap"}},
}


class _Gradients(TrainerCallback):
    """Copies of all gradients, before the first step of the optimizer uses them."""

    def __init__(self) -> None:
        self.gradients: dict[str, Tensor] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        parameters = kwargs["model"].named_parameters()
        self.gradients = {
            name.removeprefix("module."): parameter.grad.clone()
            for name, parameter in parameters
            if parameter.grad is not None
        }


def first_step(
    folder: Path,
    *,
    batch: int,
    songs: int,
    processes: int = 1,
    objective: dict[str, Any] | None = None,
    dropout: float = 0.0,
    model_options: dict[str, Any] | None = None,
    **arguments: Any,
) -> tuple[dict[str, Tensor], float, int]:
    """Gradients by parameter, logged loss, and optimizer steps of an epoch."""
    text = tiny.text_config("gpt2", resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout)
    model = tiny.model(
        text_config=text, learn_attention_temperature=True, attention_temperature=3.0, **(model_options or {})
    )
    torch.manual_seed(1)
    section, rows = ObjectiveSection(**(objective or {})), tiny.rows(songs)
    tags = TagVocabulary.of(rows, least=1) if section.tags else None
    loss = build_objective(section, model, None if tags is None else tags.shares)
    if isinstance(loss, TagObjective):  # zeros, as it starts, would hide the gradient of what is behind
        torch.nn.init.normal_(loss.head.weight)
    processor, recorder = tiny.processor(), _Gradients()
    options = tiny.training_options(
        folder,
        per_device_train_batch_size=batch // processes,
        num_train_epochs=1,
        learning_rate=1e-9,
        max_grad_norm=0,
        train_sampling_strategy="sequential",
        logging_steps=1,
        ddp_find_unused_parameters=True,
        ddp_backend="gloo" if processes > 1 else None,
        **arguments,
    )
    trainer = CollapTrainer(
        model=model,
        objective=loss,
        args=CollapTrainingArguments(**options),
        processing_class=processor,
        data_collator=CollapCollator(processor, tags, moments=section.moments > 0),
        train_dataset=CaptionedTracks(rows, window_seconds=tiny.WINDOW_SECONDS),
        callbacks=[recorder],
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return recorder.gradients, losses[0], trainer.state.global_step


def sharded_gradients(chunk: int | None) -> tuple[dict[str, Tensor], float]:
    """Gradients and loss of four songs with the task sharded by FSDP as one unit, in whole tensors.

    accelerate starts FSDP on accelerators only, so that the trainer's own road to it cannot be taken on a CPU.
    """
    task = TrainingTask(tiny.model(text_config=_without_dropout()), SigmoidObjective()).train()
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (PROCESSES,))
    fully_shard(task, mesh=mesh)
    batch = four_songs(torch.distributed.get_rank())
    if chunk is None:
        loss = task(**batch).loss
        loss.backward()
    else:
        loss = cached_step(task, batch, chunk, autocast=nullcontext, no_sync=nullcontext).loss
    gradients = {name: p.grad.full_tensor() for name, p in task.named_parameters() if p.grad is not None}
    return gradients, loss.item()


def four_songs(rank: int | None = None) -> dict[str, Tensor]:
    """The inputs of all four songs, or of the two of one process."""
    tracks = CaptionedTracks(tiny.rows(4), window_seconds=tiny.WINDOW_SECONDS)
    chosen = range(4) if rank is None else range(2 * rank, 2 * rank + 2)
    return as_tensors(CollapCollator(tiny.processor())([tracks[i] for i in chosen]))


def whole_gradients() -> tuple[dict[str, Tensor], float]:
    """What `sharded_gradients` must give, in one process."""
    task = TrainingTask(tiny.model(text_config=_without_dropout()), SigmoidObjective()).train()
    loss = task(**four_songs()).loss
    loss.backward()
    return {name: p.grad for name, p in task.named_parameters() if p.grad is not None}, loss.item()


def _without_dropout() -> dict[str, Any]:
    return tiny.text_config("gpt2", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)


if __name__ == "__main__":
    output = Path(sys.argv[1])
    results: dict[str, Any]
    results = {name: first_step(output / "run", processes=PROCESSES, **case) for name, case in CASES.items()}
    results["sharded"], results["sharded, cached"] = sharded_gradients(None), sharded_gradients(1)
    if torch.distributed.get_rank() == 0:
        torch.save(results, output / "results.pt")
    torch.distributed.barrier()
    # gloo's threads sometimes abort a process while it takes its groups down; all that counts is on disk by now.
    os._exit(0)
