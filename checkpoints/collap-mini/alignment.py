"""How well a whole track and a text align, and where: equations 1-7 of CoLLAP (arXiv 2410.02271).

`N` tracks of at most `T` time steps, `M` texts, embeddings of size `D`. A track is cut into `W` frames of `H`
positions, one frame every `S` steps; the similarity of frame v, position h with a text is
`M[v, h] = cos(u[v * S + h], t)`. Frames overlap, so the cosine is taken once per step and frames are windows over it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from .sliding_softmax import (
    ColumnWindows,
    FrameWindows,
    as_temperature,
    refuse_second_derivative,
    windowed_softmax_sums,
)

IntOrTensor = TypeVar("IntOrTensor", int, Tensor)

# A vector shorter than this has no direction: its cosine with anything is 0, and so is its gradient.
_MIN_NORM = 1e-12
BLOCK_STEPS = 1024  # 2 MB at D = 512: small enough for the cache


class AlignmentScores(NamedTuple):
    """Scores of N tracks (rows) against M texts (columns), each (N, M)."""

    kernel: Tensor  # r_K, eq 5
    temporal: Tensor  # r_T, eq 6
    fused: Tensor  # r, eq 7


class AttentionMaps(NamedTuple):
    """Where one track matches one text: frames down, positions inside the frame across, each (W, H)."""

    kernel: Tensor  # A_K, eq 3: every row sums to 1
    temporal: Tensor  # A_T, eq 4: every column sums to 1
    similarity: Tensor  # M, eq 2: cosines


def frame_count(length: IntOrTensor, kernel_size: int, stride: int) -> IntOrTensor:
    """Number of frames W of a track of `length` steps (eq 1): `(length - kernel_size) // stride + 1`.

    A track shorter than one kernel is one frame of its own length. Takes an int or a tensor of lengths.
    """
    _check_frames(kernel_size, stride)
    if isinstance(length, Tensor):
        return (length - kernel_size).clamp(min=0) // stride + 1
    return max(length - kernel_size, 0) // stride + 1


def cosine_similarity(audio_features: Tensor, lengths: Tensor, text_embeds: Tensor) -> Tensor:
    """Cosine of every time step with every text.

    Args:
        audio_features: (N, T, D); steps at or past a track's length may hold anything, NaN included.
        lengths: (N,) whole numbers of valid steps, 1 to T.
        text_embeds: (M, D).

    Returns:
        (N, M, T) in float32, or float64 if an input is; 0 past a track's length, and for vectors of length zero.
        Differentiable once.

    Raises:
        ValueError: if shapes or lengths do not fit.
    """
    steps = _check_inputs(audio_features, lengths, text_embeds)
    dtype = torch.promote_types(torch.promote_types(audio_features.dtype, text_embeds.dtype), torch.float32)
    texts = text_embeds.to(dtype)
    with torch.autocast(audio_features.device.type, enabled=False):  # reduced precision would blur the softmax
        return _CosineSimilarity.apply(audio_features, texts / norms_to_divide_by(texts), steps)


def alignment_scores(
    audio_features: Tensor,
    lengths: Tensor,
    text_embeds: Tensor,
    *,
    kernel_size: int,
    stride: int,
    gamma_kernel: float = 0.5,
    gamma_temporal: float = 0.5,
    normalization: str = "mean",
    attention_temperature: float | Tensor = 1.0,
) -> AlignmentScores:
    """Score every track against every text (eqs 1-7).

    Time and memory are linear in T, whatever the kernel and stride; the frames are never written out. A track's score
    does not depend on the tracks or the padding beside it.

    Args:
        audio_features: (N, T, D) time steps of the tracks; steps at or past a track's length may hold anything.
        lengths: (N,) whole numbers of valid steps, 1 to T.
        text_embeds: (M, D) global embeddings of the texts.
        kernel_size: H, steps in a frame.
        stride: S, steps from one frame to the next. Last steps that fill no frame are not used.
        gamma_kernel, gamma_temporal: weights of the two scores in the fused one (eq 7).
        normalization: "mean" divides the sums of eqs 5 and 6 by the number of softmaxes in them (W and H), which makes
            both scores averages of cosines; "paper" divides as printed, by the number of entries in each softmax (H and
            W), so that scores follow the track's length.
        attention_temperature: factor of the similarities inside both softmaxes, within +-600; 1 is the paper. A tensor
            of one element receives its gradient.

    Returns:
        `AlignmentScores` of (N, M) tensors in float32, or float64 if an input is. Differentiable once with respect to
        features, embeddings and temperature.

    Raises:
        ValueError: if shapes, lengths or options do not fit; the message names the input.
    """
    _check_options(kernel_size, stride, normalization)
    temperature = as_temperature(attention_temperature)
    similarity = cosine_similarity(audio_features, lengths, text_embeds)  # (N, M, T)
    grids = [
        (frame_count(length, kernel_size, stride), min(length, kernel_size), stride) for length in lengths.tolist()
    ]
    windows = [(FrameWindows(*grid), ColumnWindows(*grid)) for grid in grids]
    sums = windowed_softmax_sums(similarity, windows, temperature)  # (2, N, M)
    divisors = [[w.count if normalization == "mean" else w.size for w in terms] for terms in windows]
    kernel, temporal = sums / sums.new_tensor(divisors).T[:, :, None]
    return AlignmentScores(kernel, temporal, fused=gamma_kernel * kernel + gamma_temporal * temporal)


def attention_maps(
    features: Tensor,
    text_embed: Tensor,
    *,
    kernel_size: int,
    stride: int,
    attention_temperature: float | Tensor = 1.0,
) -> AttentionMaps:
    """Both attentions and the similarity of one track with one text (eqs 2-4), to see where they match.

    Args:
        features: (T, D) valid time steps of the track. text_embed: (D,).
        kernel_size, stride, attention_temperature: as in `alignment_scores`, whose scores are `similarity` summed with
            these maps as weights.

    Returns:
        `AttentionMaps` of (W, H) tensors; entry (v, h) belongs to step `v * stride + h`.

    Raises:
        ValueError: if shapes or options do not fit.
    """
    if features.ndim != 2 or text_embed.ndim != 1:
        shapes = f"{tuple(features.shape)} and {tuple(text_embed.shape)}"
        raise ValueError(f"attention_maps takes one track (T, D) and one text (D,), not shapes {shapes}")
    _check_frames(kernel_size, stride)
    temperature = as_temperature(attention_temperature).to(features.device)
    length = features.shape[0]
    similarity = cosine_similarity(features[None], torch.tensor([length]), text_embed[None])[0, 0]  # (T,)
    similarity = similarity.unfold(0, min(length, kernel_size), stride)  # (W, H)
    logits = temperature * similarity
    return AttentionMaps(logits.softmax(1), logits.softmax(0), similarity)


def norms_to_divide_by(vectors: Tensor) -> Tensor:
    """Lengths (..., 1) to divide by; infinite for a vector without direction, whose cosine and gradient become 0."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return norms.masked_fill(norms < _MIN_NORM, torch.inf)


