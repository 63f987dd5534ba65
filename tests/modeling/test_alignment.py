import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from modeling_collap.alignment import alignment_scores, attention_maps, cosine_similarity, frame_count
from modeling_collap.contrastive_loss import contrastive_loss
from modeling_collap.sliding_softmax import ColumnWindows, FrameWindows, sliding_spread, sliding_sum

WITH_MAPS = ["equal", "variable_padded", "overlap_odd", "stride_eq_kernel", "stride_gt_kernel", "not_divisible"]
WITH_MAPS += ["one_frame", "kernel_one", "stride_one", "rectangular", "per_track_kernel"]
ORACLE_CASES = [*WITH_MAPS, "salmonn_30s", "d512", "long_500_250", "long_17_17"]
NORMALIZATIONS = {"literal": "paper", "averaged": "mean", "averaged_beta8": "mean"}
FRAMINGS = [(4, 2), (4, 4), (3, 5), (7, 3), (6, 1), (5, 2), (1, 1), (1, 4), (9, 2)]  # kernel size, stride


class Oracle:
    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, dict[str, Any]] = json.loads((folder / "collap_oracle.json").read_text())
        self.tensors = load_file(folder / "collap_oracle.safetensors")

    def framing(self, case: str, track: int) -> dict[str, int]:
        """Kernel and stride of a track; one case gives every track its own."""
        facts = self.facts[case]
        pick = (lambda value: value[track]) if isinstance(facts["H"], list) else (lambda value: value)
        return {"kernel_size": pick(facts["H"]), "stride": pick(facts["S"])}

    def inputs(self, case: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
        audio, lengths, text = (self.tensors[f"{case}.{name}"].clone() for name in ("audio", "lengths", "text"))
        return audio.to(dtype), lengths, text.to(dtype)


@pytest.fixture(scope="module")
def oracle(oracles: Path) -> Oracle:
    return Oracle(oracles)


def brute_force(
    audio: Tensor, lengths: Tensor, text: Tensor, kernel_size: int, stride: int, temperature: float, normalization: str
) -> tuple[Tensor, Tensor]:
    """Equations 1-6 in float64, every frame written out."""
    kernels, temporals = [], []
    for track, length in zip(audio.double(), lengths.tolist(), strict=True):
        track, positions = track[:length], min(kernel_size, length)
        starts = range(0, length - positions + 1, stride)
        frames = torch.stack([track[start : start + positions] for start in starts])  # (W, H, D)
        cosines = torch.einsum("whd,md->mwh", F.normalize(frames, dim=-1), F.normalize(text.double(), dim=-1))
        kernel = (cosines * (temperature * cosines).softmax(2)).sum((1, 2))
        temporal = (cosines * (temperature * cosines).softmax(1)).sum((1, 2))
        by_kernel, by_temporal = (len(starts), positions) if normalization == "mean" else (positions, len(starts))
        kernels.append(kernel / by_kernel)
        temporals.append(temporal / by_temporal)
    return torch.stack(kernels), torch.stack(temporals)


def random_inputs(*shape: int, texts: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return audio.to(dtype), torch.randn(texts, shape[-1], generator=generator, dtype=torch.float64).to(dtype)


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(actual.double(), expected.double(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("case", "reading"),
    [(case, reading) for case in ORACLE_CASES for reading in ("literal", "averaged")]
    + [(case, "averaged_beta8") for case in WITH_MAPS],
)
def test_scores_equal_the_oracle(oracle: Oracle, case: str, reading: str, dtype: torch.dtype) -> None:
    audio, lengths, text = oracle.inputs(case, dtype)
    tracks = range(len(audio)) if case == "per_track_kernel" else [slice(None)]
    for track in tracks:
        rows = slice(track, track + 1) if isinstance(track, int) else track
        scores = alignment_scores(
            audio[rows],
            lengths[rows],
            text,
            **oracle.framing(case, rows.start or 0),
            gamma_kernel=oracle.facts[case]["gamma_k"],
            gamma_temporal=oracle.facts[case]["gamma_t"],
            normalization=NORMALIZATIONS[reading],
            attention_temperature=8.0 if reading.endswith("beta8") else 1.0,
        )
        for actual, name in zip(scores, ("r_K", "r_T", "r"), strict=True):
            assert actual.dtype == dtype
            close(actual, oracle.tensors[f"{case}.cosine.{reading}.{name}"][rows])


@pytest.mark.parametrize("case", WITH_MAPS)
def test_maps_equal_the_oracle(oracle: Oracle, case: str) -> None:
    audio, lengths, text = oracle.inputs(case)
    for i, length in enumerate(lengths.tolist()):
        framing = oracle.framing(case, i)
        assert frame_count(length, **framing) == oracle.facts[case]["W"][i]
        for j in range(len(text)):
            maps = attention_maps(audio[i, :length], text[j], **framing)
            for actual, name in zip(maps, ("A_K", "A_T", "M"), strict=True):
                close(actual, oracle.tensors[f"{case}.cosine.{name}.{i}.{j}"], 1e-9)


@pytest.mark.parametrize(
    ("reading", "loss"),
    [
        ("literal", {"symmetric": False, "reduction": "sum"}),
        ("averaged", {"symmetric": True, "reduction": "mean"}),
    ],
)
def test_gradients_equal_the_oracle(oracle: Oracle, reading: str, loss: dict[str, Any]) -> None:
    audio, lengths, text = oracle.inputs("variable_padded")
    audio.requires_grad_()
    scores = alignment_scores(
        audio,
        lengths,
        text,
        **oracle.framing("variable_padded", 0),
        gamma_kernel=0.7,
        gamma_temporal=0.3,
        normalization=NORMALIZATIONS[reading],
    )
    (gradient,) = torch.autograd.grad(contrastive_loss(scores.fused, **loss), audio)
    name = {"literal": "loss_eq8", "averaged": "loss_symmetric"}[reading]
    close(gradient, oracle.tensors[f"variable_padded.cosine.{reading}.grad_audio_of_{name}"], 1e-9)


@pytest.mark.parametrize("normalization", ["mean", "paper"])
@pytest.mark.parametrize(("kernel_size", "stride"), [*FRAMINGS, (40, 7), (30, 1)])
def test_scores_equal_brute_force(kernel_size: int, stride: int, normalization: Any) -> None:
    audio, text = random_inputs(4, 61, 5)
    lengths = torch.tensor([61, 40, 5, 1])
    expected = brute_force(audio, lengths, text, kernel_size, stride, 8.0, normalization)
    scores = alignment_scores(
        audio,
        lengths,
        text,
        kernel_size=kernel_size,
        stride=stride,
        normalization=normalization,
        attention_temperature=8.0,
        gamma_kernel=0.8,
        gamma_temporal=0.1,
    )
    close(scores.kernel, expected[0], 1e-10)
    close(scores.temporal, expected[1], 1e-10)
    close(scores.fused, 0.8 * expected[0] + 0.1 * expected[1], 1e-10)


@pytest.mark.parametrize("temperature", [0.0, 0.1, 1.0, 30.0, 63.0, 65.0, 300.0, -300.0])
@pytest.mark.parametrize(("kernel_size", "stride"), [(50, 5), (17, 17), (13, 4)])
def test_any_temperature_is_exact_and_has_finite_gradients(kernel_size: int, stride: int, temperature: float) -> None:
    audio, text = random_inputs(3, 300, 4, dtype=torch.float32)
    audio[0, :150], audio[0, 150:] = text[0], -text[0]  # cosines of exactly 1 and -1, whole frames of each
    audio.requires_grad_(), text.requires_grad_()
    lengths, beta = torch.tensor([300, 211, 11]), torch.tensor(temperature, requires_grad=True)
    scores = alignment_scores(audio, lengths, text, kernel_size=kernel_size, stride=stride, attention_temperature=beta)
    kernel, temporal = brute_force(audio.detach(), lengths, text.detach(), kernel_size, stride, temperature, "mean")
    close(scores.kernel, kernel)
    close(scores.temporal, temporal)
    for gradient in torch.autograd.grad(scores.fused.sum(), (audio, text, beta)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("temperature", [0.1, 10.0, 300.0])
def test_autocast_does_not_lower_the_precision(temperature: float) -> None:
    audio, text = random_inputs(2, 90, 16, dtype=torch.float32)
    audio.requires_grad_(), text.requires_grad_()
    options: dict[str, Any] = {"kernel_size": 20, "stride": 6, "attention_temperature": temperature}

    def run() -> list[Tensor]:
        scores = alignment_scores(audio, torch.tensor([90, 70]), text, **options)
        return [*scores, *torch.autograd.grad(scores.fused.sum(), (audio, text))]

    expected = run()
    with torch.autocast("cpu", torch.bfloat16):
        actual = run()  # the backward pass too runs inside
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


def test_low_precision_inputs_are_scored_in_float32() -> None:
    audio, text = random_inputs(2, 90, 16, dtype=torch.bfloat16)
    lengths = torch.tensor([90, 70])
    audio.requires_grad_()
    scores = alignment_scores(audio, lengths, text, kernel_size=20, stride=6, attention_temperature=20.0)
    assert scores.fused.dtype == torch.float32
    close(scores.kernel, brute_force(audio.detach(), lengths, text, 20, 6, 20.0, "mean")[0])
    scores.fused.sum().backward()
    assert audio.grad is not None
    assert audio.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(("kernel_size", "stride"), FRAMINGS)
def test_gradcheck(kernel_size: int, stride: int) -> None:
    audio, text = random_inputs(3, 13, 3, texts=2)
    beta = torch.tensor([3.0], dtype=torch.float64)
    lengths = torch.tensor([13, 8, 4])

    def run(audio: Tensor, text: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            alignment_scores(audio, lengths, text, kernel_size=kernel_size, stride=stride, attention_temperature=beta)
        )

    inputs = [tensor.requires_grad_() for tensor in (audio, text, beta)]
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_a_second_derivative_is_refused() -> None:
    audio, text = random_inputs(1, 8, 3)
    audio.requires_grad_()
    scores = alignment_scores(audio, torch.tensor([8]), text, kernel_size=3, stride=1)
    with pytest.raises(RuntimeError, match="differentiated once"):
        torch.autograd.grad(scores.fused.sum(), audio, create_graph=True)
    similarity = cosine_similarity(audio, torch.tensor([8]), text)
    with pytest.raises(RuntimeError, match="differentiated once"):
        torch.autograd.grad(similarity.sum(), audio, create_graph=True)


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), -7.0])
def test_padding_holds_nothing_that_counts(junk: float) -> None:
    audio, text = random_inputs(3, 40, 6)
    lengths = torch.tensor([40, 23, 3])
    padded = torch.full((3, 55, 6), junk, dtype=audio.dtype)
    for i, length in enumerate(lengths.tolist()):
        padded[i, :length] = audio[i, :length]
    results = []
    for features in (audio, padded):
        features.requires_grad_()
        words = text.clone().requires_grad_()
        beta = torch.tensor(5.0, requires_grad=True)
        scores = alignment_scores(features, lengths, words, kernel_size=8, stride=3, attention_temperature=beta)
        gradients = torch.autograd.grad((scores.fused**2).sum(), (features, words, beta))
        results.append((*scores, gradients[0][:, :40], *gradients[1:]))
        for i, length in enumerate(lengths.tolist()):
            assert not gradients[0][i, length:].any()
    for clean, dirty in zip(*results, strict=True):
        assert clean.isfinite().all()
        assert torch.equal(clean, dirty)


def test_a_track_scores_the_same_alone_and_in_a_batch() -> None:
    audio, text = random_inputs(4, 60, 6, dtype=torch.float32)
    lengths = torch.tensor([60, 33, 60, 2])
    together = alignment_scores(audio, lengths, text, kernel_size=9, stride=4)
    for i, length in enumerate(lengths.tolist()):
        alone = alignment_scores(audio[i : i + 1, :length], lengths[i : i + 1], text, kernel_size=9, stride=4)
        for a, b in zip(together, alone, strict=True):
            close(a[i], b[0], 1e-6)


@pytest.mark.parametrize(("kernel_size", "stride"), [(9, 4), (4, 9), (100, 3)])
def test_maps_sum_to_one_and_reproduce_the_scores(kernel_size: int, stride: int) -> None:
    audio, text = random_inputs(1, 40, 6, texts=1)
    options: dict[str, Any] = {"kernel_size": kernel_size, "stride": stride, "attention_temperature": 12.0}
    maps = attention_maps(audio[0], text[0], **options)
    frames, positions = maps.similarity.shape
    assert (frames, positions) == (frame_count(40, kernel_size, stride), min(40, kernel_size))
    close(maps.kernel.sum(1), torch.ones(frames), 1e-12)
    close(maps.temporal.sum(0), torch.ones(positions), 1e-12)
    scores = alignment_scores(audio, torch.tensor([40]), text, **options)
    close(scores.kernel, ((maps.kernel * maps.similarity).sum() / frames).view(1, 1), 1e-12)
    close(scores.temporal, ((maps.temporal * maps.similarity).sum() / positions).view(1, 1), 1e-12)


def test_vectors_of_length_zero_have_cosine_zero_and_finite_gradients() -> None:
    audio, text = random_inputs(2, 12, 4)
    audio[0, 3:6], text[1] = 0, 0
    audio.requires_grad_(), text.requires_grad_()
    similarity = cosine_similarity(audio, torch.tensor([12, 12]), text)
    assert not similarity[0, :, 3:6].any()
    assert not similarity[:, 1].any()
    scores = alignment_scores(audio, torch.tensor([12, 12]), text, kernel_size=5, stride=2)
    for gradient in torch.autograd.grad(scores.fused.sum(), (audio, text)):
        assert gradient.isfinite().all()


class LargestTensor(TorchDispatchMode):
    """Counts the elements of the largest tensor that any operation returns, views aside."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize(("kernel_size", "stride"), [(1000, 1), (500, 250), (17, 17), (1, 1), (1501, 7)])
@pytest.mark.parametrize("texts", [2, 24])
def test_no_tensor_outgrows_the_audio_and_the_similarities(kernel_size: int, stride: int, texts: int) -> None:
    tracks, steps, size = 2, 2000, 8
    audio, text = random_inputs(tracks, steps, size, texts=texts, dtype=torch.float32)
    audio.requires_grad_(), text.requires_grad_()
    with LargestTensor() as largest:
        scores = alignment_scores(audio, torch.tensor([steps, 1700]), text, kernel_size=kernel_size, stride=stride)
        torch.autograd.grad(scores.fused.sum(), (audio, text))
    # A sliding sum pads one track's two window sums to three times their length.
    assert largest.elements <= max(tracks * steps * size, 6 * texts * steps)


@pytest.mark.parametrize("window", [1, 2, 3, 7, 8, 12, 20])
def test_sliding_sum_and_its_adjoint(window: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(2, 20, 3, generator=generator, dtype=torch.float64)
    sums = sliding_sum(rows, window)
    close(sums, rows.unfold(1, window, 1).sum(-1), 1e-12)
    values = torch.rand(sums.shape, generator=generator, dtype=torch.float64)
    close((sums * values).sum(), (rows * sliding_spread(values, window)).sum(), 1e-12)


def test_sliding_sum_keeps_small_sums_beside_large_ones() -> None:
    rows = torch.tensor([1e30] * 10 + [1e-30] * 10)[:, None]
    assert torch.allclose(sliding_sum(rows, 4)[-5:], torch.tensor(4e-30), rtol=1e-5, atol=0)


@pytest.mark.parametrize("windows", [FrameWindows, ColumnWindows])
@pytest.mark.parametrize(("kernel_size", "stride"), FRAMINGS)
def test_windows_sum_what_they_hold(windows: Any, kernel_size: int, stride: int) -> None:
    window = windows(frames=6, positions=kernel_size, stride=stride)
    steps = torch.rand(2, window.span, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frames = steps.unfold(1, kernel_size, stride)  # (2, W, H)
    sums = window.sum(steps)
    assert sums.shape == (2, window.count)
    assert window.count * window.size == 6 * kernel_size
    close(sums, frames.sum(2 if windows is FrameWindows else 1), 1e-12)
    values = torch.rand(sums.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    close((sums * values).sum(), (steps * window.spread(values)).sum(), 1e-12)


def test_frame_count_of_numbers_and_tensors() -> None:
    lengths = [1, 5, 6, 7, 8, 9, 23]
    expected = [1, 1, 1, 1, 1, 2, 6]
    assert [frame_count(length, 6, 3) for length in lengths] == expected
    assert frame_count(torch.tensor(lengths), 6, 3).tolist() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": torch.tensor([10, 0])}, "lengths must lie within 1 and the 10 steps"),
        ({"lengths": torch.tensor([10, 11])}, "lengths must lie within 1 and the 10 steps"),
        ({"lengths": torch.tensor([10])}, "lengths must hold one number per track"),
        ({"lengths": torch.tensor([10.0, 9.0])}, "lengths must be whole numbers"),
        ({"kernel_size": 0}, "at least 1 step"),
        ({"stride": 0}, "at least 1 step"),
        ({"normalization": "sum"}, "normalization must be"),
        ({"text_embeds": torch.ones(3, 5)}, "differ in their last size"),
        ({"text_embeds": torch.ones(4)}, "text_embeds must be"),
        ({"audio_features": torch.ones(10, 4)}, "audio_features must be"),
        ({"audio_features": torch.ones(0, 10, 4)}, "at least one track"),
        ({"attention_temperature": 601.0}, "attention_temperature must lie within"),
        ({"attention_temperature": float("nan")}, "attention_temperature must lie within"),
        ({"attention_temperature": torch.ones(2)}, "attention_temperature must be one number"),
    ],
)
def test_errors_name_the_input(change: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {
        "audio_features": torch.ones(2, 10, 4),
        "lengths": torch.tensor([10, 9]),
        "text_embeds": torch.ones(3, 4),
        "kernel_size": 4,
        "stride": 2,
    }
    alignment_scores(**options)
    with pytest.raises(ValueError, match=message):
        alignment_scores(**(options | change))


def test_maps_take_one_track_and_one_text() -> None:
    with pytest.raises(ValueError, match="one track"):
        attention_maps(torch.ones(1, 10, 4), torch.ones(4), kernel_size=4, stride=2)
