"""Compressed sequences: what they stand for, how far off they are, and how many bytes they take."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retrieval_collap.index import SequenceCodec


def features(steps: int, dim: int, seed: int = 0) -> Tensor:
    """A sequence (T, D) whose dimensions are of unequal size, as those of models are."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.rand(dim, generator=generator) * 3 + 0.1
    return torch.randn(steps, dim, generator=generator) * sizes + sizes.flip(0)


def means(sequence: Tensor, pool: int) -> Tensor:
    """What a record stands for, in float64: means of `pool` steps of unit length."""
    return mean_rows(unit_rows(sequence.double()), pool)


def mean_rows(rows: Tensor, count: int) -> Tensor:
    return torch.stack([rows[i : i + count].mean(0) for i in range(0, len(rows), count)])


def unit_rows(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("bits", "error"), [(8, 1.2e-2), (4, 0.16)])
@pytest.mark.parametrize(("steps", "dim", "pool"), [(50, 64, 5), (53, 64, 5), (3, 96, 5), (7, 33, 1), (11, 512, 2)])
def test_decoded_steps_are_near_the_means(bits: int, error: float, steps: int, dim: int, pool: int) -> None:
    codec, sequence = SequenceCodec(dim, pool, bits), features(steps, dim)
    decoded, lengths = codec.decode([codec.encode(sequence)])
    exact = means(sequence, pool)
    assert decoded.dtype == torch.float32
    assert lengths.tolist() == [len(exact)]
    distances = (decoded[0] - exact).norm(dim=1) / exact.norm(dim=1)
    assert distances.max() < error


@pytest.mark.parametrize("bits", [8, 4])
def test_cosines_with_texts_are_kept(bits: int) -> None:
    codec, sequence = SequenceCodec(512, 5, bits), features(200, 512)
    exact = means(sequence, 5)
    texts = F.normalize(
        exact[::7].float() + torch.randn(6, 512, generator=torch.Generator().manual_seed(1)) / 30, dim=1
    )
    decoded, _ = codec.decode([codec.encode(sequence)])
    errors = F.cosine_similarity(decoded[0, :, None], texts, dim=-1) - F.cosine_similarity(
        exact.float()[:, None], texts, dim=-1
    )
    assert errors.abs().mean() < (1e-3 if bits == 8 else 1e-2)


