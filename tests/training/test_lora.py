"""Low-rank adapters, and plain models back from them."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import AutoModel

from modeling_collap import CollapModel
from training_collap.lora import add_lora, merged


def trained(backbone: str = "gpt2", steps: int = 3, **options: Any) -> CollapModel:
    """A tiny model with adapters after some steps, in evaluation mode."""
    model = tiny.model(backbone)
    add_lora(model, options)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    model.train()
    for _ in range(steps):
        model(**tiny.batch(backbone), return_loss=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def logits(model: CollapModel, backbone: str = "gpt2") -> torch.Tensor:
    with torch.no_grad():
        return model(**tiny.batch(backbone)).logits_per_audio


def layers(model: CollapModel) -> set[str]:
    return {name.removesuffix(".lora_A.default.weight") for name, _ in model.named_parameters() if "lora_A" in name}


def test_adapters_start_from_the_same_model() -> None:
    model = tiny.model()
    add_lora(model, {})
    assert type(model) is CollapModel
    torch.testing.assert_close(logits(model), logits(tiny.model()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("backbone", "text_layers"),
    [
        ("gpt2", {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}),
        ("roberta", {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"}),
    ],
)
def test_adapters_are_in_every_encoder_and_weights_outside_are_trained(backbone: str, text_layers: set[str]) -> None:
    model = tiny.model(backbone)
    add_lora(model, {"r": 2})
    found = layers(model)
    for place in text_layers:
        assert any(name.startswith("text_model.") and name.endswith(place) for name in found)
    for place in ("self_attn.q_proj", "self_attn.out_proj", "fc1", "fc2"):
        assert f"audio_encoder.whisper.layers.1.{place}" in found
        assert f"audio_encoder.beats.encoder.layers.1.{place}" in found
    others = {name for name, p in model.named_parameters() if p.requires_grad and "lora_" not in name}
    parts = ("text_projection", "audio_encoder.adapter", "audio_encoder.whisper_norm", "audio_encoder.beats_norm")
    assert others == {"logit_scale", *(f"{part}.{kind}" for part in parts for kind in ("weight", "bias"))}


@pytest.mark.parametrize("backbone", tiny.TEXT_BACKBONES)
@pytest.mark.parametrize("options", [{}, {"r": 2, "lora_alpha": 3, "use_rslora": True, "lora_dropout": 0.2}])
def test_a_merged_model_computes_the_same_without_peft(tmp_path: Path, backbone: str, options: dict[str, Any]) -> None:
    model = trained(backbone, **options)
    expected = logits(model, backbone)
    assert (expected - logits(tiny.model(backbone), backbone)).abs().max() > 0.1, "it has learned something"
    plain = merged(model)
    torch.testing.assert_close(logits(plain, backbone), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(model, backbone), expected, rtol=0, atol=0)  # and the model itself stays
    assert plain.state_dict().keys() == tiny.model(backbone).state_dict().keys()
    plain.save_pretrained(tmp_path)
    torch.testing.assert_close(logits(CollapModel.from_pretrained(tmp_path), backbone), expected, rtol=1e-5, atol=1e-5)


def test_a_merged_model_loads_as_remote_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    model = trained(steps=1)
    merged(model).save_pretrained(tmp_path / "plain")
    loaded = AutoModel.from_pretrained(tmp_path / "plain", trust_remote_code=True).eval()
    torch.testing.assert_close(logits(loaded), logits(model), rtol=1e-5, atol=1e-5)


def test_training_goes_on_from_the_state_of_adapters() -> None:
    """What a checkpoint keeps of a run in progress."""
    model, again = trained(), tiny.model(seed=1)
    add_lora(again, {})
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(logits(again), logits(model), rtol=0, atol=0)


def test_a_model_without_adapters_is_its_own_merger() -> None:
    model = tiny.model()
    assert merged(model) is model


def test_targets_can_be_chosen() -> None:
    model = tiny.model()
    add_lora(model, {"target_modules": ["q_proj"]}, ["whisper"])
    assert layers(model) == {f"audio_encoder.whisper.layers.{i}.self_attn.q_proj" for i in range(2)}
    assert all(p.requires_grad for p in model.audio_encoder.beats.parameters()), "an encoder left out is trained"


def test_options_that_adapt_nothing_raise() -> None:
    with pytest.raises(ValueError, match=r"model\.lora\.target_modules finds none of \['qproj'\]"):
        add_lora(tiny.model(), {"target_modules": ["qproj"]})
    with pytest.raises(ValueError, match="no encoder to adapt"):
        add_lora(tiny.model(), {}, [])
    with pytest.raises(ValueError, match=r"model\.lora\.r is the rank"):
        add_lora(tiny.model(), {"r": 0})