class _CosineSimilarity(torch.autograd.Function):
    """Cosines (N, M, T) of steps with texts of unit length, without a normalised copy of the audio.

    The audio is by far the largest tensor around, so it is walked once per pass, in blocks that stay in the cache while
    they are read several times. Padding is never read, and lower precisions are converted a block at a time.
    """

    @staticmethod
    def forward(ctx: Any, audio: Tensor, texts: Tensor, lengths: Sequence[int]) -> Tensor:
        similarity = texts.new_zeros(audio.shape[0], texts.shape[0], audio.shape[1])
        norms = texts.new_empty(audio.shape[:2])
        for i, block in _blocks(lengths):
            steps = audio[i, block].to(texts.dtype)  # (B, D)
            norms[i, block] = norms_to_divide_by(steps).squeeze(-1)
            torch.div(texts @ steps.T, norms[i, block], out=similarity[i, :, block])
        ctx.save_for_backward(audio, texts, similarity, norms)
        ctx.lengths = lengths
        return similarity

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        refuse_second_derivative()
        audio, texts, similarity, norms = ctx.saved_tensors
        wants_audio, wants_texts, _ = ctx.needs_input_grad
        grad_audio = torch.empty_like(audio) if wants_audio else None
        grad_texts = torch.zeros_like(texts) if wants_texts else None
        with torch.autocast(audio.device.type, enabled=False):
            for i, block in _blocks(ctx.lengths):
                steps = audio[i, block].to(texts.dtype)  # (B, D)
                g = grad[i, :, block] / norms[i, block]  # (M, B)
                if grad_texts is not None:
                    grad_texts.addmm_(g, steps)
                if grad_audio is not None:  # d cos / d u = (t - cos * u / |u|) / |u|
                    along = (g * similarity[i, :, block]).sum(0) / norms[i, block]  # (B,)
                    grad_audio[i, block] = (g.T @ texts).addcmul_(steps, along[:, None], value=-1)
        if grad_audio is not None:
            for i, length in enumerate(ctx.lengths):
                grad_audio[i, length:] = 0
        return grad_audio, grad_texts, None


def _blocks(lengths: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """The valid steps of every track, block by block."""
    for i, length in enumerate(lengths):
        for start in range(0, length, BLOCK_STEPS):
            yield i, slice(start, min(start + BLOCK_STEPS, length))


def _check_frames(kernel_size: int, stride: int) -> None:
    if kernel_size < 1 or stride < 1:
        raise ValueError(f"kernel_size and stride must be at least 1 step, not {kernel_size} and {stride}")


def _check_options(kernel_size: int, stride: int, normalization: str) -> None:
    _check_frames(kernel_size, stride)
    if normalization not in ("mean", "paper"):
        raise ValueError(f'normalization must be "mean" or "paper", not {normalization!r}')


def _check_inputs(audio_features: Tensor, lengths: Tensor, text_embeds: Tensor) -> tuple[int, ...]:
    """The lengths as ints, once the shapes agree."""
    audio_shape, text_shape = tuple(audio_features.shape), tuple(text_embeds.shape)
    if len(audio_shape) != 3 or not audio_shape[0]:
        raise ValueError(f"audio_features must be (N, T, D) with at least one track, not {audio_shape}")
    if len(text_shape) != 2:
        raise ValueError(f"text_embeds must be (M, D), not {text_shape}")
    if audio_shape[2] != text_shape[1]:
        raise ValueError(f"audio_features {audio_shape} and text_embeds {text_shape} differ in their last size, D")
    if tuple(lengths.shape) != audio_shape[:1]:
        raise ValueError(f"lengths must hold one number per track ({audio_shape[0]}), not {tuple(lengths.shape)}")
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths must be whole numbers, not {lengths.dtype}")
    steps = tuple(lengths.tolist())
    if not all(1 <= length <= audio_shape[1] for length in steps):
        raise ValueError(f"lengths must lie within 1 and the {audio_shape[1]} steps of audio_features, not {steps}")
    return steps
