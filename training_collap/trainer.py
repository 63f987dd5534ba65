"""The Hugging Face Trainer with a contrastive loss and retrieval metrics on whole tracks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from modeling_collap import CollapModel, CollapTextFeatures, contrastive_loss, global_scores

from .epochs import EpochTeller
from .gradient_cache import cached_step
from .grouped_batches import GroupedBatches
from .guard import check_finite
from .lora import merged
from .objectives import ContrastiveObjective, Objective
from .retrieval_metrics import both_directions
from .task import TaskOutput, TrainingTask, as_tensors
from .throughput import Throughput
from .tracks import CaptionedTracks

_NEVER_DECAYED = ("logit_scale", "attention_log_temperature", "objective.bias")
_TRAINING_STATE = "training_state.safetensors"


class _AfterOptimizerStep(TrainerCallback):
    """Lets the objective follow the model, as SLAP's copy does."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        task = _unwrapped(kwargs["model"])
        task.objective.after_step(task.model)


class CollapTrainer(Trainer):
    """`Trainer` for `CollapModel`; pass the processor as `processing_class`, it is saved with every checkpoint.

    Every process's batch gives negatives to all. With `cached_batch_chunk` in the arguments the batch is encoded in
    chunks, see `gradient_cache`. A checkpoint is the model as `from_pretrained` reads it, and beside it whatever else
    is being trained.

    Evaluation scores every track against every caption of the evaluation set, so that its figures depend neither on the
    batch size nor on the number of processes.

    Args:
        model: a `CollapModel`.
        objective: what is minimised; the paper's contrastive loss by default.
        batch_groups: group of every training example, keeps a batch within one group; see `GroupedBatches`.
        group_by_length: makes batches of tracks, or crops of them, of like length.
    """

    def __init__(
        self,
        model: CollapModel,
        *args: Any,
        objective: Objective | None = None,
        batch_groups: Sequence[str] | None = None,
        group_by_length: bool = False,
        **kwargs: Any,
    ):
        self.batch_groups, self.group_by_length = batch_groups, group_by_length
        self.throughput = Throughput()
        super().__init__(TrainingTask(model, objective or ContrastiveObjective()), *args, **kwargs)
        self.add_callback(EpochTeller())
        self.add_callback(_AfterOptimizerStep())
        self.add_callback(self.throughput)

    @property
    def task(self) -> TrainingTask:
        """Model and objective, without what wraps them for several processes and for speed."""
        return _unwrapped(self.accelerator.unwrap_model(self.model))

    @property
    def collap_model(self) -> CollapModel:
        """The model itself, without objective and without any wrapper."""
        return self.task.model

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        if self.batch_groups is None and not self.group_by_length:
            return super()._get_train_sampler(train_dataset)
        tracks: Any = train_dataset if train_dataset is not None else self.train_dataset
        lengths = tracks.lengths if self.group_by_length else None
        batch_size = self.args.train_batch_size * self.args.world_size
        return GroupedBatches(self.batch_groups, batch_size, self.args.seed, lengths=lengths)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        with self.throughput.waiting():
            batches, items = super().get_batch_samples(*args, **kwargs)
        self.throughput.count(sum(len(batch["input_ids"]) for batch in batches))
        return batches, items

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds `tracks_per_second` and `data_wait_share` to what is logged of training steps."""
        super().log({**logs, **self.throughput.take(self.accelerator)} if "loss" in logs else logs, start_time)

    def _run_epoch(self, *args: Any, **options: Any) -> None:
        """A run that goes on after its last step is done: the Trainer looks only after a step."""
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*args, **options)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        outputs = model(**as_tensors(inputs))
        self._check_finite(outputs, inputs)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        chunk = getattr(self.args, "cached_batch_chunk", None)  # plain TrainingArguments do, too
        if chunk is None:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        inputs = self._prepare_inputs(inputs)
        steps = self.current_gradient_accumulation_steps
        outputs = cached_step(
            model,
            as_tensors(inputs),
            chunk,
            autocast=self.compute_loss_context_manager,
            no_sync=lambda: self.accelerator.no_sync(model),
            backward=lambda loss: self.accelerator.backward(loss / steps),
        )
        self._check_finite(outputs, inputs)
        return outputs["loss"] / steps

    def _check_finite(self, outputs: TaskOutput, inputs: dict[str, Any]) -> None:
        if outputs.loss is not None and "ids" in inputs:
            check_finite(outputs.loss, outputs.scores, inputs["ids"], self.state.global_step + 1)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        return [name for name in super().get_decay_parameter_names(model) if not name.endswith(_NEVER_DECAYED)]

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """All tracks in order; the short last batch, which training drops, counts here."""
        tracks: Any = eval_dataset if eval_dataset is not None else self.eval_dataset
        loader: DataLoader = DataLoader(
            tracks,
            batch_size=self.args.eval_batch_size,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Retrieval metrics in both directions and the loss over the whole evaluation set.

        `global_` marks those of the mean vectors, which say how good the candidates of a search in two stages are.
        """
        tracks: Any = eval_dataset if eval_dataset is not None else self.eval_dataset
        alignment, mean_vectors = self.score_matrices(tracks)
        model = self.collap_model
        loss = contrastive_loss(alignment * model.logit_factor.detach().cpu(), symmetric=model.config.symmetric_loss)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in both_directions(alignment).items()}
        metrics[f"{metric_key_prefix}_loss"] = float(loss)
        for name, value in both_directions(mean_vectors).items():
            metrics[f"{metric_key_prefix}_global_{name}"] = value
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def score_matrix(self, tracks: CaptionedTracks) -> Tensor:
        """Fused scores of every track (rows) against every caption (columns), (N, N) on the CPU."""
        return self.score_matrices(tracks)[0]

    @torch.no_grad()
    def score_matrices(self, tracks: CaptionedTracks) -> tuple[Tensor, Tensor]:
        """Fused scores, and cosines of the tracks' mean vectors, with every caption: each (N, N) on the CPU."""
        model = self.collap_model
        training = model.training
        model.eval()
        processor: Any = self.processing_class
        captions = tracks.captions
        batch_size = self.args.eval_batch_size
        texts = CollapTextFeatures.cat(
            [
                model.encode_text(**processor(text=captions[i : i + batch_size], return_tensors="pt").to(model.device))
                for i in range(0, len(captions), batch_size)
            ]
        )
        rows: tuple[list[Tensor], list[Tensor]] = ([], [])
        for batch in self.get_eval_dataloader(tracks):
            with self.compute_loss_context_manager():
                features, lengths = model.get_audio_features(**as_tensors(batch))
                fused = model.fused_score(features, lengths, texts)  # (batch, M)
            cosines = global_scores(features, lengths, texts.text_embeds)  # (batch, M)
            for kept, scores in zip(rows, (fused.float(), cosines), strict=True):
                kept.append(self.accelerator.gather_for_metrics(scores).cpu())
        model.train(training)
        return torch.cat(rows[0]), torch.cat(rows[1])

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Writes the model as `from_pretrained` reads it, the processor, and what else is being trained."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        task = self.task
        state = task.state_dict() if state_dict is None else state_dict
        weights = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
        plain = merged(task.model)
        if len(weights) < len(state) or plain is not task.model:
            save_file(state, folder / _TRAINING_STATE)
        plain.save_pretrained(folder, state_dict=weights if plain is task.model else None)
        if self.processing_class is not None:
            self.processing_class.save_pretrained(folder)
        torch.save(self.args, folder / "training_args.bin")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._load_task(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        self._load_task(Path(self.state.best_model_checkpoint or ""))

    def _load_task(self, folder: Path) -> None:
        """Weights of a checkpoint that `_save` wrote."""
        task = self.task
        if (folder / _TRAINING_STATE).is_file():
            task.load_state_dict(load_file(folder / _TRAINING_STATE))
        else:
            task.model.load_state_dict(type(task.model).from_pretrained(folder).state_dict())


def _unwrapped(module: Any) -> TrainingTask:
    """The task under DistributedDataParallel and under `torch.compile`."""
    while not isinstance(module, TrainingTask):
        module = module.module if hasattr(module, "module") else module._orig_mod
    return module
