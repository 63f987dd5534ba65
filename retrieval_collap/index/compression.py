"""Fused audio sequences in a hundredth of their bytes: pooled in time, then 8 or 4 bits a number."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_SCALE_BYTES = 2  # float16, one a step
# The step of the best uniform quantiser of 16 levels for a normal distribution of variance 1: half a step off zero on
# either side, see J. Max, "Quantizing for minimum distortion" (1960), table II.
_STEP_OF_16_LEVELS = 0.3352
_ROTATED_TOGETHER = 64


class SequenceCodec:
    """Turns a track's fused sequence (T, D) into bytes and back.

    Time steps are scaled to unit length and averaged over `pool` of them, so that the dot product of a stored step
    with a unit text is the mean cosine of the steps it stands for. Of a last group that is not full, the mean is over
    the steps there are.

    A record is the scales of its S steps, float16, and then their numbers:

    - 8 bits: from -127 to 127 of the step's largest magnitude.
    - 4 bits: a fixed rotation makes the numbers nearly normally distributed, whatever the model's dimensions are like;
      16 even levels lie where they serve that distribution best.

    Args:
        dim: D.
        pool: time steps of the model in a stored step.
        bits: of each stored number, 8 or 4.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, dim: int, pool: int, bits: int = 8):
        if dim < 1 or pool < 1 or bits not in (4, 8):
            raise ValueError(f"a codec needs positive dim and pool, and 4 or 8 bits, not {dim}, {pool} and {bits}")
        self.dim, self.pool, self.bits = dim, pool, bits
        self._code_bytes = math.ceil(dim * bits / 8)

    @property
    def bytes_per_step(self) -> int:
        return _SCALE_BYTES + self._code_bytes

    def steps(self, record: bytes) -> int:
        """How many stored steps S a record holds.

        Raises:
            ValueError: the record is not a whole number of steps long.
        """
        steps, rest = divmod(len(record), self.bytes_per_step)
        if not steps or rest:
            raise ValueError(f"a record of {len(record)} bytes holds no whole number of steps of {self.bytes_per_step}")
        return steps

    def encode(self, features: Tensor) -> bytes:
        """The record of a sequence (T, D) of any float type: S = ceil(T / pool) steps.

        Raises:
            ValueError: the sequence is empty, of another dim, or holds a number that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.dim or not len(features):
            raise ValueError(
                f"a sequence must be (T, {self.dim}) with a time step or more, not {tuple(features.shape)}"
            )
        units = F.normalize(features.detach().float().cpu(), dim=1)  # (T, D)
        if not units.isfinite().all():
            raise ValueError("a sequence holds numbers that are not finite")
        whole = len(units) // self.pool * self.pool
        groups = [units[:whole].unflatten(0, (-1, self.pool)).mean(1)]  # (S, D) or (S - 1, D)
        if whole < len(units):
            groups.append(units[whole:].mean(0, keepdim=True))
        steps = torch.cat(groups)  # (S, D)
        scales, codes = _quantise_8(steps) if self.bits == 8 else _quantise_4(steps)
        return scales.numpy().tobytes() + codes.numpy().tobytes()

    def decode(self, records: Sequence[bytes]) -> tuple[Tensor, Tensor]:
        """Stored steps (N, S, D) float32 with zeros after each track's end, and lengths (N,) int64.

        The steps are means of unit vectors, so of a length up to 1.

        Raises:
            ValueError: there are no records, or one is not a whole number of steps long.
        """
        if not records:
            raise ValueError("there are no records to decode")
        lengths = [self.steps(record) for record in records]
        padded = torch.zeros(len(records), max(lengths), self.dim)  # (N, S, D)
        for out, record, length in zip(padded, records, lengths, strict=True):
            scales = np.frombuffer(record, np.float16, count=length)[:, None].astype(np.float32)  # (S, 1)
            codes = np.frombuffer(record, np.uint8, offset=length * _SCALE_BYTES).reshape(length, -1)
            steps = codes.view(np.int8) if self.bits == 8 else _LEVELS_OF_BYTES[codes].reshape(length, -1)
            np.multiply(steps[:, : self.dim], scales, out=out[:length].numpy())
        if self.bits == 4:
            padded = _rotate(padded, inverse=True)
        return padded, torch.tensor(lengths)


def _quantise_8(steps: Tensor) -> tuple[Tensor, Tensor]:
    """Scales (S,) float16 and codes (S, D) int8 of steps (S, D)."""
    scales = (steps.abs().amax(1) / 127).half()
    codes = (steps / _divisor(scales)).round().clamp(-127, 127)
    return scales, codes.to(torch.int8)


def _quantise_4(steps: Tensor) -> tuple[Tensor, Tensor]:
    """Scales (S,) float16 and codes (S, ceil(D / 2)) uint8, the first of two numbers in the high bits."""
    rotated = _rotate(steps)
    scales = (rotated.square().mean(1).sqrt() * _STEP_OF_16_LEVELS).half()
    codes = (rotated / _divisor(scales)).floor().clamp(-8, 7).to(torch.int16) + 8  # (S, D), 0 to 15
    codes = F.pad(codes, (0, codes.shape[1] % 2))
    return scales, (codes[:, ::2] * 16 + codes[:, 1::2]).to(torch.uint8)


# The two numbers that a byte stands for, in units of the scale.
_LEVELS_OF_BYTES = np.array([(byte // 16 - 7.5, byte % 16 - 7.5) for byte in range(256)], np.float32)  # (256, 2)


def _divisor(scales: Tensor) -> Tensor:
    """Scales (S, 1) as they are read back; of steps without length, which any code of scale 0 restores, 1."""
    return scales.float().masked_fill(scales == 0, 1.0)[:, None]


def _rotate(vectors: Tensor, *, inverse: bool = False) -> Tensor:
    """Vectors (..., D) with every run of 64 numbers rotated, which is cheaper than all D together and as good."""
    size = _ROTATED_TOGETHER if vectors.shape[-1] % _ROTATED_TOGETHER == 0 else vectors.shape[-1]
    rotation = _rotation(size)
    return (vectors.unflatten(-1, (-1, size)) @ (rotation.T if inverse else rotation)).flatten(-2)


@lru_cache
def _rotation(size: int) -> Tensor:
    """A random orthogonal matrix (size, size), always the same."""
    q, r = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    return torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32))
