"""The spans of a profile over time that stand out from it."""

import torch.nn.functional as F
from torch import Tensor


def best_spans(profile: Tensor, min_length: int, max_spans: int = 1, *, flat: float = 0.0) -> list[tuple[int, int]]:
    """Spans [first, last) of steps that stand out most, the best first; at least one, and none overlap.

    1. The level to beat is halfway between the mean of the profile and the highest mean of `min_length` steps in a row:
       half of the peak's height, as widths of peaks are commonly measured.
    2. The best span is the one whose values add up to most above that level, among all of at least `min_length` steps.
    3. The next ones are found in the same way in what is left on either side, as long as they are above the level.

    Nothing but the profile has a say in how long a span is. A profile of no more than `min_length` steps, or one whose
    peak rises no more than `flat` above its mean, is one span.

    Args:
        profile: (T,), higher is better.
        min_length: of a span, in steps.
        max_spans: the most spans that are returned.
        flat: in units of the profile.
    """
    profile = profile.double()
    steps = len(profile)
    if steps <= min_length:
        return [(0, steps)]
    mean = profile.mean()
    peak = profile.unfold(0, min_length, 1).mean(1).max()
    if peak - mean <= flat:
        return [(0, steps)]
    # Prefix sums: the sum over [a, b) is sums[b] - sums[a].
    sums = F.pad((profile - (mean + peak) / 2).cumsum(0), (1, 0))  # (T + 1,)
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
