"""BEATs against itself: position bias, padding, precision, training, fresh weights; tiny models only."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_beats import random_fbank, random_model, tiny_config
from torch import Tensor

from modeling_collap.modeling_beats import BeatsModel


def test_position_bias_is_one_value_per_distance() -> None:
    bias = random_model().encoder.relative_position_bias
    assert bias is not None
    by_distance = bias(9)
    assert by_distance.shape == (4, 17)
    for distance in range(-8, 9):  # key - query
        assert torch.equal(by_distance[:, distance + 8], bias.table(bias._bucket(torch.tensor(distance))))
    assert not torch.equal(by_distance, by_distance.flip(1))  # keys before and after a query have buckets of their own


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("gated", [False, True])
def test_attention_reads_the_bias_of_its_pair_of_tokens(gated: bool, padded: bool) -> None:
    """The mask against the bias written out query by key, its rows in the order of the queries, last one first."""
    model = random_model(gated_relative_position=gated)
    bias, attention = model.encoder.relative_position_bias, model.encoder.layers[0].self_attn
    assert bias is not None
    padding = torch.tensor([False] * 6 + [padded] * 2).expand(2, 1, 1, 8)
    query = torch.randn(2, 4, 8, 8)
    tokens = torch.arange(8)
    expected = bias.table(bias._bucket(tokens[None, :] - tokens[:, None])).permute(2, 0, 1).expand(2, -1, -1, -1)
    if gated:
        expected = attention._gate(query) * expected
    expected = expected.masked_fill(padding, torch.finfo().min)
    mask = attention._attention_mask(query.flip(2), bias(8), padding if padded else None)
    torch.testing.assert_close(mask.expand(2, -1, -1, -1), expected.flip(2))


def test_attention_is_torchs_own_with_the_gated_bias_as_its_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[Tensor] = []
    original = F.scaled_dot_product_attention

    def watched(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor, dropout_p: float) -> Tensor:
        masks.append(attn_mask)
        return original(query, key, value, attn_mask, dropout_p)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    model = random_model()
    model(random_fbank(2, 48), torch.ones(2, 48))
    assert [tuple(mask.shape) for mask in masks] == [(2, 4, 24, 24)] * model.config.num_hidden_layers
    assert not torch.allclose(masks[0], masks[1])  # every layer gates the shared bias in its own way


@pytest.mark.parametrize(
    "changes",
    [
        {"relative_position_embedding": False},
        {"gated_relative_position": False},
        {"deep_norm": False},
        {"layer_norm_first": True},
        {"patch_embed_dim": 32},
        {"conv_bias": True},
        {"conv_pos_kernel_size": 15},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_variants_keep_padding_out(changes: dict[str, Any]) -> None:
    assert_batch_equals_singles(random_model(**changes))


@torch.no_grad()
def assert_batch_equals_singles(model: BeatsModel) -> None:
    frames = (83, 40, 16, 64)
    fbank, mask = random_fbank(4, 83), torch.zeros(4, 83, dtype=torch.long)
    for row, length in enumerate(frames):
        fbank[row, length:] = 50.0
        mask[row, :length] = 1
    batch = model(fbank, mask).last_hidden_state
    assert batch.isfinite().all()
    for row, length in enumerate(frames):
        single = model(fbank[row : row + 1, :length]).last_hidden_state[0]
        assert len(single) == length // 16 * 8
        torch.testing.assert_close(batch[row, : len(single)], single, atol=1e-5, rtol=0)


def test_padded_batch_equals_singles() -> None:
    assert_batch_equals_singles(random_model())


def test_mask_without_padding_changes_nothing() -> None:
    model, fbank = random_model(), random_fbank(2, 48)
    with torch.no_grad():
        masked, unmasked = model(fbank, torch.ones(2, 48)), model(fbank)
    torch.testing.assert_close(masked.last_hidden_state, unmasked.last_hidden_state, atol=1e-6, rtol=0)


def test_no_gradient_reaches_padding() -> None:
    model, fbank = random_model(), random_fbank(1, 64).requires_grad_()
    mask = (torch.arange(64) < 40)[None]
    model(fbank, mask).last_hidden_state[:, : 40 // 16 * 8].square().sum().backward()
    assert fbank.grad is not None
    assert (fbank.grad[0, :32].abs().sum(-1) > 0).all()
    assert (fbank.grad[0, 32:] == 0).all()  # frames 32 to 39 are of the recording, but not of a whole patch


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_row_of_padding_alone_is_finite_and_harmless(dtype: torch.dtype) -> None:
    model, fbank = random_model().train(), random_fbank(2, 48)
    mask = torch.ones(2, 48)
    mask[1] = 0
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        features = model(fbank, mask).last_hidden_state
    assert features.isfinite().all()
    features.float().square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize(
    ("fbank", "mask", "message"),
    [
        (torch.zeros(1, 48, 80), None, r"\(batch, frames, 128\), not \(1, 48, 80\)"),
        (torch.zeros(48, 128), None, r"\(batch, frames, 128\), not \(48, 128\)"),
        (torch.zeros(1, 15, 128), None, "15 frames, fewer than the 16"),
        (torch.zeros(1, 48, 128), torch.ones(1, 47), r"attention_mask .* \(1, 48\), not \(1, 47\)"),
    ],
)
def test_wrong_shapes_are_named(fbank: Tensor, mask: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_model()(fbank, mask)


@torch.no_grad()
def test_bfloat16_autocast_is_near() -> None:
    model, fbank = random_model(), random_fbank(2, 80)
    mask = torch.ones(2, 80)
    mask[1, 48:] = 0
    exact = model(fbank, mask).last_hidden_state
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(fbank, mask).last_hidden_state.float()
    assert rounded.isfinite().all()
    assert F.cosine_similarity(exact, rounded, dim=-1).min() > 0.999


@torch.no_grad()
def test_bfloat16_weights_take_a_float32_fbank() -> None:
    features = random_model().to(torch.bfloat16)(random_fbank(1, 48), torch.ones(1, 48)).last_hidden_state
    assert features.dtype == torch.bfloat16
    assert features.isfinite().all()


def gradients(model: BeatsModel, fbank: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    model(fbank).last_hidden_state[..., 0].sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(use_reentrant: bool) -> None:
    # float64, for checkpointing sums the shared bias's gradients in another order
    model, fbank = random_model(layer_wise_gradient_decay_ratio=0.6).train().double(), random_fbank(2, 48)
    plain = gradients(model, fbank)
    assert set(plain) == {name for name, _ in model.named_parameters()}
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": use_reentrant})
    assert all(layer.gradient_checkpointing for layer in model.encoder.layers)
    checkpointed = gradients(model, fbank)
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_decay_layer_by_layer() -> None:
    fbank, decayed_model = random_fbank(1, 48), random_model(layer_wise_gradient_decay_ratio=0.5)
    plain, untouched = gradients(random_model().train(), fbank), gradients(decayed_model, fbank)
    decayed = gradients(decayed_model.train(), fbank)
    factors = {"encoder.layers.1.fc1.weight": 1.0, "encoder.layers.0.fc1.weight": 0.5, "patch_embedding.weight": 0.25}
    for name, factor in factors.items():
        torch.testing.assert_close(decayed[name], factor * plain[name])
        torch.testing.assert_close(untouched[name], plain[name])  # in evaluation mode gradients are the true ones


def test_layerdrop_skips_layers_in_training_only_and_replays() -> None:
    model, fbank = random_model(num_hidden_layers=8, layerdrop=0.5), random_fbank(1, 32)

    def skipped(seed: int) -> list[bool]:
        torch.manual_seed(seed)
        states = model(fbank, output_hidden_states=True).hidden_states
        return [torch.equal(before, after) for before, after in pairwise(states)]

    assert not any(skipped(0))
    model.train()
    drawn = [skipped(seed) for seed in range(12)]
    assert 0.3 < np.mean(drawn) < 0.7
    assert drawn[3] == skipped(3)


def test_dropout_acts_in_training_only() -> None:
    rates = ("hidden_dropout", "attention_dropout", "activation_dropout", "input_dropout")
    fbank = random_fbank(1, 32)
    for rate in rates:
        model = random_model(**{rate: 0.3})
        assert torch.equal(model(fbank).last_hidden_state, model(fbank).last_hidden_state)
        model.train()
        assert not torch.equal(model(fbank).last_hidden_state, model(fbank).last_hidden_state)


def test_fresh_weights_follow_deep_norm() -> None:
    torch.manual_seed(0)
    config = tiny_config(hidden_size=128, intermediate_size=256, num_hidden_layers=4)
    model, beta = BeatsModel(config), 32**-0.25
    layer = model.encoder.layers[-1]
    xavier = (2 / (128 + 128)) ** 0.5
    assert layer.self_attn.q_proj.weight.std().item() == pytest.approx(xavier, rel=0.05)
    for projection in (layer.self_attn.v_proj, layer.self_attn.out_proj):
        assert projection.weight.std().item() == pytest.approx(beta * xavier, rel=0.05)
    for projection in (layer.fc1, layer.fc2):
        assert projection.weight.std().item() == pytest.approx(beta * (2 / (128 + 256)) ** 0.5, rel=0.05)
    assert torch.equal(layer.self_attn.grep_a, torch.ones(1, 4, 1, 1))
    conv = model.encoder.pos_conv.conv
    torch.testing.assert_close(conv.weight, conv.parametrizations.weight.original1)
    assert conv.weight.std().item() == pytest.approx((4 / (16 * 128)) ** 0.5, rel=0.05)
