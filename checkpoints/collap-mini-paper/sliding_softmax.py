"""Softmax-weighted means over many overlapping windows of one sequence, without writing the windows out.

A softmax-weighted mean over a window is a ratio of two window sums, `sum(s * e) / sum(e)` with `e = exp(beta * s)`, so
windows that overlap can share their sums, and nothing of size (windows, window size) is ever written. The gradient
needs the same two sums and their adjoint, which spreads a number per window back over the window's steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Similarities lie in [-1, 1], so exp(beta * s) needs no running maximum while exp(beta), times the number of steps and
# the factors of the gradient, fits the floating-point range: about exp(88) in float32 and exp(709) in float64.
_MAX_TEMPERATURE_FLOAT32 = 64.0
_MAX_TEMPERATURE = 600.0


@dataclass(frozen=True)
class Windows(ABC):
    """`frames` x `positions` steps of one track: entry (v, h) is step `v * stride + h`.

    Steps are seen as a grid of rows of `stride` steps. A frame is then `positions // stride` whole rows, the body, and
    the first `positions % stride` steps of one more row, the rest; sums run down or along these rows.
    """

    frames: int
    positions: int
    stride: int

    @property
    def span(self) -> int:
        """Steps from the first to the last that any frame uses."""
        return (self.frames - 1) * self.stride + self.positions

    @property
    def whole_rows(self) -> int:
        return self.positions // self.stride

    @property
    def remainder(self) -> int:
        return self.positions % self.stride

    def _body(self, steps: Tensor) -> Tensor:
        """View of (..., span) steps as the rows that whole rows of frames are made of, (..., rows, stride)."""
        rows = self.frames - 1 + self.whole_rows
        return steps[..., : rows * self.stride].unflatten(-1, (rows, self.stride))

    def _rest(self, steps: Tensor) -> Tensor:
        """View of (..., span) steps as the partial last row of every frame, (..., frames, remainder)."""
        return steps[..., self.whole_rows * self.stride :].unfold(-1, self.remainder, self.stride)

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of windows."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Steps in each window."""

    @abstractmethod
    def sum(self, steps: Tensor) -> Tensor:
        """Sum over each window: (..., span) to (..., count)."""

    @abstractmethod
    def spread(self, values: Tensor) -> Tensor:
        """Adjoint of `sum`: each step gets the sum of its windows' values, (..., count) to (..., span)."""


class FrameWindows(Windows):
    """One window per frame: all its positions. The softmax of eq 3."""

    @property
    def count(self) -> int:
        return self.frames

    @property
    def size(self) -> int:
        return self.positions

    def sum(self, steps: Tensor) -> Tensor:
        total = steps.new_zeros(())
        if self.whole_rows:
            row_sums = self._body(steps).sum(-1, keepdim=True)  # (..., rows, 1)
            total = sliding_sum(row_sums, self.whole_rows).squeeze(-1)
        if self.remainder:
            total = total + self._rest(steps).sum(-1)
        return total  # (..., frames)

    def spread(self, values: Tensor) -> Tensor:
        steps = values.new_zeros(*values.shape[:-1], self.span)
        if self.whole_rows:
            self._body(steps).add_(sliding_spread(values.unsqueeze(-1), self.whole_rows))
        if self.remainder:
            self._rest(steps).add_(values.unsqueeze(-1))
        return steps


class ColumnWindows(Windows):
    """One window per position: that position in every frame. The softmax of eq 4."""

    @property
    def count(self) -> int:
        return self.positions

    @property
    def size(self) -> int:
        return self.frames

    def sum(self, steps: Tensor) -> Tensor:
        parts = []
        if self.whole_rows:
            parts.append(sliding_sum(self._body(steps), self.frames).flatten(-2))
        if self.remainder:
            parts.append(self._rest(steps).sum(-2))
        return torch.cat(parts, -1)  # (..., positions)

    def spread(self, values: Tensor) -> Tensor:
        steps = values.new_zeros(*values.shape[:-1], self.span)
        body = self.whole_rows * self.stride
        if self.whole_rows:
            rows = values[..., :body].unflatten(-1, (self.whole_rows, self.stride))
            self._body(steps).add_(sliding_spread(rows, self.frames))
        if self.remainder:
            self._rest(steps).add_(values[..., None, body:])
        return steps


def sliding_sum(rows: Tensor, window: int) -> Tensor:
    """Sums of every `window` consecutive rows, (..., n, S) to (..., n - window + 1, S).

    Only additions: differences of running totals would cancel where large terms precede small ones.
    """
    outputs = rows.shape[-2] - window + 1
    if outputs < window:  # all windows share a core, which is summed once; the windows differ in its two margins
        margin = outputs - 1
        core = rows[..., margin:window, :].sum(-2, keepdim=True)
        if not margin:
            return core
        return core + sliding_sum(torch.cat((rows[..., :margin, :], rows[..., window:, :]), -2), margin)
    total, covered = None, 0  # the window as a sum of runs whose widths are powers of two, each run twice the last
    run, width = rows, 1
    while True:
        if window & width:
            part = run[..., covered : covered + outputs, :]
            total = part if total is None else total + part
            if 2 * width > window:
                return total
            covered += width
        run = run[..., :-width, :] + run[..., width:, :]
        width *= 2


