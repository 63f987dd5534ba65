"""Models from a recipe: random, from encoders, or from a saved model; and what of them is trained."""

import copy
from pathlib import Path

import pytest
import tiny
import torch

from modeling_collap import CollapModel
from training_collap.branches import encoders, freeze
from training_collap.building import build
from training_collap.recipe import ModelSection


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    tiny.model(text_pooling="mean").save_pretrained(folder)
    tiny.processor(max_seconds=100.0).save_pretrained(folder)
    return folder


def section(saved: Path, **options: object) -> ModelSection:
    return ModelSection(pretrained=str(saved), **options)


def test_a_saved_model_comes_with_its_weights_and_processor(saved: Path) -> None:
    model, processor = build(section(saved, feature_extractor={"max_seconds": 200.0}), tiny.rows(2))
    for name, weight in tiny.model(text_pooling="mean").state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=0, atol=0)
    assert processor.feature_extractor.window_seconds == tiny.WINDOW_SECONDS
    assert processor.feature_extractor.max_seconds == 200.0


def test_settings_that_no_weight_depends_on_can_change(saved: Path) -> None:
    changes = {"attention_temperature": 8.0, "text_config": {"attn_pdrop": 0.3}, "beats_config": {"layerdrop": 0.2}}
    model, _ = build(section(saved, config=changes), tiny.rows(2))
    assert model.config.attention_temperature == 8.0
    assert model.text_model.h[0].attn.attn_dropout.p == 0.3
    assert model.audio_encoder.beats.encoder.layerdrop == 0.2
    plain, _ = build(section(saved), tiny.rows(2))
    batch = tiny.batch()
    model.eval(), plain.eval()
    assert not torch.allclose(model(**batch).logits_per_audio, plain(**batch).logits_per_audio)


REFUSED = [
    ({"projection_dim": 64}, "model.config.projection_dim cannot be changed to 64"),
    ({"text_config": {"n_layer": 1}}, "model.config.text_config.n_layer cannot be changed to 1"),
    ({"text_config": {"n_layers": 1}}, "text_config.n_layers is unknown .did you mean 'n_layer'"),
    ({"whisper_config": None}, "model.config.whisper_config cannot be changed to None"),
    ({"text_pooling": "last"}, "model.config.text_pooling cannot be changed"),
    ({"gamma_structure": 0.5}, "has no weights for the structure term"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_other_changes_of_a_saved_model_raise(saved: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(section(saved, config=changes), tiny.rows(2))


def test_values_that_are_those_of_the_model_are_no_change(saved: Path) -> None:
    model, _ = build(section(saved, config=tiny.collap_options(text_pooling="mean")), tiny.rows(2))
    assert model.config.projection_dim == 24


def test_terms_of_the_score_can_be_weighed_anew(tmp_path: Path) -> None:
    tiny.model(gamma_structure=1.0).save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    model, _ = build(section(tmp_path, config={"gamma_structure": 0.2, "whole_text_weight": 0.8}), tiny.rows(2))
    assert (model.config.gamma_structure, model.config.whole_text_weight) == (0.2, 0.8)
    with pytest.raises(ValueError, match=r"cannot be changed to 0\.0: .* has weights for the structure term"):
        build(section(tmp_path, config={"gamma_structure": 0.0}), tiny.rows(2))


def test_a_learned_temperature_cannot_be_set(tmp_path: Path) -> None:
    tiny.model(learn_attention_temperature=True).save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has learned its own"):
        build(section(tmp_path, config={"attention_temperature": 2.0}), tiny.rows(2))


def test_a_folder_without_a_model_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.pretrained: .*absent"):
        build(section(tmp_path / "absent"), tiny.rows(2))


@pytest.mark.parametrize("branch", ["text", "whisper", "beats"])
def test_a_frozen_encoder_stays_as_it_is(branch: str) -> None:
    """Its weights, and its dropout, while the rest is trained."""
    text = tiny.text_config("gpt2", embd_pdrop=0.5)
    whisper, beats = tiny.whisper_config(dropout=0.5), tiny.beats_config(hidden_dropout=0.5, layerdrop=0.5)
    model = tiny.model(text_config=text, whisper_config=whisper, beats_config=beats)
    freeze(model, [branch])
    frozen = encoders(model)[branch]
    before = copy.deepcopy(frozen.state_dict())
    model.train()
    assert model.training
    assert not any(module.training for module in frozen.modules())
    assert all(encoder.training for name, encoder in encoders(model).items() if name != branch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(**tiny.batch(), return_loss=True).loss.backward()
    optimizer.step()
    for name, value in frozen.state_dict().items():
        assert torch.equal(value, before[name])
    assert not torch.equal(model.text_projection.weight, tiny.model().text_projection.weight)


def test_copies_of_a_frozen_encoder_are_frozen_on_their_own() -> None:
    model = tiny.model()
    freeze(model, ["whisper"])
    twin = copy.deepcopy(model).train()
    assert not twin.audio_encoder.whisper.training
    assert twin.audio_encoder.whisper.train() is twin.audio_encoder.whisper


def test_all_encoders_can_be_frozen() -> None:
    """What projects them is still trained."""
    model = tiny.model()
    freeze(model, ["text", "whisper", "beats"])
    trained = {name.split(".")[-2] for name, p in model.named_parameters() if p.requires_grad and "." in name}
    assert trained == {"text_projection", "whisper_norm", "beats_norm", "adapter"}


def test_what_cannot_be_frozen_raises() -> None:
    with pytest.raises(ValueError, match=r"model\.freeze names whisper, but the encoders of the model are text, beats"):
        freeze(tiny.model(whisper_config=None), ["whisper"])
    with pytest.raises(ValueError, match="nothing to train"):
        freeze(tiny.model().requires_grad_(False), ["text"])


def test_frozen_encoders_get_no_adapters(saved: Path) -> None:
    model, _ = build(section(saved, freeze=["text"], lora={"r": 2}), tiny.rows(2))
    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert adapted
    assert not [name for name in adapted if name.startswith("text_model")]
    assert isinstance(model, CollapModel)
    with pytest.raises(ValueError, match=r"model\.lora has no encoder to adapt"):
        build(section(saved, freeze=["text", "whisper", "beats"], lora={}), tiny.rows(2))


def test_window_positions_of_a_new_model_start_as_quiet_as_asked_for() -> None:
    options = {"config": tiny.collap_options(), "vocab_size": 300}
    loud, _ = build(ModelSection(**options), tiny.rows(2))
    quiet, _ = build(ModelSection(**options, position_scale=0.1), tiny.rows(2))
    sinusoids = loud.audio_encoder.whisper.embed_positions.weight
    assert float(sinusoids.abs().max()) == 1.0
    torch.testing.assert_close(quiet.audio_encoder.whisper.embed_positions.weight, 0.1 * sinusoids)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"position_scale": 0.0}, "position_scale must be above 0 and at most 1, not 0.0"),
        ({"position_scale": 0.1, "pretrained": "somewhere"}, "position_scale has no effect"),
        ({"position_scale": 0.1, "config": {"whisper_config": None}}, "position_scale has no effect"),
        ({"position_scale": 0.1, "config": {"model_type": "muscall"}}, "position_scale has no effect"),
    ],
)
def test_position_scales_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSection(**options)
