"""Fused audio sequences in a hundredth of their bytes: pooled in time, then 8 or 4 bits a number."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from modeling_collap.structure import pooled_steps

# Stored steps that a step of the sketch is the mean of.
STEPS_PER_SKETCH_STEP = 6
_SCALE_BYTES = 2  # float16, one a row
# The step of the best uniform quantiser of 16 levels for a normal distribution of variance 1: half a step off zero on
# either side, see J. Max, "Quantizing for minimum distortion" (1960), table II.
_STEP_OF_16_LEVELS = 0.3352
_ROTATED_TOGETHER = 64
_SKETCH_STEPS_AT_ONCE = 2048  # 4 MB of them at D = 512


class SequenceCodec:
    """Turns a track's fused sequence (T, D) into bytes and back.

    Averages over `pool` time steps at a time are kept, the last one over the steps there are. A record begins with the
    sketch of the track, the means of `STEPS_PER_SKETCH_STEP` stored steps each, which can be read without the rest:
    what the stored steps have beside their mean follows as waves of a discrete cosine transform, one fewer than there
    are steps. All of it is under a fixed rotation, which makes the numbers nearly normally distributed, whatever the
    model's dimensions are like. The two parts are first float16 scales, one a row of D numbers, and then the numbers:

    - 8 bits, as the sketch always has: from -127 to 127 of the row's largest magnitude.
    - 4 bits: 16 even levels, which lie where they serve that distribution best.

    Args:
        dim: D.
        pool: time steps of the model in a stored step.
        bits: of each number behind the sketch, 8 or 4.
        normalize_first: scale time steps to unit length before they are averaged, so that the dot product of a stored
            step with a unit text is the mean cosine of the steps it stands for, which eqs (5) and (6) add up; or else
            afterwards, which is what the structure term compares.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, dim: int, pool: int, bits: int = 8, *, normalize_first: bool = True):
        if dim < 1 or pool < 1 or bits not in (4, 8):
            raise ValueError(f"a codec needs positive dim and pool, and 4 or 8 bits, not {dim}, {pool} and {bits}")
        self.dim, self.pool, self.bits, self.normalize_first = dim, pool, bits, normalize_first
        self._sketch_row = _SCALE_BYTES + dim
        self._wave_row = _SCALE_BYTES + math.ceil(dim * bits / 8)

    def steps(self, record: bytes) -> int:
        """How many stored steps S a record holds.

        Raises:
            ValueError: the record is not a whole number of steps long.
        """
        groups, rest = divmod(len(record), self._sketch_row + (STEPS_PER_SKETCH_STEP - 1) * self._wave_row)
        waves, beside = divmod(rest - self._sketch_row, self._wave_row)
        if not record or (rest and (rest < self._sketch_row or beside)):
            raise ValueError(f"a record of {len(record)} bytes holds no whole number of steps of {self.dim} numbers")
        return groups * STEPS_PER_SKETCH_STEP + (waves + 1 if rest else 0)

    def sketch(self, record: bytes) -> bytes:
        """The part of a record that `sketch_cosines` reads.

        Raises:
            ValueError: the record is not a whole number of steps long.
        """
        return record[: _sketch_steps(self.steps(record)) * self._sketch_row]

    def encode(self, features: Tensor) -> bytes:
        """The record of a sequence (T, D) of any float type: S = ceil(T / pool) steps.

        Raises:
            ValueError: the sequence is empty, of another dim, or holds a number that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.dim or not len(features):
            raise ValueError(
                f"a sequence must be (T, {self.dim}) with a time step or more, not {tuple(features.shape)}"
            )
        features = features.detach().float().cpu()
        if not features.isfinite().all():
            raise ValueError("a sequence holds numbers that are not finite")
        if self.normalize_first:
            steps = _means(F.normalize(features, dim=1), self.pool)  # (S, D)
        else:
            # Nothing overflows in sums of steps whose largest number is 1.
            largest = features.abs().amax()
            scaled = features / (largest if largest > 0 else 1.0)
            steps = pooled_steps(scaled[None], torch.tensor([len(scaled)]), self.pool)[0][0]
        steps = rotated(steps)
        sketch = _means(steps, STEPS_PER_SKETCH_STEP)  # (Q, D)
        waves = torch.cat([_waves(len(group)) @ group for group in steps.split(STEPS_PER_SKETCH_STEP)])  # (S - Q, D)
        rows = [*_quantise_8(sketch), *(_quantise_8(waves) if self.bits == 8 else _quantise_4(waves))]
        return b"".join(part.numpy().tobytes() for part in rows)

    def decode(self, records: Sequence[bytes]) -> tuple[Tensor, Tensor]:
        """Stored steps (N, S, D) float32 with zeros after each track's end, and lengths (N,) int64.

        Raises:
            ValueError: there are no records, or one is not a whole number of steps long.
        """
        steps, lengths = self.decode_rotated(records)
        return rotated(steps, back=True), lengths

    def decode_rotated(self, records: Sequence[bytes]) -> tuple[Tensor, Tensor]:
        """`decode` without rotating back, which costs more than all before it.

        Cosines and dot products with `rotated` vectors are those of `decode` with the vectors themselves.
        """
        lengths = [self.steps(record) for record in records]
        return _padded([self._steps(*pair) for pair in zip(records, lengths, strict=True)]), torch.tensor(lengths)

    def sketch_cosines(self, sketches: Sequence[bytes], vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines of the sketches of some tracks with some vectors (P, D), without decoding more than it takes.

        Returns:
            (R, P) float32, the steps of one track behind those of the one before; and the numbers of steps (N,) int64.

        Raises:
            ValueError: there are no sketches, or one is not a whole number of steps long.
        """
        for sketch in sketches:
            if not sketch or len(sketch) % self._sketch_row:
                raise ValueError(f"a sketch of {len(sketch)} bytes holds no whole number of means of {self.dim}")
        lengths = [len(sketch) // self._sketch_row for sketch in sketches]
        codes = np.concatenate([_codes_of_8(*pair, self.dim) for pair in zip(sketches, lengths, strict=True)])
        units = rotated(F.normalize(vectors, dim=1)).T
        parts = []
        for some in torch.from_numpy(codes).split(_SKETCH_STEPS_AT_ONCE):
            rows = some.float()  # times a scale, which no cosine knows
            parts.append(rows @ units / rows.norm(dim=1, keepdim=True).clamp(min=1.0))
        return torch.cat(parts), torch.tensor(lengths)

    def _steps(self, record: bytes, length: int) -> Tensor:
        """(S, D)"""
        means = _rows_of_8(record, _sketch_steps(length), self.dim)  # (Q, D)
        rest, count = memoryview(record)[len(means) * self._sketch_row :], length - len(means)
        waves = (_rows_of_8 if self.bits == 8 else _rows_of_4)(rest, count, self.dim)  # (S - Q, D)
        steps = means.repeat_interleave(STEPS_PER_SKETCH_STEP, dim=0)[:length]
        whole = length // STEPS_PER_SKETCH_STEP
        inner = whole * (STEPS_PER_SKETCH_STEP - 1)
        if whole:
            groups = waves[:inner].unflatten(0, (whole, -1))  # (whole, waves, D)
            steps[: whole * STEPS_PER_SKETCH_STEP] += (_waves(STEPS_PER_SKETCH_STEP).T @ groups).flatten(0, 1)
        if last := length % STEPS_PER_SKETCH_STEP:
            steps[-last:] += _waves(last).T @ waves[inner:]
        return steps


def rotated(vectors: Tensor, *, back: bool = False) -> Tensor:
    """Vectors (..., D) under the fixed rotation of records, or `back` from there.

    They are taken as matrices that are rotated from both sides, which mixes all numbers at a fraction of the cost.
    """
    size = _ROTATED_TOGETHER if vectors.shape[-1] % _ROTATED_TOGETHER == 0 else vectors.shape[-1]
    left, right = (_rotation(n).to(vectors) for n in (vectors.shape[-1] // size, size))
    if back:
        left, right = left.T, right.T
    return (left @ vectors.unflatten(-1, (-1, size)) @ right).flatten(-2)


def _sketch_steps(steps: int) -> int:
    return math.ceil(steps / STEPS_PER_SKETCH_STEP)


def _means(rows: Tensor, count: int) -> Tensor:
    """Means of `count` rows (S, D) at a time, the last one of those there are."""
    whole = len(rows) // count * count
    means = rows[:whole].unflatten(0, (-1, count)).mean(1)
    return means if whole == len(rows) else torch.cat([means, rows[whole:].mean(0, keepdim=True)])


@lru_cache
def _waves(steps: int) -> Tensor:
    """The discrete cosine transform (type II, orthonormal) of some steps, without the row of their mean: (S - 1, S)."""
    frequencies, places = torch.arange(1, steps)[:, None], torch.arange(steps) + 0.5
    return (2 / steps) ** 0.5 * torch.cos(math.pi / steps * frequencies * places)


def _padded(tracks: Sequence[Tensor]) -> Tensor:
    """
    Raises:
        ValueError: there are none.
    """
    if not tracks:
        raise ValueError("there are no records to decode")
    return pad_sequence(list(tracks), batch_first=True)


def _rows_of_8(data: bytes | memoryview, count: int, dim: int) -> Tensor:
    """Rows (count, D) of `_quantise_8`, with which the data begin."""
    return torch.from_numpy(_codes_of_8(data, count, dim) * _scales(data, count))


def _codes_of_8(data: bytes | memoryview, count: int, dim: int) -> np.ndarray:
    """(count, D) int8"""
    return np.frombuffer(data, np.int8, count * dim, offset=count * _SCALE_BYTES).reshape(count, dim)


def _rows_of_4(data: bytes | memoryview, count: int, dim: int) -> Tensor:
    """Rows (count, D) of `_quantise_4`, as above."""
    codes = np.frombuffer(data, np.uint8, count * math.ceil(dim / 2), offset=count * _SCALE_BYTES)
    levels = _LEVELS_OF_BYTES[codes].reshape(count, math.ceil(dim / 2) * 2)[:, :dim]
    return torch.from_numpy(levels * _scales(data, count))


def _scales(data: bytes | memoryview, count: int) -> np.ndarray:
    """(count, 1)"""
    return np.frombuffer(data, np.float16, count)[:, None].astype(np.float32)


def _quantise_8(steps: Tensor) -> tuple[Tensor, Tensor]:
    """Scales (S,) float16 and codes (S, D) int8 of steps (S, D)."""
    scales = (steps.abs().amax(1) / 127).half()
    codes = (steps / _divisor(scales)).round().clamp(-127, 127)
    return scales, codes.to(torch.int8)


def _quantise_4(steps: Tensor) -> tuple[Tensor, Tensor]:
    """Scales (S,) float16 and codes (S, ceil(D / 2)) uint8, the first of two numbers in the high bits."""
    scales = (steps.square().mean(1).sqrt() * _STEP_OF_16_LEVELS).half()
    codes = (steps / _divisor(scales)).floor().clamp(-8, 7).to(torch.int16) + 8  # (S, D), 0 to 15
    codes = F.pad(codes, (0, codes.shape[1] % 2))
    return scales, (codes[:, ::2] * 16 + codes[:, 1::2]).to(torch.uint8)


# The two numbers that a byte stands for, in units of the scale.
_LEVELS_OF_BYTES = np.array([(byte // 16 - 7.5, byte % 16 - 7.5) for byte in range(256)], np.float32)  # (256, 2)


def _divisor(scales: Tensor) -> Tensor:
    """Scales (S, 1) as they are read back; of steps without length, which any code of scale 0 restores, 1."""
    return scales.float().masked_fill(scales == 0, 1.0)[:, None]


@lru_cache
def _rotation(size: int) -> Tensor:
    """A random orthogonal matrix (size, size), always the same."""
    q, r = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    return torch.from_numpy(q * np.sign(np.diag(r)))
