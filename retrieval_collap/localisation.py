"""Where in a track a text holds: the temporal attention over the track's seconds, and the spans that match best."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation_collap.attention_profile import Profile, attention_over_time, passage_profile
from evaluation_collap.spans import best_spans
from modeling_collap import CollapModel, CollapTextFeatures

# A track whose best kernel is no more than this above its mean similarity (a cosine) matches alike everywhere.
_FLAT = 1e-5


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds `start` to `end` of a track, and the mean cosine with the text over them."""

    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class Location:
    """How one track matches one text over time.

    Args:
        spans: where the text holds, best first; at least one.
        attention: (T,) temporal attention (eq 4, or that of the passages) at each time step, relative to an even one: 1
            is even, 2 twice that.
            Steps that lie in no frame repeat the one before.
        similarity: (T,) cosine of each time step with the text.
        steps_per_second: step i covers the seconds from `i / steps_per_second` on.
    """

    spans: tuple[Span, ...]
    attention: Tensor
    similarity: Tensor
    steps_per_second: float

    @property
    def best(self) -> Span:
        return self.spans[0]


def locate(
    features: Tensor,
    text_embed: Tensor,
    *,
    kernel_size: int,
    stride: int,
    steps_per_second: float,
    attention_temperature: float = 1.0,
    duration: float | None = None,
    max_spans: int = 3,
) -> Location:
    """Find the spans of one track that match a text, and its attention profile.

    The spans come in three steps:

    1. The level to beat is halfway between the track's mean similarity and that of its best kernel: half of the peak's
       height, as widths of peaks are commonly measured.
    2. The best span is the one whose similarity adds up to most above that level, among all of at least one kernel.
    3. The next ones are found in the same way in what is left on either side, as long as they are above the level.

    A track no longer than one kernel, or one that matches alike everywhere, is one span.

    Args:
        features: (T, D) valid time steps of the track. text_embed: (D,).
        kernel_size, stride: H and S of eq (1), in time steps.
        steps_per_second: time steps a second.
        attention_temperature: as in `modeling_collap.alignment_scores`.
        duration: of the track in seconds, which no span exceeds; by default that of its time steps.
        max_spans: the most spans that are returned.

    Raises:
        ValueError: if shapes or options do not fit.
    """
    features, text_embed = features.float(), text_embed.float()
    attention = attention_over_time(
        features,
        text_embed,
        kernel_size=kernel_size,
        stride=stride,
        attention_temperature=attention_temperature,
    )
    similarity = F.cosine_similarity(features, text_embed[None], dim=1)  # (T,)
    return _location(Profile(attention, similarity), kernel_size, steps_per_second, duration, max_spans)


def locate_passages(
    features: Tensor,
    passage_embeds: Tensor,
    text_vector: Tensor,
    *,
    kernel_size: int,
    steps_per_second: float,
    temperature: float,
    pool: int,
    duration: float | None = None,
    max_spans: int = 3,
) -> Location:
    """`locate` for a text with passages: see `passage_profile` for attention and similarity.

    Args:
        features: (T, D) valid time steps of the track. passage_embeds: (P, D). text_vector: (D,).
        kernel_size: least length of a span, in time steps.
        temperature, pool: as in `modeling_collap.structure_scores`.
        steps_per_second, duration, max_spans: as in `locate`.
    """
    profile = passage_profile(features.float(), passage_embeds.float(), text_vector, temperature=temperature, pool=pool)
    return _location(profile, kernel_size, steps_per_second, duration, max_spans)


@torch.inference_mode()
def locate_text(
    model: CollapModel,
    features: Tensor,
    text: CollapTextFeatures,
    *,
    duration: float,
    max_spans: int,
    pool: int = 1,
) -> Location:
    """Where in a track a text holds by a model's own settings: `locate`, or `locate_passages` where it scores passages.

    Args:
        features: (T, D) valid time steps of the track, each of which stands for `pool` of the model's.
        text: one encoded text.
        duration, max_spans: as in `locate`.
    """
    framing = model.framing(pool)
    spans: dict[str, Any] = {
        "kernel_size": framing.kernel_size,
        "steps_per_second": model.config.steps_per_second / pool,
        "duration": duration,
        "max_spans": max_spans,
    }
    if text.passage_embeds is not None and text.passage_places is not None:
        return locate_passages(
            features,
            text.passage_embeds[text.passage_places >= 0],  # (P, D)
            model.text_vectors(text)[0],
            temperature=float(model.structure_temperature),
            pool=framing.structure_pool,
            **spans,
        )
    return locate(
        features,
        text.text_embeds[0],
        stride=framing.stride,
        attention_temperature=float(model.attention_temperature),
        **spans,
    )


def _location(
    profile: Profile, kernel_size: int, steps_per_second: float, duration: float | None, max_spans: int
) -> Location:
    if max_spans < 1:
        raise ValueError(f"max_spans must be at least 1, not {max_spans}")
    attention, similarity = profile
    end = len(similarity) / steps_per_second if duration is None else duration
    spans = tuple(
        Span(
            min(first / steps_per_second, end), min(last / steps_per_second, end), float(similarity[first:last].mean())
        )
        for first, last in best_spans(similarity, kernel_size, max_spans, flat=_FLAT)
    )
    return Location(spans, attention, similarity, steps_per_second)
