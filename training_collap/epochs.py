"""The epoch, told to what orders the examples."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class EpochOfSamplers(TrainerCallback):
    """Tells every sampler of the training data its epoch.

    The Trainer does so too, but where a run goes on within an epoch on several processes, accelerate wraps the samplers
    once more than it unwraps them, and the rest of the epoch would come in the order of the first one.
    """

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        sampler = kwargs["train_dataloader"].batch_sampler
        while sampler is not None:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(int(state.epoch or 0))
            sampler = getattr(sampler, "batch_sampler", getattr(sampler, "sampler", None))
