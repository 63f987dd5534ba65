"""`TrainingArguments` with what contrastive training adds."""

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class CollapTrainingArguments(TrainingArguments):
    """Every option of the Hugging Face Trainer, and the gradient cache.

    Raises:
        ValueError: if `cached_batch_chunk` is no positive number.
    """

    cached_batch_chunk: int | None = field(
        default=None,
        metadata={
            "help": "Encode the batch in chunks of this many pairs: memory is that of a chunk, negatives and gradients "
            "are those of the whole batch, for one more forward pass. Off by default."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        chunk = self.cached_batch_chunk
        if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
            raise ValueError(f"cached_batch_chunk is the number of pairs in a chunk, at least 1, not {chunk!r}.")
