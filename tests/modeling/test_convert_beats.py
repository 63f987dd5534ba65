"""BEATs checkpoints: the original's format and our own, whole, incomplete and broken."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_beats import random_fbank, random_model
from torch import Tensor

from modeling_collap.convert_beats import CONFIG_ENTRIES, ORIGINAL_NAMES
from modeling_collap.modeling_beats import BeatsModel


def original_format(model: BeatsModel, **more_weights: Tensor) -> dict[str, Any]:
    """`model` in the format of microsoft/unilm, where every layer holds the one table of position biases."""
    model_weights = {ORIGINAL_NAMES.get(name, name): tensor for name, tensor in model.state_dict().items()}
    table_name = "encoder.layers.{}.self_attn.relative_attention_bias.weight"
    for layer in range(1, model.config.num_hidden_layers):
        model_weights[table_name.format(layer)] = model_weights[table_name.format(0)]
    cfg = {entry: getattr(model.config, field) for field, entry in CONFIG_ENTRIES.items()}
    return {"cfg": cfg | {"finetuned_model": bool(more_weights)}, "model": model_weights | more_weights}


def save(content: Any, folder: Path) -> Path:
    path = folder / "beats.pt"
    torch.save(content, path)
    return path


def test_save_and_load_gives_the_same_model(tmp_path: Path) -> None:
    model, fbank = random_model(), random_fbank(1, 48)
    model.save_pretrained(tmp_path)
    loaded, report = BeatsModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(loaded(fbank).last_hidden_state, model(fbank).last_hidden_state)


@pytest.mark.parametrize("fine_tuned", [False, True])
def test_original_checkpoint_gives_the_same_model(fine_tuned: bool, tmp_path: Path) -> None:
    model, fbank = random_model(), random_fbank(1, 48)
    classifier = {"predictor.weight": torch.zeros(527, 32), "predictor.bias": torch.zeros(527)} if fine_tuned else {}
    loaded = BeatsModel.from_original_checkpoint(save(original_format(model, **classifier), tmp_path))
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(fbank).last_hidden_state, model(fbank).last_hidden_state)


def test_misfit_weights_are_named(tmp_path: Path) -> None:
    content = original_format(random_model())
    weights = content["model"]
    del weights["encoder.pos_conv.0.weight_g"]
    weights["quantize.embed"] = torch.zeros(3)
    weights["layer_norm.bias"] = torch.zeros(5)
    path = save(content, tmp_path)
    with pytest.raises(ValueError, match="do not fit its configuration") as raised:
        BeatsModel.from_original_checkpoint(path)
    for part in (
        str(path),
        "missing: encoder.pos_conv.0.weight_g;",
        "left over: quantize.embed;",
        "of another shape: layer_norm.bias (5,) instead of (24,).",
    ):
        assert part in str(raised.value)


def test_bias_tables_that_differ_are_refused(tmp_path: Path) -> None:
    content = original_format(random_model())
    name = "encoder.layers.1.self_attn.relative_attention_bias.weight"
    content["model"][name] = content["model"][name] + 1
    with pytest.raises(ValueError, match=r"layers\.1.* must share one table"):
        BeatsModel.from_original_checkpoint(save(content, tmp_path))


def test_incomplete_or_unsupported_configuration_is_named(tmp_path: Path) -> None:
    content = original_format(random_model())
    content["cfg"]["activation_fn"] = "glu"
    with pytest.raises(ValueError, match="unsupported activation_fn: 'glu'"):
        BeatsModel.from_original_checkpoint(save(content, tmp_path))
    del content["cfg"]["deep_norm"]
    with pytest.raises(ValueError, match="lacks the entries: deep_norm"):
        BeatsModel.from_original_checkpoint(save(content, tmp_path))


def test_files_that_are_no_checkpoint_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        BeatsModel.from_original_checkpoint(tmp_path / "absent.pt")
    for content in (b"", b"<html>not found</html>", b"PK\x03\x04 half a download"):
        (tmp_path / "broken.pt").write_bytes(content)
        with pytest.raises(ValueError, match=r"broken\.pt is not a BEATs checkpoint"):
            BeatsModel.from_original_checkpoint(tmp_path / "broken.pt")
    with pytest.raises(ValueError, match=r"beats\.pt is not a BEATs checkpoint"):
        BeatsModel.from_original_checkpoint(save({"state_dict": {}}, tmp_path))


def test_weights_absent_from_a_checkpoint_are_initialised_and_the_others_kept(tmp_path: Path) -> None:
    model = random_model()
    absent = {
        "encoder.layers.0.self_attn.grep_a",
        "encoder.pos_conv.conv.parametrizations.weight.original0",
        "encoder.relative_position_bias.table.weight",
    }
    kept = {name: tensor for name, tensor in model.state_dict().items() if name not in absent}
    model.save_pretrained(tmp_path, state_dict=kept)
    loaded, report = BeatsModel.from_pretrained(tmp_path, output_loading_info=True)
    assert set(report["missing_keys"]) == absent
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in kept.items())
    assert torch.equal(loaded.encoder.layers[0].self_attn.grep_a, torch.ones(1, 4, 1, 1))
    conv = loaded.encoder.pos_conv.conv
    torch.testing.assert_close(conv.weight, conv.parametrizations.weight.original1)
    assert loaded.encoder.relative_position_bias.table.weight.std().item() == pytest.approx(0.02, rel=0.3)
