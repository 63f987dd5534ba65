"""Where in a track a text holds: the temporal attention over the track's seconds, and the spans that match best."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from modeling_collap import attention_maps

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
        attention: (T,) temporal attention (eq 4) at each time step, relative to an even one: 1 is even, 2 twice that.
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
    if max_spans < 1:
        raise ValueError(f"max_spans must be at least 1, not {max_spans}")
    features, text_embed = features.float(), text_embed.float()
    attention = _attention_over_time(features, text_embed, kernel_size, stride, attention_temperature)
    similarity = F.cosine_similarity(features, text_embed[None], dim=1)  # (T,)
    end = len(similarity) / steps_per_second if duration is None else duration
    spans = tuple(
        Span(
            min(first / steps_per_second, end), min(last / steps_per_second, end), float(similarity[first:last].mean())
        )
        for first, last in _best_spans(similarity.double(), kernel_size, max_spans)
    )
    return Location(spans, attention, similarity, steps_per_second)


def _attention_over_time(
    features: Tensor, text_embed: Tensor, kernel_size: int, stride: int, temperature: float
) -> Tensor:
    """(T,): the temporal attention of every entry (v, h), averaged over the entries that lie at step v * S + h."""
    maps = attention_maps(
        features, text_embed, kernel_size=kernel_size, stride=stride, attention_temperature=temperature
    )
    frames, positions = maps.temporal.shape
    steps = torch.arange(frames)[:, None] * stride + torch.arange(positions)  # (W, H)
    total, count = torch.zeros(2, len(features))
    total.index_add_(0, steps.flatten(), maps.temporal.float().flatten())
    count.index_add_(0, steps.flatten(), torch.ones(steps.numel()))
    in_frame = torch.arange(len(features)).where(count > 0, 0).cummax(0).values  # (T,)
    return (frames * total / count)[in_frame]


def _best_spans(similarity: Tensor, min_length: int, max_spans: int) -> list[tuple[int, int]]:
    """Spans [first, last) of steps by the rule of `locate`, the one with the largest sum first."""
    steps = len(similarity)
    if steps <= min_length:
        return [(0, steps)]
    mean = similarity.mean()
    peak = similarity.unfold(0, min_length, 1).mean(1).max()
    if peak - mean <= _FLAT:
        return [(0, steps)]
    # Prefix sums: the sum over [a, b) is sums[b] - sums[a].
    sums = F.pad((similarity - (mean + peak) / 2).cumsum(0), (1, 0))  # (T + 1,)
    found: list[tuple[int, int]] = []
    gaps = [(0, steps)]
    while len(found) < max_spans:
        candidates = [(_largest_sum(sums[a : b + 1], min_length), a, b) for a, b in gaps if b - a >= min_length]
        best = max(candidates, default=None)
        if best is None or best[0][0] <= 0:
            break
        (_, first, last), a, b = best
        found.append((a + first, a + last))
        gaps.remove((a, b))
        gaps += [(a, a + first), (a + last, b)]
    return found


def _largest_sum(sums: Tensor, min_length: int) -> tuple[float, int, int]:
    """The span [first, last) of at least `min_length` steps with the largest sum, from prefix sums, in one pass."""
    lowest, where = sums[:-min_length].cummin(0)  # best start for every end
    total, at = (sums[min_length:] - lowest).max(0)
    return float(total), int(where[at]), int(at) + min_length