@pytest.mark.parametrize("bits", [8, 4])
def test_tracks_of_unequal_length_are_padded_with_zeros(bits: int) -> None:
    codec = SequenceCodec(32, 4, bits)
    records = [codec.encode(features(steps, 32, seed=steps)) for steps in (9, 40, 1)]
    decoded, lengths = codec.decode(records)
    assert decoded.shape == (3, 10, 32)
    assert lengths.tolist() == [3, 10, 1] == [codec.steps(record) for record in records]
    for row, record, length in zip(decoded, records, lengths, strict=True):
        assert not row[length:].any()
        torch.testing.assert_close(row[:length], codec.decode([record])[0][0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_record_is_the_same_every_time_and_from_any_float_type(bits: int) -> None:
    codec, sequence = SequenceCodec(48, 3, bits), features(20, 48).half()
    assert codec.encode(sequence) == codec.encode(sequence.clone()) == codec.encode(sequence.float())


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("steps", [1, 5, 6, 7, 30, 31])
def test_the_sketch_begins_the_record_and_is_the_means_of_six_steps(bits: int, steps: int) -> None:
    codec, sequence = SequenceCodec(64, 1, bits), features(steps, 64)
    record = codec.encode(sequence)
    sketch = codec.sketch(record)
    assert record.startswith(sketch)
    assert len(sketch) == -(-steps // 6) * (64 + 2)
    texts = torch.randn(3, 64, generator=torch.Generator().manual_seed(2))
    cosines, lengths = codec.sketch_cosines([sketch, codec.sketch(codec.encode(features(20, 64)))], texts)
    exact = mean_rows(means(sequence, 1), 6).float()
    assert lengths.tolist() == [len(exact), 4]
    assert cosines.shape == (len(exact) + 4, 3)
    expected = F.cosine_similarity(exact[:, None], texts, dim=-1)
    torch.testing.assert_close(cosines[: len(exact)], expected, rtol=0.0, atol=2e-3)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("steps", [60, 61, 3])
def test_steps_may_be_normalized_behind_their_mean(bits: int, steps: int) -> None:
    sequence = features(steps, 64) * torch.linspace(0.1, 9, steps)[:, None]
    codec = SequenceCodec(64, 5, bits, normalize_first=False)
    exact = unit_rows(mean_rows(sequence.double(), 5))
    decoded, _ = codec.decode([codec.encode(sequence)])
    assert (decoded[0] - exact).norm(dim=1).max() < (1e-2 if bits == 8 else 0.16)
    huge = codec.decode([codec.encode(sequence * 1e36)])[0]
    torch.testing.assert_close(huge, decoded, rtol=0.0, atol=2e-3 if bits == 8 else 0.05)


@pytest.mark.parametrize("normalize_first", [True, False])
@pytest.mark.parametrize("bits", [8, 4])
def test_steps_without_length_stay_without_direction(bits: int, normalize_first: bool) -> None:
    sequence = features(6, 16)
    sequence[2:4] = 0.0
    codec = SequenceCodec(16, 2, bits, normalize_first=normalize_first)
    decoded, _ = codec.decode([codec.encode(sequence)])
    assert decoded[0, 1].norm() < (0.02 if bits == 8 else 0.2)
    assert (decoded[0, [0, 2]].norm(dim=1) > 0.5).all()
    assert not codec.decode([codec.encode(torch.zeros(9, 16))])[0].any()


def test_four_bits_bear_dimensions_of_very_unequal_size() -> None:
    """As those of models are: half of the variance in a few of 512."""
    sequence = features(120, 512) * torch.arange(1, 513) ** -0.75
    codec = SequenceCodec(512, 1, 4)
    exact = means(sequence, 1)
    assert (codec.decode([codec.encode(sequence)])[0][0] - exact).norm(dim=1).mean() < 0.12


def test_a_track_of_288_seconds_fits_its_budget() -> None:
    """Of 150,000 bytes, the row's vector takes 1,024 and its words some 300."""
    record = SequenceCodec(512, 50, 8).encode(features(288 * 50, 512))
    assert len(record) == 288 * (512 + 2) < 150_000 - 1_024 - 500
    half = SequenceCodec(512, 50, 4).encode(features(288 * 50, 512))
    assert len(half) == 48 * (512 + 2) + 240 * (256 + 2)  # the sketch keeps its eight bits


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 40),
    dim=st.integers(1, 70),
    pool=st.integers(1, 9),
    bits=st.sampled_from([4, 8]),
    scale=st.floats(1e-6, 1e6),
)
def test_any_shape_and_scale(steps: int, dim: int, pool: int, bits: int, scale: float) -> None:
    codec = SequenceCodec(dim, pool, bits)
    record = codec.encode(features(steps, dim) * scale)
    decoded, lengths = codec.decode([record])
    assert decoded.shape == (1, -(-steps // pool), dim)
    assert lengths.tolist() == [decoded.shape[1]]
    assert codec.steps(record) == decoded.shape[1]
    assert codec.sketch_cosines([codec.sketch(record)], torch.ones(1, dim))[1].tolist() == [-(-decoded.shape[1] // 6)]
    assert decoded.norm(dim=-1).max() < 1.5


def test_what_is_no_sequence_is_refused() -> None:
    codec = SequenceCodec(8, 2)
    for bad in (torch.zeros(0, 8), torch.zeros(4, 7), torch.zeros(8)):
        with pytest.raises(ValueError, match="must be"):
            codec.encode(bad)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not finite"):
            codec.encode(torch.tensor([[1.0] * 7 + [value]]))


def test_what_is_no_record_is_refused() -> None:
    codec = SequenceCodec(8, 2)
    record = codec.encode(features(4, 8))
    for bad in (record[:-1], record + b"x", b""):
        with pytest.raises(ValueError, match="no whole number of steps"):
            codec.decode([record, bad])
    with pytest.raises(ValueError, match="no records"):
        codec.decode([])
    for bad in (record[:-1], b""):
        with pytest.raises(ValueError, match="no whole number of means"):
            codec.sketch_cosines([bad], torch.ones(1, 8))


@pytest.mark.parametrize("arguments", [(0, 1, 8), (8, 0, 8), (8, 1, 6)])
def test_a_codec_out_of_range_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="codec needs"):
        SequenceCodec(*arguments)
