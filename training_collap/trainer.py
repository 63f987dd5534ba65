"""The Hugging Face Trainer with a contrastive loss and retrieval metrics on whole tracks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from modeling_collap import CollapModel, contrastive_loss

from .grouped_batches import GroupedBatches
from .retrieval_metrics import both_directions
from .tracks import CaptionedTracks

_NEVER_DECAYED = ("logit_scale", "attention_log_temperature")


class _EpochOfTracks(TrainerCallback):
    """Tells the training set its epoch: on several processes the data loader tells its sampler alone."""

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        dataset = kwargs["train_dataloader"].dataset
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(int(state.epoch or 0))


class CollapTrainer(Trainer):
    """`Trainer` for `CollapModel`; pass the processor as `processing_class`, it is saved with every checkpoint.

    `batch_groups`, the group of every training example, keeps a batch within one group; see `GroupedBatches`.

    Evaluation scores every track against every caption of the evaluation set, so that its figures depend neither on the
    batch size nor on the number of processes.
    """

    def __init__(self, *args: Any, batch_groups: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.batch_groups = batch_groups
        self.add_callback(_EpochOfTracks())

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        if self.batch_groups is None:
            return super()._get_train_sampler(train_dataset)
        batch_size = self.args.train_batch_size * self.args.world_size
        return GroupedBatches(self.batch_groups, batch_size, self.args.seed)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        outputs = model(**inputs, return_loss=True)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

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
        """Retrieval metrics in both directions and the loss over the whole evaluation set."""
        tracks: Any = eval_dataset if eval_dataset is not None else self.eval_dataset
        scores = self.score_matrix(tracks)
        model = self._collap_model()
        loss = contrastive_loss(scores * model.logit_factor.detach().cpu(), symmetric=model.config.symmetric_loss)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in both_directions(scores).items()}
        metrics[f"{metric_key_prefix}_loss"] = float(loss)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    @torch.no_grad()
    def score_matrix(self, tracks: CaptionedTracks) -> Tensor:
        """Fused scores of every track (rows) against every caption (columns), (N, N) on the CPU."""
        model = self._collap_model()
        training = model.training
        model.eval()
        processor: Any = self.processing_class
        captions = tracks.captions
        batch_size = self.args.eval_batch_size
        text_embeds = torch.cat(
            [
                model.get_text_features(
                    **processor(text=captions[i : i + batch_size], return_tensors="pt").to(model.device)
                )
                for i in range(0, len(captions), batch_size)
            ]
        )  # (M, D)
        rows = []
        for batch in self.get_eval_dataloader(tracks):
            with self.compute_loss_context_manager():
                features, lengths = model.get_audio_features(**batch)
                fused = model.score(features, lengths, text_embeds).fused  # (batch, M)
            rows.append(self.accelerator.gather_for_metrics(fused.float()).cpu())
        model.train(training)
        return torch.cat(rows)

    def _collap_model(self) -> CollapModel:
        return self.accelerator.unwrap_model(self.model)