def sliding_spread(values: Tensor, window: int) -> Tensor:
    """Adjoint of `sliding_sum`: (..., n, S) to (..., n + window - 1, S)."""
    n = values.shape[-2]
    if n < window:  # the rows of the shared core all receive the total
        edges = sliding_spread(values, n)
        core = edges[..., n - 1 : n, :].expand(*values.shape[:-2], window - n + 1, -1)
        return torch.cat((edges[..., : n - 1, :], core, edges[..., n:, :]), -2)
    return sliding_sum(F.pad(values, (0, 0, window - 1, window - 1)), window)


class _WindowedSoftmax(torch.autograd.Function):
    """Sums over windows of softmax-weighted means; tracks one by one, each with its own windows and no padding."""

    @staticmethod
    def forward(ctx: Any, similarity: Tensor, temperature: Tensor, windows: Sequence[Sequence[Windows]]) -> Tensor:
        ctx.save_for_backward(similarity, temperature)
        ctx.windows = windows
        beta, dtype = _exponent(temperature, similarity)
        sums = similarity.new_empty(len(windows[0]), *similarity.shape[:2])  # (terms, N, M)
        for i, terms in enumerate(windows):
            _, steps = _exponentials(similarity[i], terms, beta, dtype)
            for out, term in zip(sums, terms, strict=True):
                total, weighted = term.sum(steps)  # (M, count) each
                out[i] = (weighted / total).sum(-1)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        refuse_second_derivative()
        # With p[w, t] = e[t] / total[w] the weight of step t in window w, and mean[w] the window's weighted mean,
        #   d mean[w] / d s[t] = p[w, t] * (1 + beta * (s[t] - mean[w]))
        #   d mean[w] / d beta = sum over t of p[w, t] * s[t] * (s[t] - mean[w])
        # so a step needs only two sums over its windows, of g / total and of g * mean / total.
        similarity, temperature = ctx.saved_tensors
        beta, dtype = _exponent(temperature, similarity)
        grad_similarity = torch.zeros_like(similarity)
        grad_temperature = similarity.new_zeros((), dtype=dtype) if ctx.needs_input_grad[1] else None
        for i, terms in enumerate(ctx.windows):
            s, steps = _exponentials(similarity[i], terms, beta, dtype)
            shares = torch.zeros_like(steps)  # (2, M, span)
            for g, term in zip(grad, terms, strict=True):
                total, weighted = term.sum(steps)
                share = g[i].to(dtype)[:, None] / total  # (M, count)
                shares += term.spread(torch.stack((share, share * (weighted / total))))
            weight, mean = shares.mul_(steps[0])
            excess = s * weight - mean
            grad_similarity[i, :, : s.shape[-1]] = weight.add_(excess, alpha=beta)
            if grad_temperature is not None:
                grad_temperature += (s * excess).sum()
        return grad_similarity, None if grad_temperature is None else grad_temperature.to(temperature), None


def _exponent(temperature: Tensor, similarity: Tensor) -> tuple[float, torch.dtype]:
    """The temperature as a number, and the precision in which its exponentials stay in range."""
    beta = temperature.item()
    return beta, similarity.dtype if abs(beta) <= _MAX_TEMPERATURE_FLOAT32 else torch.float64


def _exponentials(
    similarity: Tensor, terms: Sequence[Windows], beta: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """One track's similarities s on the steps in use, (M, span), and what windows sum: e and s * e, (2, M, span)."""
    s = similarity[:, : terms[0].span].to(dtype)
    steps = s.new_empty(2, *s.shape)
    torch.mul(s, beta, out=steps[0]).exp_()
    torch.mul(s, steps[0], out=steps[1])
    return s, steps


def refuse_second_derivative() -> None:
    """For the start of a hand-written backward pass: gradients that record a graph would silently miss its part."""
    if torch.is_grad_enabled():
        raise RuntimeError("alignment scores can be differentiated once: create_graph=True is not supported")


def as_temperature(value: float | Tensor) -> Tensor:
    """A checked attention temperature as a tensor without dimensions.

    Raises:
        ValueError: if it is not one number within +-600, beyond which exponentials leave float64's range.
    """
    value = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    if value.numel() != 1:
        raise ValueError(f"attention_temperature must be one number, not a tensor of shape {tuple(value.shape)}")
    if not abs(value.item()) <= _MAX_TEMPERATURE:
        raise ValueError(f"attention_temperature must lie within +-{_MAX_TEMPERATURE:g}, not {value.item()}")
    return value.reshape(())


def windowed_softmax_sums(similarity: Tensor, windows: Sequence[Sequence[Windows]], temperature: Tensor) -> Tensor:
    """For every track and text, the sum over windows of each window's softmax-weighted mean similarity.

    Args:
        similarity: (N, M, T) float32 or float64, within [-1, 1] on the steps that the windows use; others are ignored.
        windows: for each of the N tracks, one family of windows per term, all over the same frames.
        temperature: factor of the similarities inside the softmax, from `as_temperature`.

    Returns:
        (terms, N, M), differentiable once with respect to `similarity` and `temperature`. Memory is linear in T and so
        is time, but for a logarithm of the rows in a window where long windows start at many places.
    """
    return _WindowedSoftmax.apply(similarity, temperature, windows)
