"""Gradient checkpointing: every encoder computes its layers again in the backward pass, and nothing else changes."""

from collections import Counter

import pytest
import tiny
import torch
from torch import Tensor, nn

from modeling_collap import CollapModel

LAYERS = {"WhisperEncoderLayer", "BeatsEncoderLayer", "GPT2Block", "RobertaLayer"}

pytestmark = pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable. is deprecated")


def dropping_model(backbone: str) -> CollapModel:
    """With dropout wherever a backbone has it, and layers that are dropped whole."""
    dropouts = {
        "gpt2": {"resid_pdrop": 0.2, "embd_pdrop": 0.2, "attn_pdrop": 0.2},
        "roberta": {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2},
    }
    beats = {"attention_dropout": 0.2, "hidden_dropout": 0.2, "activation_dropout": 0.2, "layerdrop": 0.3}
    whisper = {"dropout": 0.2, "attention_dropout": 0.2, "activation_dropout": 0.2, "encoder_layerdrop": 0.3}
    return tiny.model(
        backbone,
        text_config=tiny.text_config(backbone, **dropouts[backbone]),
        beats_config=tiny.beats_config(**beats),
        whisper_config=tiny.whisper_config(**whisper),
    ).train()


def count_forwards(model: CollapModel) -> Counter[str]:
    """Counts, as the model runs, how often each layer's first part does: hooks on layers see no recomputation."""
    counts: Counter[str] = Counter()
    for name, module in model.named_modules():
        if type(module).__name__ in LAYERS:
            next(module.children()).register_forward_pre_hook(lambda *_, name=name: counts.update([name]))
    return counts


def step(model: CollapModel, backbone: str) -> tuple[Tensor, dict[str, Tensor | None]]:
    torch.manual_seed(1)
    loss = model(**tiny.batch(backbone), return_loss=True).loss
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
def test_layers_run_twice_and_gradients_are_the_same(backbone: str) -> None:
    plain, checkpointed = dropping_model(backbone), dropping_model(backbone)
    checkpointed.gradient_checkpointing_enable()
    plain_counts, counts = count_forwards(plain), count_forwards(checkpointed)
    plain_loss, expected = step(plain, backbone)
    loss, gradients = step(checkpointed, backbone)

    branches = ("audio_encoder.whisper.", "audio_encoder.beats.", "text_model.")
    assert all(any(name.startswith(branch) for name in plain_counts) for branch in branches)
    assert counts == {name: 2 * count for name, count in plain_counts.items()}
    torch.testing.assert_close(loss, plain_loss, atol=0, rtol=0)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
def test_less_is_kept_for_the_backward_pass(backbone: str) -> None:
    def kept(model: CollapModel) -> int:
        """Bytes that autograd holds after the forward pass, weights apart."""
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(**tiny.batch(backbone), return_loss=True).loss  # held, and with it all that is kept
            assert loss.requires_grad
        return sum(storages.values())

    model = dropping_model(backbone)
    torch.manual_seed(1)
    plain = kept(model)
    model.gradient_checkpointing_enable()
    torch.manual_seed(1)
    assert kept(model) < 0.6 * plain


def test_layers_in_evaluation_mode_are_not_recomputed() -> None:
    """A frozen branch is in evaluation mode and keeps nothing anyway."""
    model = dropping_model("gpt2")
    model.gradient_checkpointing_enable()
    beats: nn.Module = model.audio_encoder.beats  # type: ignore[assignment]
    beats.eval().requires_grad_(False)
    counts = count_forwards(model)
    step(model, "gpt2")
    chunks = 2  # of four windows each: 3 + 1 + 1 windows in all
    assert {counts[f"audio_encoder.beats.encoder.layers.{i}"] for i in range(2)} == {chunks}
