"""MusCALL through `train.py`'s own road: recipe, training, checkpoint, scorer."""

from pathlib import Path
from typing import Any

import pytest
import tiny

from evaluation_collap.muscall import MuscallModel
from evaluation_collap.scorers.muscall import MuscallScorer
from training_collap import load_recipe
from training_collap.run import run

ROOT = Path(__file__).resolve().parents[2]


def recipe(dataset: Path, output: Path, **model: Any) -> dict[str, Any]:
    content = tiny.recipe(dataset, output)
    config = {
        "model_type": "muscall",
        "window_seconds": 2.048,
        "num_mel_bins": 64,
        "projection_dim": 24,
        "pooling_heads": 2,
        "audio_config": {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]},
        "text_config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    }
    content["model"] = {"vocab_size": 280, "config": config, **model}
    content["data"]["crop_windows"] = 1
    return content


def test_muscall_is_trained_saved_and_scored(tmp_path: Path) -> None:
    dataset = tiny.write_dataset(tmp_path / "data")
    path = tiny.write_recipe(tmp_path / "recipe.yaml", recipe(dataset, tmp_path / "out"))
    metrics = run(load_recipe(path))
    assert 0 <= metrics["eval_text_to_audio_R@1"] <= 100
    scorer = MuscallScorer.from_pretrained(str(tmp_path / "out"))
    assert scorer.processor.tokenizer.model_max_length == 77
    assert scorer.encode_track(tiny.tone(5.0))["windows"].shape == (3, 24)
    # A finished run that is started again goes on from its last checkpoint, and has nothing left to do.
    again = run(load_recipe(path))
    assert again["eval_loss"] == pytest.approx(metrics["eval_loss"], abs=1e-5)
    assert isinstance(MuscallModel.from_pretrained(tmp_path / "out"), MuscallModel)


def test_fields_of_another_model_are_refused(tmp_path: Path) -> None:
    content = recipe(tmp_path, tmp_path / "out")
    content["model"]["config"]["whisper_config"] = {"d_model": 16}
    with pytest.raises(ValueError, match=r"model.config.whisper_config is unknown"):
        load_recipe(tiny.write_recipe(tmp_path / "a.yaml", content))
    content = recipe(tmp_path, tmp_path / "out")
    content["model"]["config"]["audio_config"]["hidden_size"] = [1]
    with pytest.raises(ValueError, match=r"audio_config.hidden_size is unknown \(did you mean 'hidden_sizes'"):
        load_recipe(tiny.write_recipe(tmp_path / "b.yaml", content))
    content = recipe(tmp_path, tmp_path / "out", freeze=["text"])
    with pytest.raises(ValueError, match=r"model.freeze belongs to CoLLAP, not to a model of type 'muscall'"):
        load_recipe(tiny.write_recipe(tmp_path / "c.yaml", content))
    content = recipe(tmp_path, tmp_path / "out")
    content["model"]["config"]["model_type"] = "muscal"
    with pytest.raises(ValueError, match=r"model.config.model_type 'muscal' is unknown"):
        load_recipe(tiny.write_recipe(tmp_path / "d.yaml", content))


def test_the_recipe_is_read() -> None:
    read = load_recipe(ROOT / "recipes" / "muscall.yaml", ["training.bf16=false"])
    assert (read.model.model_type, read.data.crop_windows) == ("muscall", 1)
