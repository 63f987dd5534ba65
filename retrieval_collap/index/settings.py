"""What an index was made with, so that it is never searched with something else."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from evaluation_collap.scorers.collap import CollapScorer
from modeling_collap import CollapModel
from processing_collap import CollapProcessor

from .compression import SequenceCodec

_BITS = (4, 8)
# Of rows and records. An index of another one is not read.
LAYOUT = 2


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The model of an index and how its sequences are compressed.

    Attributes:
        model: the model's folder or Hub name, as it was given.
        fingerprint: SHA-256 over the model's weights and configuration, the feature extraction and the tokenizer.
        dim: D, the size of an embedding.
        model_steps_per_second: time steps of the model's fused sequence in a second of audio.
        pool: how many of the model's time steps one stored step is the mean of.
        bits: of each stored number, 8 or 4.
        normalize_first: whether time steps are scaled to unit length before they are averaged, see `SequenceCodec`.

    Raises:
        ValueError: a number is out of range.
    """

    model: str
    fingerprint: str
    dim: int
    model_steps_per_second: float
    pool: int
    bits: int = 8
    normalize_first: bool = True

    def __post_init__(self) -> None:
        if self.dim < 1 or self.pool < 1 or not self.model_steps_per_second > 0:
            raise ValueError(
                f"an index needs a positive dim, pool and model_steps_per_second, not {self.dim}, {self.pool} and "
                f"{self.model_steps_per_second}"
            )
        if self.bits not in _BITS:
            raise ValueError(f"bits must be 4 or 8, not {self.bits}")

    @classmethod
    def for_model(
        cls,
        model: CollapModel,
        processor: CollapProcessor,
        *,
        name: str | None = None,
        seconds_per_step: float = 1.0,
        bits: int = 8,
    ) -> Self:
        """Settings of an index that this model makes.

        Args:
            name: of the model, to load it by; by default where it was loaded from.
            seconds_per_step: the length of a stored step; rounded to a whole number of the model's steps, at least one.

        Raises:
            ValueError: a stored step would be longer than the model's stride, or `bits` is neither 4 nor 8.
        """
        if not seconds_per_step > 0:
            raise ValueError(f"seconds_per_step must be positive, not {seconds_per_step}")
        pool = max(round(model.config.steps_per_second * seconds_per_step), 1)
        model.framing(pool)  # refuses steps that this model could not score
        return cls(
            model=(model.name_or_path or "") if name is None else name,
            fingerprint=CollapScorer(model, processor).fingerprint,
            dim=model.config.projection_dim,
            model_steps_per_second=model.config.steps_per_second,
            pool=pool,
            bits=bits,
            normalize_first=model.config.weighs_frames,
        )

    def codec(self) -> SequenceCodec:
        """Of the sequences."""
        return SequenceCodec(self.dim, self.pool, self.bits, normalize_first=self.normalize_first)

    @property
    def steps_per_second(self) -> float:
        """Stored steps in a second of audio."""
        return self.model_steps_per_second / self.pool

    def check(self, model: CollapModel, processor: CollapProcessor) -> None:
        """
        Raises:
            ValueError: the index was made with another model, or with other settings of it.
        """
        fingerprint = CollapScorer(model, processor).fingerprint
        if fingerprint != self.fingerprint:
            given = model.name_or_path or "the model given"
            raise ValueError(
                f"this index was made with the model {self.model} of fingerprint {self.fingerprint[:12]}, and {given} "
                f"has {fingerprint[:12]}: use the same model, or index the tracks again"
            )

    def to_json(self) -> str:
        return json.dumps({"layout": LAYOUT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Raises:
            ValueError: the text is no settings of an index, or of one of another layout.
        """
        try:
            fields = json.loads(text)
            layout = fields.pop("layout", None)
            settings = cls(**fields)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"these are no settings of a track index: {error}") from error
        if layout != LAYOUT:
            raise ValueError("this index was written by another version of CoLLAP: index the tracks again")
        return settings
