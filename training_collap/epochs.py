"""The epoch, told to what chooses and orders the examples."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class EpochTeller(TrainerCallback):
    """Tells the training set and every sampler of it their epoch.

    The Trainer leaves that to the data loader, which on several processes tells its sampler and not the set. And where
    a run goes on within an epoch on several processes, accelerate wraps the samplers once more than it unwraps them, so
    that the rest of the epoch would come in the order of the first one.
    """

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        loader, epoch = kwargs["train_dataloader"], int(state.epoch or 0)
        sampler = loader.batch_sampler
        listeners = [loader.dataset]
        while sampler is not None:
            listeners.append(sampler)
            sampler = getattr(sampler, "batch_sampler", getattr(sampler, "sampler", None))
        for listener in listeners:
            if hasattr(listener, "set_epoch"):
                listener.set_epoch(epoch)
