"""BEATs against the numbers of the original implementation, stage by stage, tiny and at full size."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_beats import tiny_config
from torch import Tensor, nn
from torchaudio.compliance.kaldi import fbank as kaldi_fbank

from modeling_collap.modeling_beats import BeatsModel, BeatsRelativePositionBias

SINGLE_CASES = ("single0", "single1")


def waveform_to_fbank(waveform: Tensor) -> Tensor:
    """(1, samples) at 16 kHz to (1, frames, 128), by BEATs' recipe."""
    features = kaldi_fbank(waveform * 2**15, num_mel_bins=128, sample_frequency=16000, frame_length=25, frame_shift=10)
    return ((features - 15.41663) / (2 * 6.55582))[None]


@torch.no_grad()
def stages(model: BeatsModel, fbank: Tensor) -> dict[str, Tensor]:
    """Every intermediate result that the reference numbers name."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: seen.__setitem__(name, output)

    watched = {
        "patch_conv": model.patch_embedding,
        "patch_layer_norm": model.layer_norm,
        "post_extract_proj": model.post_extract_proj,
        "position_bias": model.encoder.relative_position_bias,
    }
    handles = [module.register_forward_hook(keep(name)) for name, module in watched.items() if module is not None]
    output = model(fbank, output_hidden_states=True)
    for handle in handles:
        handle.remove()
    for index, hidden in enumerate(output.hidden_states):
        seen[f"hidden_{index:02d}" + ("_encoder_input" if index == 0 else "")] = hidden
    by_distance = seen["position_bias"]  # (heads, 2 * tokens - 1), which the original writes out per pair of tokens
    seen["position_bias"] = by_distance.unfold(1, (by_distance.shape[1] + 1) // 2, 1).flip(1)
    patch_embedding = seen["patch_conv"].flatten(2).transpose(1, 2)
    return seen | {"fbank": fbank, "patch_embedding": patch_embedding, "features": output.last_hidden_state}


@pytest.fixture(scope="module")
def tiny_original(oracles: Path) -> BeatsModel:
    return BeatsModel.from_original_checkpoint(oracles / "beats_tiny.pt")


@pytest.fixture(scope="module")
def tiny_numbers(oracles: Path) -> dict[str, Tensor]:
    return load_file(oracles / "beats_tiny_oracle.safetensors")


@pytest.mark.parametrize("case", SINGLE_CASES)
def test_every_stage_equals_the_original(case: str, tiny_original: BeatsModel, tiny_numbers: dict[str, Tensor]) -> None:
    ours = stages(tiny_original, tiny_numbers[f"{case}.fbank"])
    expected = {key.removeprefix(f"{case}."): value for key, value in tiny_numbers.items() if key.startswith(case)}
    compared = set(expected) - {"waveform"}
    assert compared == set(ours)
    for stage in sorted(compared):
        torch.testing.assert_close(ours[stage], expected[stage], atol=2e-5, rtol=0, msg=lambda m, s=stage: f"{s}: {m}")


@pytest.mark.parametrize("case", SINGLE_CASES)
def test_features_from_the_waveform(case: str, tiny_original: BeatsModel, tiny_numbers: dict[str, Tensor]) -> None:
    fbank = waveform_to_fbank(tiny_numbers[f"{case}.waveform"])
    torch.testing.assert_close(fbank, tiny_numbers[f"{case}.fbank"], atol=2e-4, rtol=0)
    with torch.no_grad():
        features = tiny_original(fbank).last_hidden_state
    torch.testing.assert_close(features, tiny_numbers[f"{case}.features"], atol=1e-4, rtol=0)


def test_original_padded_batch_equals_the_original_singles(
    tiny_original: BeatsModel, tiny_numbers: dict[str, Tensor]
) -> None:
    singles = [tiny_numbers[f"{case}.fbank"][0] for case in SINGLE_CASES]
    fbank = nn.utils.rnn.pad_sequence(singles, batch_first=True, padding_value=7.0)
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(single)) for single in singles], batch_first=True)
    with torch.no_grad():
        batch = tiny_original(fbank, mask).last_hidden_state
    for row, case in zip(batch, SINGLE_CASES, strict=True):
        expected = tiny_numbers[f"{case}.features"][0]
        torch.testing.assert_close(row[: len(expected)], expected, atol=2e-5, rtol=0)


@pytest.fixture(scope="module")
def formula(oracles: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("formula_fill", oracles / "formula_fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_same_numbers(ours: Tensor, expected: Mapping[str, Any], formula: ModuleType, atol: float) -> None:
    """Compares a tensor with its recorded digest; `probe_dot` hears every element."""
    flat = ours.double().flatten()
    assert list(ours.shape) == expected["shape"]
    close: dict[str, Any] = {"atol": atol, "rtol": 0.0}
    np.testing.assert_allclose(flat.mean().item(), expected["mean"], **close)
    np.testing.assert_allclose(flat.std(unbiased=False).item(), expected["std"], **close)
    np.testing.assert_allclose(flat.abs().max().item(), expected["max_abs"], **close)
    first, last = ours.reshape(-1, ours.shape[-1])[0, :8], ours.reshape(-1, ours.shape[-1])[-1, -8:]
    np.testing.assert_allclose(first.numpy(), expected["first8"], **close)
    np.testing.assert_allclose(last.numpy(), expected["last8_of_last_row"], **close)
    probe = formula.unit("probe", flat.numel())
    # independent errors of at most atol each add up to about atol * sqrt(n)
    np.testing.assert_allclose(flat.numpy() @ probe, expected["probe_dot"], atol=atol * flat.numel() ** 0.5, rtol=0)


@pytest.mark.slow
def test_full_size_equals_the_original(oracles: Path, formula: ModuleType, tmp_path: Path) -> None:
    reference = json.loads((oracles / "beats_full_oracle.json").read_text())
    values: dict[str, Tensor] = {}
    for name, shape in reference["state_dict"].items():
        values[name] = torch.from_numpy(formula.parameter(name, shape))
    torch.save({"cfg": reference["cfg"], "model": values}, tmp_path / "beats.pt")
    model = BeatsModel.from_original_checkpoint(tmp_path / "beats.pt")
    (tmp_path / "beats.pt").unlink()  # 360 MB
    assert sum(parameter.numel() for parameter in model.parameters()) == reference["unique_parameters"]

    samples = reference["wave_check"]["beats_full.wave1"]["n"]
    waveform = torch.from_numpy(formula.waveform("beats_full.wave1", samples))[None]
    ours, expected = stages(model, waveform_to_fbank(waveform)), reference["fp64"]["single1"]
    assert set(expected) <= set(ours)
    for stage, numbers in expected.items():
        assert_same_numbers(ours[stage], numbers, formula, atol=2e-4 if stage == "fbank" else 5e-4)


def test_buckets_of_the_full_size(oracles: Path) -> None:
    buckets = json.loads((oracles / "beats_full_oracle.json").read_text())["bucket_of_distance_key_minus_query"]
    bias = BeatsRelativePositionBias(tiny_config(num_buckets=320, max_distance=800))
    expected = torch.tensor(buckets["nonneg_0_to_1600"])
    assert torch.equal(bias._bucket(torch.arange(len(expected))), expected)
