"""How well the passages of a text match the places of a track that they speak of: a third term beside eqs (5) and (6).

The paper's scores compare every moment of a track with one vector of the whole text, and sum: they are blind to the
order of the sections. Here every passage of the text (a section, a line, a sentence) has a vector of its own, `q_p`,
and a place in the text, `c_p` between 0 and 1. It attends over the time steps of the track, which have places `x_t`
between 0 and 1 as well, and is scored by what it attends to:

    a_pt = softmax over t of (tau * cos(u_t, q_p) - k_p * (c_p - x_t)^2)
    r_p = sum over t of a_pt * cos(u_t, q_p)
    r_S = mean over p of r_p

`tau` is learned; `k_p`, how much the place counts, is read from the passage itself: "the outro" means a place, "there
are no drums at all" does not. Where the text tells the seconds that a passage is about, `c_p` is their place in the
track it is compared with; what lies past the end of that is not heard, and its passage counts 0. The track side stays
what it is for the other two terms, so that an index of tracks serves all three.

The text as a whole, `q`, can be one more of its passages, or count for `w` of them. It is about all of the track, so
there is nothing to attend to, and it is held against the mean of the steps, as CLAP does (arXiv 2206.04769):

    r_S = (sum over p of r_p + w * cos(mean of u_t, q)) / (P + w)

What a few words say is mostly true of the whole track, while many tell its moments; and so they weigh here.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .global_score import cosines


def structure_scores(
    audio_features: Tensor,
    lengths: Tensor,
    passage_embeds: Tensor,
    passage_places: Tensor,
    passage_sharpness: Tensor,
    passage_seconds: Tensor | None = None,
    *,
    temperature: float | Tensor,
    text_embeds: Tensor | None = None,
    text_weight: float = 0.0,
    pool: int = 1,
    steps_per_second: float = 1.0,
) -> Tensor:
    """r_S of every track with every text. Time and memory are linear in T.

    Args:
        audio_features: (N, T, D) time steps of the tracks; steps at or past a track's length may hold anything.
        lengths: (N,) whole numbers of valid steps, 1 to T.
        passage_embeds: (M, P, D), q_p.
        passage_places: (M, P), c_p between 0 and 1; below 0 there is no passage.
        passage_sharpness: (M, P), k_p, at least 0.
        passage_seconds: (M, P), time in the track that stands in place of c_p; below 0 where it is not known, the
            default.
        temperature: tau.
        text_embeds: (M, D), q; needed with a weight.
        text_weight: w, the number of passages that the text as a whole counts for.
        pool: time steps that are averaged into one before they are compared; the last ones of a track may be fewer.
        steps_per_second: time steps of a second of audio; matters to `passage_seconds` only.

    Returns:
        (N, M) in float32, or float64 if an input is; 0 for a text without passages and weight.

    Raises:
        ValueError: if shapes do not fit, or texts with a weight are missing.
    """
    _check(audio_features, lengths, passage_embeds, passage_places, passage_sharpness, pool)
    if text_weight and (text_embeds is None or text_embeds.shape != passage_embeds.shape[::2]):
        shape = None if text_embeds is None else tuple(text_embeds.shape)
        raise ValueError(f"text_embeds must be (M, D), {tuple(passage_embeds.shape[::2])}, not {shape}")
    if passage_seconds is not None and passage_seconds.shape != passage_places.shape:
        shapes = f"{tuple(passage_places.shape)}, not {tuple(passage_seconds.shape)}"
        raise ValueError(f"passage_seconds must be as passage_places, {shapes}")
    with torch.autocast(audio_features.device.type, enabled=False):  # reduced precision would blur the softmax
        steps, places = pooled_steps(audio_features, lengths, pool)  # (N, S, D), (N, S)
        passages = F.normalize(passage_embeds.to(steps.dtype), dim=-1).flatten(0, 1)  # (M P, D)
        similarity = (passages @ steps.transpose(1, 2)).unflatten(1, passage_places.shape)  # (N, M, P, S)
        wanted = places_in_tracks(passage_places, passage_seconds, lengths.to(places) / steps_per_second)
        scores = attended_scores(similarity, places, wanted, passage_sharpness[None], temperature)
        if text_embeds is None or not text_weight:
            return scores
        whole = cosines(steps.sum(1), text_embeds.to(steps.dtype))  # (N, M)
        return torch.lerp(whole, scores, passages_share(passage_places, text_weight).to(scores))


def passages_share(passage_places: Tensor, text_weight: float) -> Tensor:
    """P / (P + w), (M,): the share of the passages in r_S, beside the text as a whole.

    Args:
        passage_places: (M, P), below 0 where there is no passage.
        text_weight: w of `structure_scores`.
    """
    dtype = torch.promote_types(passage_places.dtype, torch.float32)
    counts = (passage_places >= 0).sum(-1, dtype=dtype)
    return counts / (counts + text_weight) if text_weight else torch.ones_like(counts)


def reordered_scores(
    audio_features: Tensor,
    lengths: Tensor,
    passage_embeds: Tensor,
    passage_orders: Tensor,
    passage_sharpness: Tensor,
    *,
    temperature: float | Tensor,
    pool: int = 1,
) -> Tensor:
    """r_S of every track with its own text alone, whose passages are put in several orders.

    Seconds that the text may tell are left aside: in its own track they are where the places are.

    Args:
        passage_embeds: (N, P, D); text i belongs to track i.
        passage_orders: (N, P, K), the places of the passages in each of K orders; below 0 there is no passage.
        passage_sharpness: (N, P).
        audio_features, lengths, temperature, pool: as in `structure_scores`.

    Returns:
        (N, K).
    """
    _check(audio_features, lengths, passage_embeds, passage_orders[..., 0], passage_sharpness, pool)
    with torch.autocast(audio_features.device.type, enabled=False):
        steps, places = pooled_steps(audio_features, lengths, pool)
        passages = F.normalize(passage_embeds.to(steps.dtype), dim=-1)  # (N, P, D)
        similarity = (passages @ steps.transpose(1, 2))[:, None]  # (N, 1, P, S)
        orders = passage_orders.transpose(1, 2)  # (N, K, P)
        return attended_scores(similarity, places, orders, passage_sharpness[:, None], temperature)


def places_in_tracks(passage_places: Tensor, passage_seconds: Tensor | None, durations: Tensor) -> Tensor:
    """c_p in every track: (N, M, P), or (1, M, P) where it is the same in all. Past the end of a track it is above 1.

    Args:
        passage_places, passage_seconds: (M, P), as in `structure_scores`.
        durations: (N,) of the tracks, in seconds.
    """
    if passage_seconds is None:
        return passage_places[None]
    return torch.where(passage_seconds >= 0, passage_seconds / durations[:, None, None], passage_places)


class PassageMaps(NamedTuple):
    """Where one track matches the passages of one text."""

    attention: Tensor  # a_pt, (P, S): every row sums to 1
    similarity: Tensor  # cosines of the pooled steps with the passages, (P, S)
    steps: Tensor  # these steps, of unit length, (S, D)


def passage_maps(
    features: Tensor,
    passage_embeds: Tensor,
    passage_places: Tensor,
    passage_sharpness: Tensor,
    *,
    temperature: float | Tensor,
    pool: int = 1,
) -> PassageMaps:
    """What each passage of a text attends to in a track.

    Args:
        features: (T, D) valid time steps of the track.
        passage_embeds: (P, D). passage_places, passage_sharpness: (P,), no place below 0; a sharpness of 0 leaves the
            places out, and what is left is where the passage's words fit.
        temperature, pool: as in `structure_scores`.
    """
    text = passage_embeds[None], passage_places[None], passage_sharpness[None]
    lengths = torch.tensor([len(features)], device=features.device)
    _check(features[None], lengths, *text, pool)
    steps, places = pooled_steps(features[None], lengths, pool)  # (1, S, D), (1, S)
    similarity = F.normalize(passage_embeds.to(steps.dtype), dim=-1) @ steps[0].T  # (P, S)
    attention = passage_attention(similarity[None, None], places, text[1][None], text[2][None], temperature)
    return PassageMaps(attention[0, 0], similarity, steps[0])


def pooled_steps(audio_features: Tensor, lengths: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Means of `pool` time steps at a time, of unit length, and where in the track they lie.

    Returns:
        steps (N, S, D), zeros past the end of a track, and places (N, S) between 0 and 1, below 0 past the end.
    """
    dtype = torch.promote_types(audio_features.dtype, torch.float32)
    steps = -(-audio_features.shape[1] // pool)
    # Track by track: the audio is by far the largest tensor around, and is read once, without a copy.
    pooled = torch.stack(
        [
            F.pad(_sums(track[:length], pool, dtype), (0, 0, 0, steps - -(-length // pool)))
            for track, length in zip(audio_features.unbind(), lengths.tolist(), strict=True)
        ]
    )  # (N, S, D)
    lengths = lengths.to(audio_features.device)
    starts = torch.arange(steps, device=audio_features.device) * pool  # (S,)
    ends = torch.minimum(starts + pool, lengths[:, None])  # (N, S)
    places = (starts + ends).to(dtype) / (2 * lengths[:, None])
    # The mean and the sum have the same direction.
    return F.normalize(pooled, dim=-1), places.masked_fill(starts >= lengths[:, None], -1.0)


def _sums(track: Tensor, pool: int, dtype: torch.dtype) -> Tensor:
    """Sums of `pool` steps of a track (T, D) at a time, of fewer at its end."""
    whole = len(track) // pool * pool
    sums = track[:whole].unflatten(0, (-1, pool)).sum(1, dtype=dtype)
    return sums if whole == len(track) else torch.cat([sums, track[whole:].sum(0, keepdim=True, dtype=dtype)])


def passage_attention(
    similarity: Tensor,
    step_places: Tensor,
    passage_places: Tensor,
    sharpness: Tensor,
    temperature: float | Tensor,
) -> Tensor:
    """a_pt: how each passage spreads over the steps of a track.

    Args:
        similarity: (N, M, P, S) cosines, or (N, 1, P, S).
        step_places: (N, S), below 0 for padding.
        passage_places, sharpness: (N, M, P), or 1 in place of N or M.

    Returns:
        (N, M, P, S), each row summing to 1.
    """
    distance = passage_places[..., None] - step_places[:, None, None]
    logits = temperature * similarity - sharpness[..., None] * distance.square()
    logits = logits.masked_fill((step_places < 0)[:, None, None], torch.finfo(logits.dtype).min)
    return logits.softmax(-1)


def attended_scores(
    similarity: Tensor,
    step_places: Tensor,
    passage_places: Tensor,
    sharpness: Tensor,
    temperature: float | Tensor,
) -> Tensor:
    """r_S (N, M) of similarities that are at hand, with the arguments of `passage_attention`.

    A passage whose place is above 1 has none in that track, and counts 0; one below 0 does not count.
    """
    weights = passage_attention(similarity, step_places, passage_places, sharpness, temperature)
    scores = (weights * similarity).sum(-1)  # (N, M, P)
    heard = (passage_places >= 0) & (passage_places <= 1)
    return scores.masked_fill(~heard, 0.0).sum(-1) / (passage_places >= 0).sum(-1).clamp(min=1)


def _check(
    audio_features: Tensor, lengths: Tensor, embeds: Tensor, places: Tensor, sharpness: Tensor, pool: int
) -> None:
    if audio_features.ndim != 3 or tuple(lengths.shape) != tuple(audio_features.shape[:1]):
        shapes = f"{tuple(audio_features.shape)} and {tuple(lengths.shape)}"
        raise ValueError(f"audio_features must be (N, T, D) and lengths (N,), not {shapes}")
    if embeds.ndim != 3 or embeds.shape[2] != audio_features.shape[2]:
        shapes = f"{tuple(embeds.shape)} beside audio_features {tuple(audio_features.shape)}"
        raise ValueError(f"passage_embeds must be (M, P, D), not {shapes}")
    if tuple(places.shape) != tuple(embeds.shape[:2]) or tuple(sharpness.shape) != tuple(embeds.shape[:2]):
        shapes = f"{tuple(places.shape)} and {tuple(sharpness.shape)}"
        raise ValueError(f"passage_places and passage_sharpness must be {tuple(embeds.shape[:2])}, not {shapes}")
    if pool < 1:
        raise ValueError(f"pool must be at least 1 step, not {pool}")
